"""A prefork pool with few system calls: a job is one piece and goes to who waits for it, answers are read at once."""

from __future__ import annotations

import os
import pickle
from collections import Counter, deque
from collections.abc import Iterator
from inspect import isgenerator
from types import SimpleNamespace
from typing import Any

import pytest
from celery.concurrency.prefork import TaskPool

from celery_groupfifo.worker.prefork import LENGTH, PIPE_BUF, PIPE_SIZE, spare_calls

BUSY, WRITING, IDLE = 3, 4, 5


class Pool(TaskPool):
    """A prefork pool without processes; what it would write to children is kept."""

    def __init__(self, *children: int) -> None:
        self.payloads: dict[int, Any] = {}
        self._pool = SimpleNamespace(
            _all_inqueues=set(children),
            _busy_workers={BUSY},
            _active_writes={WRITING},
            _fileno_to_inq={pipe: SimpleNamespace(index=pipe) for pipe in children},
            write_stats=Counter(),
            _cache={},
            outbound_buffer=deque(),
        )
        self._pool._result_handler = SimpleNamespace(fileno_to_outq={}, on_state_change=None)
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
        job = self._pool._cache[number] = SimpleNamespace(_payload=(memoryview(header), memoryview(body), size))
        self._pool.outbound_buffer.append(job)

    def put(self, number: int, size: int) -> Any:
        """Return what of a job will be written: header, body, and the length of the body."""
        self._pool._quick_put(("TASK", (number,), size))
        return self._pool._cache[number]._payload


def pool(*children: int) -> Pool:
    made = Pool(*children)
    spare_calls(made)
    for _ in range(2):  # a loop after each reconnection
        spare_calls(made)
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


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The ends of a child's pipe, its own first."""
    out, into = os.pipe()
    os.set_blocking(into, False)
    yield out, into
    os.close(out)
    os.close(into)


def test_it_is_written_to_a_child_that_waits(pipe: tuple[int, int]) -> None:
    out, into = pipe
    made = pool(BUSY, WRITING, into)
    made.put(1, 10)
    assert os.read(out, 1000) == made.payloads[1]
    inner, job = made._pool, made._pool._cache[1]
    assert made.written == [], "without Celery's generator"
    assert not inner.outbound_buffer
    assert inner._busy_workers == {BUSY, into}
    assert job._write_to is job._scheduled_for is inner._fileno_to_inq[into]
    assert inner.write_stats == {into: 1}


def test_the_next_one_waits_for_another_child(pipe: tuple[int, int]) -> None:
    out, into = pipe
    made = pool(into)
    made.put(1, 10)
    made.put(2, 10)
    assert os.read(out, 1000) == made.payloads[1]
    assert list(made._pool.outbound_buffer) == [made._pool._cache[2]]


@pytest.mark.parametrize("why", ["large", "full", "closed", "behind others", "no process"])
def test_else_celery_writes_it(pipe: tuple[int, int], why: str) -> None:
    out, into = pipe
    made = pool(BUSY, into)
    if why == "full":
        while True:
            try:
                os.write(into, bytes(PIPE_BUF))
            except BlockingIOError:
                break
    elif why == "closed":
        made = pool(BUSY, -1)
    elif why == "behind others":
        made._pool.outbound_buffer.append("a job")
    elif why == "no process":
        made._pool._fileno_to_inq.clear()
    made.put(1, PIPE_BUF if why == "large" else 10)
    inner, job = made._pool, made._pool._cache[1]
    assert made.written == [[-1 if why == "closed" else into]]
    assert inner.outbound_buffer[-1] is job
    assert inner._busy_workers == {BUSY}
    assert not hasattr(job, "_write_to")
    os.set_blocking(out, False)
    if why != "full":
        with pytest.raises(BlockingIOError):
            os.read(out, 1)


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


