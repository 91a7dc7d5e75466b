"""Celery's canvas over groups: each step joins the line of its group when Celery sends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from celery import chain, chord, group

from celery_groupfifo.testing.children import dying_with_us
from tests.support.crews.app import CONF, DIRECTORY
from tests.support.crews.workers import Crew, on
from tests.support.places import REPOSITORY
from tests.support.waiting import until

pytestmark = on("prefork")


def result_of(crew: Crew, result: Any) -> Any:
    """The value of a result, once it is there."""
    crew.keep([result])
    until(result.ready, lambda: str(crew.left_over()))
    return result.get()


def test_a_chain_in_one_group(crew: Crew, key: str) -> None:
    act = crew.task("act")
    result = chain(act.si(key, 1, "wait", name=key), act.si(key, 2), act.si(key, 3)).apply_async()
    crew.send(key, 10)
    crew.tell(key)
    crew.wait_for(key, [1, 10, 2, 3])
    assert result_of(crew, result) == 3


def test_a_chain_through_groups(crew: Crew, key: str) -> None:
    act = crew.task("act")
    result = chain(act.si(f"{key}-a", 1), act.si(f"{key}-b", 2), act.si(f"{key}-a", 3)).apply_async()
    assert result_of(crew, result) == 3
    crew.wait_for(f"{key}-a", [1, 3])
    assert crew.history.numbers(f"{key}-b") == [2]


def test_a_group_in_one_group(crew: Crew, key: str) -> None:
    act = crew.task("act")
    result = group(act.si(key, number, "sleep", seconds=0.01) for number in range(6)).apply_async()
    crew.wait_for(key, list(range(6)))
    assert result_of(crew, result) == list(range(6))


def test_a_chord_with_header_and_body_in_one_group(crew: Crew, key: str) -> None:
    act, gather = crew.task("act"), crew.task("gather")
    result = chord([act.si(key, number) for number in (1, 2, 3)], gather.s(key, 4)).apply_async()
    crew.wait_for(key, [1, 2, 3, 4])
    assert result_of(crew, result) == 6


def test_a_chord_in_a_chain(crew: Crew, key: str) -> None:
    act, gather = crew.task("act"), crew.task("gather")
    result = chain(act.si(key, 1), group(act.si(key, 2), act.si(key, 3)), gather.s(key, 4), act.si(key, 5)).delay()
    crew.wait_for(key, [1, 2, 3, 4, 5])
    assert result_of(crew, result) == 5


def test_a_chord_whose_parked_header_is_revoked_does_not_hang(crew: Crew, key: str) -> None:
    act, gather = crew.task("act"), crew.task("gather")
    header = [act.si(key, 1, "wait", name=key), act.si(key, 2), act.si(key, 3)]
    result = chord(header, gather.s(f"{key}-body", 4)).apply_async()
    crew.keep([result])
    until(lambda: crew.history.group(key))
    crew.app.control.revoke(result.parent.results[1].id)
    crew.tell(key)
    crew.wait_for(key, [1, 3])
    crew.state(result, "FAILURE")


def test_links(crew: Crew, key: str) -> None:
    act = crew.task("act")
    crew.keep([act.apply_async((key, 1, "wait"), {"name": key}, link=[act.si(key, 2), act.si(key, 3)])])
    crew.send(key, 10)
    crew.tell(key)
    crew.wait_for(key, [1, 10, 2, 3])


def test_an_error_link(crew: Crew, key: str) -> None:
    act = crew.task("act")
    crew.keep([act.apply_async((key, 1, "fail"), link_error=act.si(key, 2), link=act.si(key, 3))])
    crew.wait_for(key, [1, 2])


@pytest.mark.parametrize("way", ["map", "starmap", "chunks"])
def test_maps_are_one_entry(crew: Crew, key: str, way: str) -> None:
    plain = crew.task("plain")
    signature = {
        "map": lambda: plain.map([101, 102]),
        "starmap": lambda: plain.starmap([(101,), (102,)]),
        "chunks": lambda: plain.chunks([(101,), (102,)], 2).group(),
    }[way]()
    crew.send(key, 1, "wait", name=key)
    result = signature.apply_async(group_key=key)
    crew.send(key, 2)
    crew.tell(key)
    crew.wait_for(key, [1, 2])
    assert result_of(crew, result) in ([101, 102], [[101, 102]])
    inner = [run for run in crew.history.runs if run.number > 100 and not run.key][-2:]
    first, second = crew.history.group(key)
    assert [run.number for run in inner] == [101, 102]
    assert first.last_sign <= inner[0].began and inner[1].last_sign <= second.began


def replaced(crew: Crew, key: str, by: Any, runs: list[int]) -> Any:
    """Task 1 is replaced when 2 and 3 are behind it. Returns the value of task 1."""
    crew.send(key, 0, "wait", name=key)
    result = crew.send(key, 1, "replace", by=by)
    for number in (2, 3):
        crew.send(key, number)
    crew.tell(key)
    crew.wait_for(key, [0, *runs])
    return result_of(crew, result)


def test_replaced_by_a_chain(crew: Crew, key: str) -> None:
    act = crew.task("act")
    assert replaced(crew, key, chain(act.si(key, 11), act.si(key, 12)), [1, 2, 3, 11, 12]) == 12


def test_replaced_by_a_group(crew: Crew, key: str) -> None:
    act = crew.task("act")
    assert replaced(crew, key, group(act.si(key, 11), act.si(key, 12)), [1, 2, 3, 11, 12]) == [11, 12]


def test_replaced_by_a_chord(crew: Crew, key: str) -> None:
    act, gather = crew.task("act"), crew.task("gather")
    by = chord([act.si(key, 11), act.si(key, 12)], gather.s(key, 13))
    assert replaced(crew, key, by, [1, 2, 3, 11, 12, 13]) == 23


def test_replaced_by_another_group_s_task(crew: Crew, key: str) -> None:
    """It joins its own line, under the same id; a plain one goes on in the place of the task that it replaces."""
    other = f"{key}-other"
    assert replaced(crew, key, crew.task("act").si(other, 11), [1, 2, 3]) == 11
    crew.wait_for(other, [11])
    assert [run.attempt for run in crew.history.group(other)] == [1]


def test_replaced_by_a_plain_task(crew: Crew, key: str) -> None:
    assert replaced(crew, key, crew.task("plain").si(7), [1, 7, 2, 3]) == 7


def test_beat(crew: Crew, key: str) -> None:
    schedule = {
        "by its template": {"task": "worker.act", "schedule": 0.2, "args": (key, 1)},
        "by an option": {"task": "worker.plain", "schedule": 0.2, "args": (2,), "options": {"group_key": key}},
    }
    command = [sys.executable, "-m", "celery", "-A", "tests.support.crews.app", "beat", "--max-interval", "1"]
    command += ["-s", str(crew.directory / "schedule"), "--pidfile", ""]
    conf = {CONF: json.dumps({**crew.conf, "beat_schedule": schedule}), DIRECTORY: str(crew.directory)}
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **conf}
    with (crew.directory / "beat.log").open("wb") as log:
        beat = subprocess.Popen(dying_with_us(command), cwd=REPOSITORY, env=environment, stdout=log, stderr=log)
    try:
        until(lambda: min(map(crew.history.numbers(key).count, (1, 2))) >= 2)
    finally:
        beat.terminate()
        beat.wait(10)
    until(lambda: not crew.left_over())
    crew.history.assert_in_line(key)
    assert all(run.fence for run in crew.history.group(key))
    assert not [run for run in crew.history.runs if run.number == 2 and not run.key]
