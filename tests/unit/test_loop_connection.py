"""The line of the consumer's loop to the gate, over connections that a test makes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from celery_groupfifo.gate.pipelined import Pipelined
from celery_groupfifo.worker.gate_call import GateCall
from celery_groupfifo.worker.loop_connection import LoopConnection


class Connection:
    """One to the gate, whose descriptor has always the same number."""

    trusted = True

    def __init__(self) -> None:
        self.commands = 0

    def fileno(self) -> int:
        return 7

    def send(self, commands: Sequence[Any]) -> bool:
        self.commands += len(commands)
        return True

    def end(self) -> None: ...

    def close(self) -> None: ...


class Hub:
    """Celery's event loop, as far as a line uses it."""

    def __init__(self) -> None:
        self.on_tick = set[Any]()
        self.readers: dict[int, Any] = {}

    def add_reader(self, number: int, call: Any, *args: Any) -> None:
        self.readers[number] = args

    def remove(self, number: int) -> None:
        self.readers.pop(number, None)


def test_the_next_connection_may_have_the_number_of_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answers are heard all the same: the number of a socket that is closed is the next one's."""
    hub, opened, kept = Hub(), list[Connection](), list[GateCall]()
    loop: Any = SimpleNamespace(hub=hub, here=True, soon=lambda step: step(), later=lambda seconds, step: None)
    store: Any = SimpleNamespace(command=lambda script, call: [script], timeout=1.0)
    connection = LoopConnection(loop, store, threading.Condition(), lambda calls, first: kept.extend(calls))

    def make(*args: Any) -> Connection:
        opened.append(Connection())
        return opened[-1]

    monkeypatch.setattr(Pipelined, "open", make)
    connection.attach()
    for number in range(2):
        connection.open()
        connection.tried()
        call = GateCall("begin", ("k", [], []), lambda reply, call: None, [])  # type: ignore[arg-type]
        connection.send(call)
        (flush,) = hub.on_tick
        flush()
        assert opened[number].commands == 1 and hub.readers == {7: (opened[number],)}
        connection.drop()
        assert kept.pop() is call and not hub.readers


@pytest.mark.parametrize(
    ("watched", "seconds", "believed"), [(True, 2.0, False), (True, 0.0, True), (False, 2.0, True)]
)
def test_a_slow_answer_of_a_watched_server_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, watched: bool, seconds: float, believed: bool
) -> None:
    """Its server may have frozen, and another one have taken over: the postman asks the right one."""
    hub, kept, answers, doubted = Hub(), list[GateCall](), list[Any](), list[bool]()
    loop: Any = SimpleNamespace(hub=hub, here=True, soon=lambda step: step(), later=lambda seconds, step: None)
    store: Any = SimpleNamespace(command=lambda script, call: [script], timeout=5.0)
    connection = LoopConnection(loop, store, threading.Condition(), lambda calls, first: kept.extend(calls))
    made: Any = Connection()
    made.watched, made.read, made.suspect = watched, lambda: ["reply"], lambda: doubted.append(True)
    monkeypatch.setattr(Pipelined, "open", lambda *args: made)
    connection.attach()
    connection.open()
    connection.tried()
    call = GateCall("begin", ("k", [], []), lambda reply, call: answers.append(reply), [])  # type: ignore[arg-type]
    connection.send(call)
    (flush,) = hub.on_tick
    flush()
    call.sent -= seconds
    connection._readable(made)
    assert (answers, kept) == ((["reply"], []) if believed else ([], [call]))
    assert doubted == ([] if believed else [True]) and connection.wanted is not believed