class Child:
    """A pipe from a child, and the loop that hears of it; what is told of its messages is kept.

    Attributes:
        refused: Messages that raise a ValueError.
    """

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.refused: set[Any] = set()
        self.out, self.into = os.pipe()
        os.set_blocking(self.out, False)
        os.set_blocking(self.into, False)
        self.processes = {self.out: "a process"}
        made = Pool()
        made._pool._result_handler = SimpleNamespace(fileno_to_outq=self.processes, on_state_change=self._hear)
        spare_calls(made)
        made.register_with_event_loop(made.hub)
        self.readers: dict[int, Any] = {}
        hub = SimpleNamespace(add_reader=self._add, remove_reader=lambda pipe: self.readers.pop(pipe, None))
        self.readable = made._pool._result_handler._make_process_result(hub)
        self._add(self.out, self.readable, self.out)

    def _add(self, pipe: int, callback: Any, *args: Any) -> None:
        self.readers[pipe] = (callback, args)

    def _hear(self, message: Any) -> None:
        self.told.append(message)
        if message in self.refused:
            raise ValueError(message)

    def send(self, text: bytes) -> int:
        """Write what fits into the pipe. Returns how much that was."""
        return os.write(self.into, text) if text else 0

    def turn(self) -> None:
        """The loop sees that the pipe is readable, and does what kombu's does."""
        callback, args = self.readers[self.out]
        if not isgenerator(callback):
            callback(*args)
        else:
            next(callback, None)


@pytest.fixture
def child() -> Iterator[Child]:
    made = Child()
    yield made
    os.close(made.out)
    os.close(made.into)


def packed(*messages: Any) -> bytes:
    """Messages as billiard writes them."""
    texts = [pickle.dumps(message) for message in messages]
    return b"".join(LENGTH.pack(len(text)) + text for text in texts)


def test_all_that_came_is_read_in_one_turn(child: Child) -> None:
    child.send(packed("accepted", "done", "accepted"))
    child.turn()
    assert child.told == ["accepted", "done", "accepted"]
    assert child.readers == {child.out: (child.readable, (child.out,))}


@pytest.mark.parametrize("cut", range(1, len(packed("first", "second"))))
def test_a_message_may_come_in_two_parts(child: Child, cut: int) -> None:
    text = packed("first", "second")
    child.send(text[:cut])
    child.turn()
    whole = ["first"] if cut >= len(packed("first")) else []
    assert child.told == whole
    child.turn()  # nothing has come
    assert child.told == whole
    child.send(text[cut:] + packed("third"))
    for _ in range(3):
        child.turn()
    assert child.told == ["first", "second", "third"]
    assert child.readers == {child.out: (child.readable, (child.out,))}


def test_a_message_may_come_byte_by_byte(child: Child) -> None:
    for byte in packed("first", "second"):
        child.send(bytes([byte]))
        child.turn()
    assert child.told == ["first", "second"]


def test_while_a_part_is_missing_a_generator_stands_in_the_place(child: Child) -> None:
    """By it Celery's shutdown knows that the pipe's next byte begins no message, and goes on with it to the end."""
    text = packed("first")
    child.send(text[:-1])
    child.turn()
    rest, _ = child.readers[child.out]
    assert isgenerator(rest)
    next(rest)
    child.send(text[-1:] + packed("second"))
    assert next(rest, "over") == "over"
    assert child.told == ["first"], "not a byte of the next one is read: it is Celery's to read in its own way"


def test_a_message_larger_than_the_pipe(child: Child) -> None:
    large = "x" * (5 * PIPE_SIZE)
    text = packed("first", large, "last")
    while text:
        text = text[child.send(text) :]
        child.turn()
    for _ in range(2):
        child.turn()
    assert child.told == ["first", large, "last"]


def test_what_one_message_raises_does_not_keep_back_the_others(child: Child) -> None:
    child.refused = {"first", "second"}
    child.send(packed("first", "second", "third"))
    with pytest.raises(ValueError, match="second"):
        child.turn()
    assert child.told == ["first", "second", "third"]


def test_the_pipe_of_a_process_that_is_gone_is_heard_no_more(child: Child) -> None:
    child.send(packed("first"))
    child.processes.clear()
    child.turn()
    assert (child.told, child.readers) == ([], {})


def test_a_pipe_at_its_end_is_heard_no_more() -> None:
    child = Child()
    os.close(child.into)
    child.turn()
    assert child.readers == {}
    os.close(child.out)
    child._add(child.out, child.readable, child.out)
    child.turn()
    assert child.readers == {}, "closed"
