"""Cards of the page count groups."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from celery_groupfifo.flower import board as module
from celery_groupfifo.flower.board import SAMPLE, Board
from celery_groupfifo.groups import Stats, Totals
from celery_groupfifo.groups.workers import Workers


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    clock = {"now": 1_000_000.0}
    monkeypatch.setattr(module, "time", lambda: clock["now"])
    return clock


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch, clock: dict[str, float]) -> Any:
    """A board whose gate says how many runs ended: `board.finished`."""

    class Counted:
        finished = 0
        gate = SimpleNamespace(store=SimpleNamespace(look=lambda: None), keyspace=SimpleNamespace(partitions=[]))

        def stats(self) -> Stats:
            return Stats(totals=Totals(runs_finished=self.finished))

    counted = Counted()
    monkeypatch.setattr(Board, "groups", counted)
    board: Any = Board(None)
    board.counted = counted
    return board


def sample(board: Any, clock: dict[str, float], *finished: int, every: float = SAMPLE) -> None:
    for count in finished:
        board.counted.finished = count
        board.sample()
        clock["now"] += every


def test_nothing_is_known_at_first(board: Any, clock: dict[str, float]) -> None:
    assert board.throughput() == {"now": None, "points": []}
    sample(board, clock, 7)
    assert board.throughput() == {"now": None, "points": []}


def test_runs_per_minute(board: Any, clock: dict[str, float]) -> None:
    began = clock["now"]
    sample(board, clock, 0, 10, 10, 40, every=5)
    said = board.throughput()
    assert said["points"] == [[began + 5, 120.0], [began + 10, 0.0], [began + 15, 360.0]]
    assert said["now"] == 40 * 60 / 15


def test_now_is_the_last_minute(board: Any, clock: dict[str, float]) -> None:
    sample(board, clock, 0, 6_000)
    clock["now"] += 300
    sample(board, clock, 6_000, 6_030, every=30)
    assert board.throughput()["now"] == 60.0


def test_counts_that_begin_anew_are_no_negative_rate(board: Any, clock: dict[str, float]) -> None:
    sample(board, clock, 100, 3)
    assert [rate for _, rate in board.throughput()["points"]] == [0]
    assert board.throughput()["now"] == 0


def test_a_page_that_is_asked_for_without_pause_comes_later(board: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", wait)
    share, burst, longest = module.PACE
    assert asyncio.run(board.call(lambda: "answer")) == "answer"
    assert waited == []
    board._pace.spent(burst + share * longest)
    assert asyncio.run(board.call(lambda: "answer")) == "answer"
    assert waited == [pytest.approx(longest, rel=0.1)]


def test_the_work_of_an_answer_counts(board: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spent: list[float] = []
    monkeypatch.setattr(board._pace, "spent", lambda seconds, charged: spent.append(seconds))
    asyncio.run(board.call(lambda: sum(range(100_000))))
    assert len(spent) == 1 and spent[0] > 0


def test_workers_that_could_not_be_asked_leave_no_queue_unconsumed(board: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker is full: nothing is known of who consumes what, so nothing is said of it."""

    def ask(self: Workers, call: object, destination: object = None) -> dict[str, Any]:
        self.error = "OOM command not allowed"
        return {}

    monkeypatch.setattr(Workers, "ask", ask)
    monkeypatch.setattr(module, "queues_with_heads", lambda app, reader: {"celery"})
    said = board._fleet()
    assert (said["queues"], said["unconsumed_queues"], said["error"]) == ({}, [], "OOM command not allowed")
