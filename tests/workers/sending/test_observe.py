"""Observe mode: tasks run as in plain Celery, and the gate counts how often their order and exclusion were broken."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from celery.result import AsyncResult

from celery_groupfifo import Groups, WrongState
from celery_groupfifo.groups import Report
from celery_groupfifo.testing import embedded
from tests.support.crews.app import make_app
from tests.support.crews.workers import Crew
from tests.support.waiting import until

Make = Callable[..., Crew]


def started(make_crew: Make, pool: str, slots: int, **conf: Any) -> Crew:
    crew = make_crew(pool, slots, groupfifo_mode="observe", **conf)
    crew.worker.start().ready()
    return crew


def reported(crew: Crew, runs: int) -> Report:
    """The report, once so many runs were counted."""
    until(lambda: Groups(crew.app).report().runs >= runs, lambda: str(Groups(crew.app).report()))
    return Groups(crew.app).report()


def counts(report: Any) -> tuple[int, ...]:
    return report.runs, report.overlaps, report.overtaken, report.late_retries, report.not_counted


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent", "eventlet"])
def test_what_is_broken_is_counted(make_crew: Make, pool: str) -> None:
    crew = started(make_crew, pool, 2)
    # Two tasks of a group wait for each other: they run at the same time.
    ids = [crew.send("together", number, "meet", name="crowd", crowd=2).id for number in (1, 2)]
    (group,) = reported(crew, 2).groups
    assert (group.key, group.runs, group.overlaps, group.not_counted) == ("together", 2, 1, 0)
    example = group.first["overlaps"]
    assert {example.task_id, example.other_id} == set(ids)
    assert (example.task, example.other_task) == ("worker.act", "worker.act")
    # A task waits in a queue that nobody consumes, until its successor has run.
    crew.app.send_task("worker.act", ("k", 1), group_key="late", task_id="first", queue="later", ignore_result=True)
    crew.app.send_task("worker.plain", (2,), group_key="late", task_id="second", ignore_result=True)
    reported(crew, 3)
    crew.app.control.add_consumer("later", reply=True)
    report = reported(crew, 4)
    assert (report.overlaps, report.not_counted, report.broken_groups) == (1, 0, 2)
    (late,) = [group for group in report.groups if group.key == "late"]
    assert counts(late) == (2, 0, 1, 0, 0)
    example = late.last["overtaken"]
    assert (example.task_id, example.other_id, example.other_task) == ("first", "second", "worker.plain")


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_one_slot_breaks_nothing(make_crew: Make, pool: str) -> None:
    """Nor does a retry that nobody overtakes. A task with an ETA has no place, and a plain task without a key none."""
    crew = started(make_crew, pool, 1)
    for number in range(6):
        crew.send("k", number)
    retried = crew.send("other", 1, "retry", delay=0.05)
    crew.keep([crew.task("act").apply_async(("timed", 1), countdown=0.5), crew.task("plain").delay(9)])
    crew.send("timed", 2)
    crew.state(retried, "SUCCESS")
    report = reported(crew, 10)
    assert counts(report) == (10, 0, 0, 0, 0)
    assert {group.key: group.runs for group in report.groups} == {"k": 6, "other": 2, "timed": 2}


def test_a_retry_behind_its_successors(make_crew: Make) -> None:
    crew = started(make_crew, "prefork", 1)
    retried = crew.send("k", 1, "retry", delay=0.5)
    crew.send("k", 2)
    crew.state(retried, "SUCCESS")
    report = reported(crew, 3)
    assert counts(report) == (3, 0, 0, 1, 0)
    assert report.groups[0].last["late_retries"].task_id == retried.id


def test_as_in_plain_celery(make_crew: Make) -> None:
    """No gate takes part: no ticket, no lease, no run of a group, and the app's own `acks_late`."""
    crew = started(make_crew, "prefork", 2)
    first = crew.send("k", 1, "headers")
    crew.state(first, "SUCCESS")
    lost = crew.send("k", 2, "disappear")
    with pytest.raises(Exception, match=r"Worker exited|exited prematurely"):
        lost.get(timeout=30)
    assert crew.left_over() == {"observed": b"hash", "observed_ages": b"zset", "observed_totals": b"hash"}
    answer = crew.app.control.inspect(timeout=2).stats()
    (stats,) = answer.values()
    assert stats["groupfifo"]["settings"]["groupfifo_mode"] == "observe"
    ordering = make_app(**crew.conf | {"groupfifo_mode": "order"})
    (settings,) = [check for check in Groups(ordering).doctor() if check.name == "settings"]
    assert not settings.ok and "groupfifo_mode is 'observe'" in settings.what, "a mixed fleet is named"
    ordering.close()


def test_a_gate_that_hangs_delays_no_task(make_crew: Make, redis_server: embedded.Server) -> None:
    with embedded.start() as gate:
        crew = started(make_crew, "prefork", 2, groupfifo_url=gate.url)
        crew.send("k", 0)
        reported(crew, 1)
        assert gate.pid is not None
        os.kill(gate.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            results: list[AsyncResult] = [crew.send("k", number) for number in range(1, 101)]
            sent = time.monotonic() - began
            for result in results:
                crew.state(result, "SUCCESS")
        finally:
            os.kill(gate.pid, signal.SIGCONT)
        assert sent < 5, "100 sends; each would take a second if it waited for the gate"
        crew.worker.logs("The gate does not count")
        assert not Groups(crew.app).report().overtaken


def test_verbs_say_why_they_do_nothing(make_crew: Make) -> None:
    crew = make_crew(groupfifo_mode="observe")
    groups = Groups(crew.app)
    for call in (groups.pause, groups.drain, groups.purge, groups.retry, groups.redrive):
        with pytest.raises(WrongState, match=r"groupfifo_mode is 'observe'.* nothing to "):
            call("k")
    assert groups.revoke("nobody") is False
    (mode,) = [check for check in groups.status() if check.name == "mode"]
    assert mode.ok and "the gate only counts" in mode.what
