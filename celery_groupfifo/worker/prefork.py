"""The internals of Celery's prefork pool: jobs that a flush forgets, and system calls that can be saved."""

from __future__ import annotations

import os
import pickle
import select
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from celery.concurrency import asynpool

#: Bytes that a pipe takes whole or not at all; POSIX' least number where the system does not say.
PIPE_BUF = getattr(select, "PIPE_BUF", 512)
#: Bytes that a pipe holds by default: the most that one call may read.
PIPE_SIZE = 65_536
#: The length that billiard writes before each message.
LENGTH = struct.Struct(">i")


def child_alive(pool: Any, pid: int) -> bool:
    """Return whether a child of the pool still lives; a dead one is reaped."""
    processes = getattr(pool._pool, "_pool", None) or ()
    return any(process.pid == pid and process._is_alive() for process in list(processes))


def has_job(pool: Any, job: Any) -> bool:
    """Return whether the pool will still report on a job."""
    cache = getattr(pool._pool, "_cache", None) or {}
    return cache.get(job._job) is job


def keep_jobs(pool: Any, ours: Callable[[], list[Any]]) -> None:
    """Let a flush of the pool keep the jobs of ours that a child runs, or may already have read.

    When the broker's connection is lost, Celery forgets all jobs that no child has accepted yet, also those whose text
    is in a child's pipe; Celery 5.5 forgets running ones, too. Such a job still runs, and its end would not be
    reported. Celery before 5.7 also takes all children for idle then: a busy one that is given a second job keeps it
    from an idle one, again and again under load.

    Args:
        pool: Started.
        ours: Returns our jobs that the pool was given.
    """
    flush = pool.flush
    if flush is None or getattr(flush, "groupfifo", False):
        return

    def keeping() -> None:
        inner = pool._pool
        if inner is None:  # a soft shutdown has ended the pool already
            flush()
            return
        kept = [job for job in ours() if has_job(pool, job) and (job._accepted or _is_written(inner, job))]
        accepted = [job for job in kept if job._accepted]
        busy = set(inner._busy_workers)
        for job in kept:
            job._accepted = True
        try:
            flush()
        finally:
            for job in kept:
                job._accepted = job in accepted
                inner._cache.setdefault(job._job, job)
            inner._busy_workers |= busy & _pipes(job for job in inner._cache.values() if job._accepted or job in kept)

    keeping.groupfifo = True  # type: ignore[attr-defined]
    pool.flush = keeping


def _pipes(jobs: Iterable[Any]) -> set[int]:
    """Return the pipes of the living children that have jobs."""
    processes = (job._write_to or job._scheduled_for for job in jobs)
    return {process.inqW_fd for process in processes if process is not None and process._is_alive()}


def spare_calls(pool: Any) -> None:
    """Let a prefork pool talk with its children in fewer system calls.

    - Celery writes the length of a job, and then the job. The first write wakes the child, which reads it, sleeps, and
      is woken again. And a job waits for the loop to say that a pipe may be written to, which is always so for an idle
      child. Here a job goes out in one piece, and to a waiting child without a turn of the loop.
    - With nothing to write, Celery unregisters every pipe in every turn, one call each, though none was registered:
      those turns are left out.
    - Celery reads the length of an answer, and then the answer, and registers the pipe anew. Here all answers of a
      child are read at once.

    Args:
        pool: Before its loop runs.
    """
    register = pool.register_with_event_loop
    if getattr(register, "groupfifo", False):
        return

    def registering(hub: Any) -> None:
        _read_at_once(pool._pool._result_handler)
        register(hub)
        _put_at_once(pool._pool, hub)
        _poll_when_needed(pool._pool, hub)

    registering.groupfifo = True  # type: ignore[attr-defined]
    pool.register_with_event_loop = registering


def _read_at_once(handler: Any) -> None:
    def make(hub: Any) -> Callable[[int], None]:
        processes, heard = handler.fileno_to_outq, handler.on_state_change

        def readable(pipe: int) -> None:
            try:
                text = os.read(pipe, PIPE_SIZE) if pipe in processes else b""
            except BlockingIOError:
                return
            except OSError:
                text = b""
            if text:
                take(pipe, text)
            else:
                hub.remove_reader(pipe)  # the process is gone

        def take(pipe: int, text: bytes | bytearray) -> None:
            messages, rest = _split(text)
            if rest:
                hub.add_reader(pipe, complete(pipe, bytearray(rest)))
            tell(iter(messages))

        def tell(messages: Iterator[bytes | bytearray]) -> None:
            for message in messages:
                try:
                    heard(pickle.loads(message))
                except BaseException:
                    tell(messages)  # the other messages are already out of the pipe
                    raise

        def complete(pipe: int, text: bytearray) -> Iterator[None]:
            """Read the rest of a message in place of `readable`: Celery's shutdown looks for such a generator."""
            while missing := _missing(text):
                try:
                    more = os.read(pipe, min(missing, PIPE_SIZE))
                except BlockingIOError:
                    yield
                else:
                    if not more:
                        raise EOFError
                    text += more
            hub.add_reader(pipe, readable, pipe)
            take(pipe, text)

        return readable

    handler._make_process_result = make


def _split(text: bytes | bytearray) -> tuple[list[bytes | bytearray], bytes | bytearray]:
    """Split a text into its whole messages and the rest."""
    messages, at = [], 0
    while not _missing(text, at):
        end = at + LENGTH.size + LENGTH.unpack_from(text, at)[0]
        messages.append(text[at + LENGTH.size : end])
        at = end
    return messages, text[at:]


def _missing(text: bytes | bytearray, at: int = 0) -> int:
    """Return the number of bytes to read next for the message at a place."""
    came = len(text) - at - LENGTH.size
    return max(LENGTH.unpack_from(text, at)[0] - came, 0) if came >= 0 else -came


def _put_at_once(inner: Any, hub: Any) -> None:
    put, waiting = inner._quick_put, inner.outbound_buffer

    def putting(job_args: Any) -> None:
        put(job_args)
        job = inner._cache[job_args[1][0]]
        header, body, size = job._payload
        whole = len(header) + size <= PIPE_BUF  # such a write is done at once and whole, or not at all
        if whole:
            job._payload = memoryview(bytes(header) + bytes(body)), memoryview(b""), 0
        idle = inner._all_inqueues - inner._busy_workers - inner._active_writes
        if not idle:
            return
        pipe = idle.pop()
        process = inner._fileno_to_inq.get(pipe)
        if not (whole and process and len(waiting) == 1 and _written(pipe, job)):
            hub.consolidate_callback([pipe])
            return
        waiting.pop()
        job._scheduled_for = job._write_to = process
        inner._busy_workers.add(pipe)
        inner.write_stats[process.index] += 1

    inner._quick_put = putting


def _written(pipe: int, job: Any) -> bool:
    try:
        os.write(pipe, job._payload[0])
    except OSError:
        return False
    return True


def _poll_when_needed(inner: Any, hub: Any) -> None:
    start = inner.on_poll_start
    if start not in hub.on_tick:  # already replaced for the loop of an earlier connection
        return

    def starting() -> None:
        if inner.outbound_buffer or hub.writers:
            start()

    hub.on_tick.remove(start)
    hub.on_tick.add(starting)


def _is_written(inner: Any, job: Any) -> bool:
    if job in inner.outbound_buffer:
        return False
    writer = asynpool._get_job_writer(job)
    return writer is None or not asynpool.gen_not_started(writer)
