"""The limits of a group, on real workers: how many of its tasks start within a time, and how many run at once.

A rate is judged by the fences of the runs, which are the times of their begins by the clock of Redis, in microseconds.
"""

from __future__ import annotations

from typing import Any

import pytest

from celery_groupfifo import Groups
from tests.support.crews.workers import Crew, on
from tests.support.waiting import until


def assert_rate(crew: Crew, key: str, starts: int, seconds: float) -> None:
    begins = sorted(run.fence for run in crew.history.group(key))
    spans = [later - sooner for sooner, later in zip(begins, begins[starts:], strict=False)]
    assert spans and min(spans) >= seconds * 1_000_000, spans


def ended(crew: Crew, key: str, runs: int) -> None:
    history = lambda: crew.history.group(key)  # noqa: E731
    until(lambda: sum(run.ended for run in history()) >= runs and not crew.left_over(), lambda: str(history()))


def test_a_rate(crew: Crew, key: str) -> None:
    for number in range(7):
        crew.send(key, number, group_rate="3/0.4s")
    crew.wait_for(key, list(range(7)))
    assert_rate(crew, key, 3, 0.4)


@on("prefork")
def test_a_rate_over_two_workers(crew: Crew, key: str) -> None:
    """Both workers run tasks of the group: each time that it is held, one of them is busy."""
    other = crew.another("two", slots=1).start().ready()
    try:
        for number in range(12):
            crew.send(key, number, "sleep", seconds=0.01, group_rate="2/0.2s", group_concurrency=5)
        ended(crew, key, 12)
    finally:
        other.kill()
    assert_rate(crew, key, 2, 0.2)


@on("prefork", "threads")
def test_a_rate_counts_retries_and_failures(crew: Crew, key: str) -> None:
    limits: dict[str, Any] = {"group_rate": "1/0.2s"}
    crew.send(key, 1, "retry", times=2, delay=0, **limits)
    crew.send(key, 2, "fail", group_on_failure="dead_letter", **limits)
    crew.send(key, 3, **limits)
    until(lambda: [run.number for run in crew.history.group(key) if run.ended] == [1, 1, 1, 2, 3])
    crew.history.assert_in_line(key)
    assert_rate(crew, key, 1, 0.2)
    Groups(crew.app).discard(key=key)


@on("prefork", "solo")
def test_other_groups_go_on_while_a_rate_holds_one(crew: Crew, key: str) -> None:
    for number in range(2):
        crew.send(key, number, group_rate="1/h")
    until(lambda: crew.history.group(key))
    crew.all_slots()
    assert crew.history.numbers(key) == [0]
    assert Groups(crew.app).get(key).state == "held"
    Groups(crew.app).purge(key)


@on("prefork", "threads", "gevent", "eventlet", "untuned")
def test_three_run_at_once_and_start_in_order(crew: Crew, key: str) -> None:
    for number in range(9):
        crew.send(key, number, "meet", name=f"{key}{number // 3}", crowd=3, group_concurrency=3)
    ended(crew, key, 9)
    runs = crew.history.group(key)
    assert crew.history.most_at_once(key) == 3
    assert [run.number for run in sorted(runs, key=lambda run: run.fence)] == list(range(9))


@on("solo", "threads")
def test_more_at_once_than_there_are_slots(crew: Crew, key: str) -> None:
    for number in range(20):
        crew.send(key, number, group_concurrency=50)
    ended(crew, key, 20)
    runs = sorted(crew.history.group(key), key=lambda run: run.fence)
    assert [run.number for run in runs] == list(range(20))


@on("prefork", "threads")
def test_a_worker_is_lost_with_three_of_a_group(make_crew: Any, crew: Crew, key: str) -> None:
    own: Crew = make_crew(slots=4, groupfifo_lease_ttl=2, groupfifo_sweep_interval=0.2)
    lost = own.another("lost").start().ready()
    for number in range(3):
        own.send(key, number, "wait", name="go", group_concurrency=3)
    until(lambda: len(own.history.group(key)) == 3)
    lost.kill()
    own.another("heir").start().ready()
    own.tell("go")
    for number in range(3, 6):
        own.send(key, number, group_concurrency=3)
    until(lambda: sum(run.ended for run in own.history.group(key)) == 6 and not own.left_over())
    assert [run.lost for run in own.history.group(key) if run.number < 3 and run.ended] == [1, 1, 1]


@on("prefork", "threads")
def test_an_operator_lets_a_group_go_on(crew: Crew, key: str) -> None:
    groups = Groups(crew.app)
    for number in range(3):
        crew.send(key, number, group_rate="1/h")
    until(lambda: crew.history.group(key))
    until(lambda: groups.get(key).due is not None)
    assert groups.limit(key, rate="1000/s", expires_in=3600)
    crew.wait_for_runs(key, [0, 1, 2])
    assert groups.limit(key) and not groups.limit(key)


@on("prefork")
@pytest.mark.parametrize("lasts", [None, 0.3])
def test_an_operator_s_limit_counts_for_tasks_without_one(crew: Crew, key: str, lasts: float | None) -> None:
    groups = Groups(crew.app)
    groups.limit(key, rate="1/h", expires_in=lasts)
    for number in range(2):
        crew.send(key, number)
    until(lambda: crew.history.group(key) and groups.get(key).state == "held")
    if lasts is None:
        groups.limit(key)
    crew.wait_for_runs(key, [0, 1])
