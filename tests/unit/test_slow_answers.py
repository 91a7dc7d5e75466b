"""A slow answer counts only when the sentinels still name its server."""

from __future__ import annotations

from typing import Any

import pytest

from celery_groupfifo.gate import connections, doubts
from celery_groupfifo.gate.clock import now
from celery_groupfifo.gate.connections import SLOW_SECONDS, Connections

OLD, NEW = ("old", 1), ("new", 2)


class Master:
    """Names what a test says."""

    def __init__(self, watched: bool = True) -> None:
        self.watched, self.location, self.doubted = watched, OLD, 0

    def find(self) -> Any:
        return self.location

    def last(self) -> Any:
        return self.location

    def doubt(self, error: Exception | None = None) -> None:
        self.doubted += 1


class Connection:
    """A connection that needs no server."""

    client_name = None

    def __init__(self, **options: Any) -> None: ...

    def connect(self) -> None: ...

    def disconnect(self) -> None: ...


class Clock:
    """The time of a test."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(connections, "monotonic", clock)
    return clock


def opened(master: Master) -> tuple[Connections, Any]:
    made = Connections(
        {"socket_timeout": 1}, master, lambda location: {"socket_timeout": 1, "connection_class": Connection}
    )
    return made, made.open()


def test_a_quick_answer_is_not_asked_about(clock: Clock) -> None:
    master = Master()
    made, connection = opened(master)
    master.location = NEW
    assert made.confirms(connection, clock.now - SLOW_SECONDS / 2) and not master.doubted


def test_a_slow_one_counts_while_its_server_is_named(clock: Clock) -> None:
    master = Master()
    made, connection = opened(master)
    assert made.confirms(connection, clock.now - 2 * SLOW_SECONDS) and master.doubted == 1
    master.location = NEW
    assert not made.confirms(connection, clock.now - 2 * SLOW_SECONDS) and master.doubted == 2


def test_where_nobody_knows_better_a_slow_one_counts(clock: Clock) -> None:
    master = Master(watched=False)
    made, connection = opened(master)
    assert made.confirms(connection, 0.0) and not master.doubted
    alone = Connections({"socket_timeout": 1})
    assert alone.confirms(connection, 0.0)


@pytest.mark.parametrize("how", ["slow", "failed", "moved"])
def test_runs_that_began_before_a_doubt_are_known(clock: Clock, how: str) -> None:
    master = Master()
    made, connection = opened(master)
    before = now()
    assert doubts.last() < before
    if how == "slow":
        made.confirms(connection, 0.0)
    elif how == "failed":
        made.drop(made.generation)
    else:
        master.location = NEW
        assert not made.trusts(connection)
    assert doubts.last() >= before


def test_a_lonely_server_raises_no_doubt() -> None:
    before = now()
    alone = Connections({"socket_timeout": 1})
    alone.drop(alone.generation)
    assert doubts.last() < before
