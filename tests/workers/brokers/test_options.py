"""The options that change what is released, with RabbitMQ as the broker: one scene each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from celery import chain

from celery_groupfifo import Groups
from celery_groupfifo.testing import embedded
from tests.support.crews.workers import Crew
from tests.support.waiting import until

pytestmark = pytest.mark.rabbitmq


def _crew(factory: pytest.TempPathFactory, server: embedded.Server, broker: str, queue: str, **conf: str) -> Crew:
    own: dict[str, Any] = {"groupfifo_url": f"{server.url}/1", "task_default_queue": queue, **conf}
    own["worker_enable_remote_control"] = False  # the nodes have one name, and RabbitMQ one queue for it
    crew = Crew(factory.mktemp("crew"), broker, f"{server.url}/2", **own)
    crew.worker.start().ready()
    return crew


@pytest.fixture(scope="module")
def server() -> Iterator[embedded.Server]:
    """The gate's, and that of the results."""
    with embedded.start(appendonly=False) as server:
        yield server


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory, server: embedded.Server, rabbitmq_url: str) -> Iterator[Crew]:
    """A worker with four slots for all scenes."""
    crew = _crew(tmp_path_factory, server, rabbitmq_url, "options")
    yield crew
    crew.close()


def test_a_batch_is_what_stands_in_line(crew: Crew, key: str) -> None:
    crew.send(key, 0, "wait", "batch", name=key)
    path = crew.directory / "batches"
    until(path.exists)
    sent = [crew.send(key, number, task="batch") for number in range(1, 14)]
    crew.tell(key)
    assert [result.get(timeout=30) for result in sent] == [*range(1, 14)]
    until(lambda: not crew.left_over(), lambda: str(crew.left_over()))
    batches = [json.loads(line)["numbers"] for line in path.read_text().splitlines()]
    assert batches == [[0], [*range(1, 11)], [11, 12, 13]]


def test_chains_do_not_interleave(crew: Crew, key: str) -> None:
    go_on = crew.line_up(key)
    for first in (10, 20, 30):
        steps = chain(crew.task("act").si(key, first + number) for number in range(3))
        crew.keep([steps.apply_async(group_hold_until="chain")])
    go_on()
    crew.wait_for(key, [0, 10, 11, 12, 20, 21, 22, 30, 31, 32])


def test_a_task_of_two_groups_waits_for_both(crew: Crew, key: str) -> None:
    """Timeline: a group waits for its first task. What is behind it in either group waits for the one in both."""
    first, second = f"{key}-1", f"{key}-2"
    go_on = crew.line_up(first)
    for number, keys in enumerate(([first, second], [second], [second, first], [first]), start=1):
        crew.keep([crew.task("act").apply_async((key, number), group_key=keys if len(keys) > 1 else keys[0])])
    crew.send(f"{key}-other", 9)
    crew.wait_for_runs(f"{key}-other", [9])
    go_on()
    until(lambda: not crew.left_over(), lambda: str(crew.left_over()))
    runs = sorted((run.fence, run.number) for each in (first, second) for run in crew.history.group(each))
    assert [number for _, number in runs] == [0, 1, 2, 3, 4]


def test_tenants_take_turns(crew: Crew, key: str) -> None:
    """Without fair keys each task of the single group waits for one of every other group: for 30 starts."""
    for number in range(crew.slots):
        crew.send(f"{key}-slot-{number}", number, "wait", name=key)
    until(lambda: crew.begun() >= crew.slots)
    for number in range(2):
        for group in range(30):
            crew.send(f"{key}-a-{group}", number, group_fair_key="a")
    for number in range(4):
        crew.send(f"{key}-b", number, group_fair_key="b")
    crew.tell(key)
    crew.wait_for(f"{key}-b", [0, 1, 2, 3])
    fences = [run.fence for group in range(30) for run in crew.history.group(f"{key}-a-{group}")]
    before = [sum(fence < run.fence for fence in fences) for run in crew.history.group(f"{key}-b")]
    turn = crew.slots * (1 + 2) + 1
    assert len(fences) == 60 and all(many <= turn * (place + 1) for place, many in enumerate(before)), before


def test_late_producers_are_sorted(crew: Crew, key: str) -> None:
    late = Groups(crew.app).stats().totals.tasks_late
    for number in range(8, 0, -1):
        crew.send(key, number, group_order_by=number, group_reorder_window=1.5)
    crew.wait_for_runs(key, [*range(1, 9)])
    assert Groups(crew.app).stats().totals.tasks_late == late


def test_producers_wait_for_room(crew: Crew, key: str) -> None:
    bound: dict[str, Any] = {"group_max_depth": 2, "group_overflow": "wait", "group_overflow_timeout": 30}
    go_on = crew.line_up(key)
    until(lambda: crew.history.group(key))
    with ThreadPoolExecutor(3) as threads:
        sent = [threads.submit(crew.send, key, number, **bound) for number in range(1, 7)]
        until(lambda: sum(each.done() for each in sent) == 2)
        assert Groups(crew.app).get(key).depth == 3, "two wait in line, and one runs"
        go_on()
    until(lambda: len(crew.history.group(key)) == 7 and not crew.left_over())
    assert sorted(crew.history.numbers(key)) == [*range(7)]
    crew.history.assert_in_line(key)


def test_what_is_broken_without_order_is_counted(
    tmp_path_factory: pytest.TempPathFactory, server: embedded.Server, rabbitmq_url: str, key: str
) -> None:
    """Observe mode: two tasks of a group wait for each other, so they run at the same time."""
    own = {"groupfifo_mode": "observe", "groupfifo_namespace": "observed"}
    crew = _crew(tmp_path_factory, server, rabbitmq_url, "observed", **own)
    try:
        for number in (1, 2):
            crew.send(key, number, "meet", name=key, crowd=2)
        until(lambda: Groups(crew.app).report().runs == 2, crew.worker.log[-2000:])
        report = Groups(crew.app).report()
        assert (report.overlaps, report.not_counted) == (1, 0)
        assert report.overtaken in (0, 1), "either of the two may start first"
    finally:
        crew.close()
