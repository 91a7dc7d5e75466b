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
            _all_inqueues=set(children), _busy_workers={BUSY}, _active_writes={WRITING}, _cache={}
        )
        self.written: list[list[int]] = []
        self.hub = SimpleNamespace(consolidate_callback=self.written.append)

    def register_with_event_loop(self, loop: Any) -> None:
        self._pool._quick_put = self._put

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
