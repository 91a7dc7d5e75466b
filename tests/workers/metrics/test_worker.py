"""A real worker tells signals, events and metrics of each way in which a run can end."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery.events.state import State

from tests.support.crews.workers import Crew, Worker
from tests.support.waiting import until

LOUD = ("-I", "tests.workers.metrics.listener")


def told(crew: Crew, name: str = "") -> list[dict[str, Any]]:
    file = crew.directory / "signals"
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [line for line in lines if not name or line["signal"] == f"group_{name}"]


def loud(crew: Crew, name: str = "loud", *options: str, pool: str = "threads") -> Worker:
    return crew.another(name, pool=pool, slots=2, options=[*LOUD, *options]).start().ready()


@contextmanager
def events(crew: Crew, wanted: int) -> Iterator[list[dict[str, Any]]]:
    """All events from now on, until there are `wanted` ones of ours."""
    found: list[dict[str, Any]] = []

    def listen() -> None:
        with crew.app.connection_for_read() as connection:
            receiver = crew.app.events.Receiver(connection, handlers={"*": found.append})
            consumer = receiver.itercapture(limit=None, timeout=None, wakeup=False)
            ready.set()
            for _ in consumer:
                if sum(event["type"].startswith("groupfifo-") for event in found) >= wanted or done.is_set():
                    return

    ready, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    ready.wait(60)
    until(lambda: crew.redis.exists("_kombu.binding.celeryev"), "nobody listens to events")
    yield found
    thread.join(60)
    done.set()


@pytest.mark.parametrize(
    ("deed", "outcomes", "on_retry"),
    [
        ("succeed", ["success"], "hold"),
        ("fail", ["failure"], "hold"),
        ("ignore", ["ignored"], "hold"),
        ("reject", ["rejected"], "hold"),
        ("retry", ["retry", "success"], "hold"),
        ("retry", ["retry", "success"], "release"),
    ],
)
def test_each_run_is_told(crew: Crew, deed: str, outcomes: list[str], on_retry: str) -> None:
    since = time.monotonic()
    loud(crew)
    result = crew.send("key", 1, deed, group_on_retry=on_retry)
    until(lambda: len(told(crew, "finished")) == len(outcomes), lambda: told(crew))

    begun, finished, held = (told(crew, name) for name in ("begun", "finished", "held"))
    assert [line["outcome"] for line in finished] == outcomes
    assert [line["attempt"] for line in begun] == list(range(1, len(outcomes) + 1))
    assert [line["fence"] for line in begun] == [line["fence"] for line in finished]
    assert len(held) == (outcomes.count("retry") if on_retry == "hold" else 0)
    for line in begun + finished + held:
        assert (line["sender"], line["key"], line["task_id"], line["worker"]) == (
            "worker.act",
            "key",
            result.id,
            "loud@test",
        )
    assert 0 <= begun[0]["slot_wait"] <= begun[0]["task_wait"] < time.monotonic() - since, "in seconds"
    assert begun[0]["handoff"] is None


def test_a_handoff_is_told(crew: Crew) -> None:
    since = time.monotonic()
    for number in range(3):
        crew.send("key", number)
    loud(crew)
    until(lambda: len(told(crew, "finished")) == 3, lambda: told(crew))

    first, *others = told(crew, "begun")
    assert first["handoff"] is None
    assert all(0 < line["handoff"] < time.monotonic() - since for line in others), "in seconds"


def test_a_revoked_run_is_told(crew: Crew) -> None:
    loud(crew, pool="prefork")
    result = crew.send("key", 1, "sleep", seconds=30)
    until(lambda: crew.history.group("key"))
    crew.app.control.revoke(result.id, terminate=True)
    until(lambda: told(crew, "finished"))

    assert told(crew, "finished")[0]["outcome"] == "revoked"


def test_a_surrender_is_told(crew: Crew) -> None:
    loud(crew, pool="prefork")
    crew.send("key", 1, "die")
    until(lambda: len(told(crew, "finished")) == 1, lambda: told(crew))

    assert [line["worker_lost"] for line in told(crew, "surrendered")] == [True]
    assert [line["lost"] for line in told(crew, "begun")] == [0, 1]


def test_a_lost_worker_and_a_lost_lease_are_told(crew: Crew) -> None:
    """Timeline: a worker is frozen past its lease, another one takes over, the first one wakes."""
    first = loud(crew, "first")
    crew.send("key", 1, "sleep", seconds=1)
    until(lambda: crew.history.group("key"))
    os.kill(first.pid, signal.SIGSTOP)
    loud(crew, "second")
    until(lambda: told(crew, "reclaimed"), lambda: told(crew))
    os.kill(first.pid, signal.SIGCONT)
    until(lambda: told(crew, "lease_lost"), lambda: told(crew))

    assert told(crew, "reclaimed") == [
        {"signal": "group_reclaimed", "sender": None, "count": 1, "worker": "second@test"}
    ]
    [lost] = told(crew, "lease_lost")
    assert (lost["key"], lost["worker"], lost["fence"]) == ("key", "first@test", told(crew, "begun")[0]["fence"])
    [line] = [line for line in first.log.splitlines() if "has lost its lease" in line]
    assert f"(group 'key', fence {lost['fence']}, attempt 1)" in line


def test_events_are_sent_where_task_events_are_on(crew: Crew) -> None:
    worker = loud(crew, "loud", "-E", pool="prefork")
    with events(crew, 4) as found:
        result = crew.send("key", 1, "retry")

    ours = [event for event in found if event["type"].startswith("groupfifo-")]
    assert [event["type"] for event in ours[:4]] == [
        "groupfifo-begun",
        "groupfifo-finished",
        "groupfifo-held",
        "groupfifo-begun",
    ]
    assert {(event["uuid"], event["key"], event["hostname"]) for event in ours} == {(result.id, "key", "loud@test")}
    assert all(event["pid"] == worker.pid for event in ours)
    state = State()
    for event in found:
        state.event(event)
    assert set(state.workers) <= {"loud@test"}, "a monitor sees a worker that is none"


def test_no_events_are_sent_where_task_events_are_off(crew: Crew) -> None:
    loud(crew)
    with events(crew, 1) as found:
        crew.send("key", 1)
        until(lambda: told(crew, "finished"))
        with crew.app.events.default_dispatcher() as ours:
            ours.send("groupfifo-end")

    assert [event["type"] for event in found if event["type"].startswith(("groupfifo-", "task-"))] == ["groupfifo-end"]


def test_a_worker_counts_its_runs(crew: Crew) -> None:
    for number in range(3):
        crew.send("key", number)
    crew.send("key", 3, "fail")
    worker = loud(crew)
    until(lambda: len(told(crew, "finished")) == 4, lambda: told(crew))
    worker.send(signal.SIGTERM)
    worker.wait()

    text = (crew.directory / "metrics").read_text()
    for line in (
        'groupfifo_run_outcomes_total{outcome="success",task="worker.act"} 3.0',
        'groupfifo_run_outcomes_total{outcome="failure",task="worker.act"} 1.0',
        'groupfifo_task_wait_seconds_count{task="worker.act"} 4.0',
        "groupfifo_slot_wait_seconds_count 4.0",
        "groupfifo_handoff_seconds_count 3.0",
        "groupfifo_lease_losses_total 0.0",
        "groupfifo_stale_deliveries_total 0.0",
    ):
        assert line in text


def test_a_doubled_ticket_is_told(crew: Crew) -> None:
    crew.send("key", 1)
    ticket = crew.redis.lindex("celery", 0)
    assert ticket is not None
    crew.redis.lpush("celery", ticket)
    loud(crew)
    until(lambda: told(crew, "stale"), lambda: told(crew))

    crew.wait_for("key", [1])
    assert (told(crew, "stale")[0]["key"], told(crew, "stale")[0]["sender"]) == ("key", "worker.act")
