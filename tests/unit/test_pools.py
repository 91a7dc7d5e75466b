"""Jobs of a prefork pool are written in one piece, and at once where a child waits for one."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest
from celery.concurrency.prefork import TaskPool

from celery_groupfifo.worker.pools import PIPE_BUF, write_at_once

BUSY, WRITING, IDLE = 3, 4, 5


class Pool(TaskPool):  # type: ignore[misc]
    """A prefork pool without processes; what it would write to children is kept."""

    def __init__(self, *children: int) -> None:
        self.payloads: dict[int, Any] = {}
        self._pool = SimpleNamespace(
            _all_inqueues=set(children), _busy_workers={BUSY}, _active_writes={WRITING}, _cache={}, outbound_buffer=[]
        )
        self.written: list[list[int]] = []
        self.looked = 0
        self.hub = SimpleNamespace(consolidate_callback=self.written.append, on_tick=set(), writers={})

    def register_with_event_loop(self, loop: Any) -> None:
        """As Celery does: what a turn begins with is registered once, whatever comes later."""
        inner = self._pool
        inner._quick_put = self._put
        inner.on_poll_start = lambda: self._look()
        if not self.hub.on_tick:
            self.hub.on_tick.add(inner.on_poll_start)

    def _look(self) -> None:
        self.looked += 1

    def turn(self) -> None:
        """One turn of the loop."""
        (start,) = self.hub.on_tick
        start()

    def _put(self, job: Any) -> None:
        (number,), size = job[1], job[2]
        header, body = size.to_bytes(4, "big"), os.urandom(size)
        self.payloads[number] = header + body
        self._pool._cache[number] = SimpleNamespace(_payload=(memoryview(header), memoryview(body), size))

    def put(self, number: int, size: int) -> Any:
        """What of a job will be written: header, body, and the length of the body."""
        self._pool._quick_put(("TASK", (number,), size))
        return self._pool._cache[number]._payload


def pool(*children: int) -> Pool:
    made = Pool(*children)
    write_at_once(made)
    for _ in range(2):  # a loop after each reconnection
        write_at_once(made)
        made.register_with_event_loop(made.hub)
    return made


@pytest.mark.parametrize("size", [0, 100, PIPE_BUF - 4])
def test_a_job_that_fits_is_one_piece(size: int) -> None:
    made = pool()
    header, body, left = made.put(1, size)
    assert (bytes(header), bytes(body), left) == (made.payloads[1], b"", 0)


@pytest.mark.parametrize("size", [PIPE_BUF - 3, PIPE_BUF, 1_000_000])
def test_a_larger_one_stays_in_two(size: int) -> None:
    """A write of more than that may be cut short, and Celery goes on from the body alone."""
    made = pool()
    header, body, left = made.put(1, size)
    assert (len(header), left) == (4, size)
    assert bytes(header) + bytes(body) == made.payloads[1]


def test_it_goes_to_a_child_that_waits() -> None:
    made = pool(BUSY, WRITING, IDLE)
    made.put(1, 10)
    assert made.written == [[IDLE]]


def test_it_waits_where_none_does() -> None:
    made = pool(BUSY, WRITING)
    made.put(1, 10)
    assert made.written == []


def test_a_turn_with_nothing_to_write_leaves_the_pipes_alone() -> None:
    made = pool(BUSY, IDLE)
    for _ in range(3):
        made.turn()
    assert made.looked == 0


def test_a_turn_looks_for_a_pipe_where_a_job_waits() -> None:
    made = pool(BUSY)
    made._pool.outbound_buffer.append("a job")
    made.turn()
    assert made.looked == 1


def test_a_turn_takes_out_a_pipe_that_nothing_is_written_to_any_more() -> None:
    made = pool(BUSY, IDLE)
    made.hub.writers[IDLE] = None
    made.turn()
    assert made.looked == 1
