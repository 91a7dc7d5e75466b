"""Signals and events without a worker: what they carry, and what they cost when nobody listens."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from celery_groupfifo import signals
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Failure, Ticket
from celery_groupfifo.sending.context import Continuation
from celery_groupfifo.worker import events
from tests.support.crews.app import make_app

TICKET = Ticket(
    "groupfifo:0", 1_700_000_000_000_000, 2, 1_600_000_000_000_000, "an-id", quote("g"), 1_700_000_000_000_001
)


class Dispatcher:
    """Celery's, as far as it is used."""

    def __init__(self, *groups: str) -> None:
        self.enabled, self.groups = True, set(groups)
        self.buffer_group: Any = ["task"]
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def send(self, kind: str, **fields: Any) -> None:
        self.sent.append((kind, fields))


def told_by(dispatcher: Dispatcher | None) -> events.Events:
    consumer = SimpleNamespace(hostname="one@host", event_dispatcher=dispatcher)
    return events.Events(consumer, lambda call: call(), lambda call: call())


@pytest.fixture
def run() -> Any:
    return SimpleNamespace(
        ticket=TICKET,
        key="a key",
        name="a.task",
        attempt=4,
        outcome="success",
        since=0.0,
        worker_lost=False,
        continuation=Continuation(TICKET, "a key", 3),
    )


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    app = make_app(broker_url=redis_url, task_ignore_result=True)
    yield app
    app.close()


def test_a_park_is_told(app: Celery) -> None:
    found = []

    def receive(signal: Any, **arguments: Any) -> None:
        found.append(arguments)

    signals.group_parked.connect(receive)
    try:
        first = app.tasks["worker.act"].delay("key", 1)
        second = app.tasks["worker.act"].apply_async(("key", 2), countdown=60)
        app.tasks["worker.act"].apply_async(("key", 1), task_id=first.id)  # parked already
    finally:
        signals.group_parked.disconnect(receive)

    delay = found[1].pop("delay")
    assert 59 < delay <= 60
    assert found == [
        {"sender": "worker.act", "key": "key", "task_id": first.id, "delay": 0},
        {"sender": "worker.act", "key": "key", "task_id": second.id},
    ]


def test_nothing_is_built_when_nobody_listens(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("built for nobody")

    monkeypatch.setattr(events.Events, "_tell", never)
    monkeypatch.setattr(events.logger, "isEnabledFor", lambda level: False)
    for dispatcher in (None, Dispatcher("worker")):
        told = told_by(dispatcher)
        told.begun(run)
        told.finished(run, 1.0)
        told.surrendered(run)
        told.stale(run)


def test_an_event_names_its_run(run: Any) -> None:
    dispatcher = Dispatcher()
    told_by(dispatcher).begun(run)

    [(kind, fields)] = dispatcher.sent
    assert kind == "groupfifo-begun"
    assert {name: fields[name] for name in ("uuid", "task", "key", "fence", "attempt", "lost")} == {
        "uuid": "an-id",
        "task": "a.task",
        "key": "a key",
        "fence": TICKET.fence,
        "attempt": 4,
        "lost": 2,
    }
    assert fields["task_wait"] > fields["slot_wait"] > 0
    assert set(dispatcher.buffer_group) == {"task", "groupfifo"}


def test_events_follow_task_events_that_are_switched_on(run: Any) -> None:
    """`celery control enable_events` adds a group to a dispatcher that has some."""
    dispatcher = Dispatcher("worker")
    told = told_by(dispatcher)
    told.finished(run, None)
    assert dispatcher.sent == []
    dispatcher.groups.add("task")
    told.finished(run, None)
    assert [kind for kind, _ in dispatcher.sent] == ["groupfifo-finished"]
    assert "groupfifo" in dispatcher.groups


def test_an_event_that_fails_hurts_nobody(run: Any) -> None:
    dispatcher = Dispatcher()

    def fail(kind: str, **_: Any) -> None:
        raise ConnectionError(kind)

    dispatcher.send = fail  # type: ignore[method-assign]
    told_by(dispatcher).finished(run, None)


@pytest.mark.parametrize(
    ("outcome", "due", "word"),
    [
        ("success", None, "success"),
        ("ignored", None, "ignored"),
        ("ignored", 0.0, "replaced"),
        ("failure", 1.0, "retry"),
    ],
)
def test_outcomes(run: Any, outcome: str, due: float | None, word: str) -> None:
    run.outcome = outcome
    assert events.outcome_of(run, due) == word


def test_a_block_is_told_with_its_cause(run: Any) -> None:
    found = []

    def receive(signal: Any, sender: Any, **arguments: Any) -> None:
        found.append((sender, arguments))

    run.failure = Failure("block", "a.task", "ValueError: boom", "one@host")
    signals.group_blocked.connect(receive)
    dispatcher = Dispatcher()
    try:
        told_by(dispatcher).blocked(run)
    finally:
        signals.group_blocked.disconnect(receive)
    [(sender, arguments)] = found
    assert (sender, arguments["key"], arguments["task_id"]) == ("a.task", "a key", "an-id")
    assert (arguments["exception"], arguments["worker"]) == ("ValueError: boom", "one@host")
    [(kind, fields)] = dispatcher.sent
    assert (kind, fields["exception"], fields["uuid"]) == ("groupfifo-blocked", "ValueError: boom", "an-id")


def test_a_line_names_group_fence_and_attempt(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    events.logger.addHandler(caplog.handler)
    try:
        told_by(None).lease_lost(run)
    finally:
        events.logger.removeHandler(caplog.handler)

    record = caplog.records[0]
    assert record.levelno == logging.ERROR
    assert f"a.task[an-id] (group 'a key', fence {TICKET.fence}, attempt 4)" in record.getMessage()
    said: Any = record
    assert (said.group_key, said.fence, said.attempt, said.task_id) == ("a key", TICKET.fence, 4, "an-id")


@pytest.mark.parametrize("name", ["reclaimed", "tickets_lost"])
def test_a_sweep_does_not_wait_for_receivers(name: str) -> None:
    found: list[int] = []
    aside: list[Any] = []
    told = events.Events(SimpleNamespace(hostname="one@host", event_dispatcher=None), lambda call: call(), aside.append)

    def receive(count: int, **_: Any) -> None:
        found.append(count)

    signal = getattr(signals, f"group_{name}")
    signal.connect(receive)
    try:
        getattr(told, name)(3)
        assert found == []
        for call in aside:
            call()
        assert found == [3]
    finally:
        signal.disconnect(receive)


def test_a_thread_of_our_own_leaves_the_sending_of_events_to_the_loop(run: Any) -> None:
    """Celery's connection belongs to its own thread, which may be in the middle of a write."""
    dispatcher, soon = Dispatcher(), list[Any]()
    consumer = SimpleNamespace(hostname="one@host", event_dispatcher=dispatcher)
    told = events.Events(consumer, soon.append, lambda call: call())
    for name, steps in (("groupfifo-answers", 1), ("MainThread", 0)):
        soon.clear()
        thread = threading.Thread(target=told.surrendered, args=(run,), name=name)
        thread.start()
        thread.join(20)
        assert len(soon) == steps
    assert [kind for kind, _ in dispatcher.sent] == ["groupfifo-surrendered"]
