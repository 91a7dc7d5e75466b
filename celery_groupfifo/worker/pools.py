"""The only file that touches the insides of Celery's pools."""

from __future__ import annotations

import os
import pickle
import select
import struct
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from billiard.einfo import ExceptionInfo
from celery.concurrency import asynpool, prefork, thread

#: Bytes that a pipe takes whole or not at all; the least that POSIX allows where the system does not say.
PIPE_BUF = getattr(select, "PIPE_BUF", 512)
#: Bytes that a pipe holds where the system is not told otherwise: what one call may read.
PIPE_SIZE = 65_536
#: The length that billiard writes before each message.
LENGTH = struct.Struct(">i")


def is_prefork(pool: Any) -> bool:
    """Whether runs are in processes of their own."""
    return isinstance(pool, prefork.TaskPool)


def child_alive(pool: Any, pid: int) -> bool:
    """Whether a child of the pool still lives; it is reaped when it does not."""
    processes = getattr(getattr(pool, "_pool", None), "_pool", None) or ()
    return any(process.pid == pid and process._is_alive() for process in list(processes))


def pending_ids(pool: Any) -> set[str]:
    """Ids of the tasks that a prefork pool was given and will still report on."""
    cache = getattr(getattr(pool, "_pool", None), "_cache", None) or {}
    return {job.correlation_id for job in list(cache.values())}


def cancel_waiting(pool: Any, job: Any) -> bool:
    """Take a task back from a pool of threads. True when it will not run."""
    return isinstance(pool, thread.TaskPool) and job is not None and bool(job.f.cancel())


def report_errors(pool: Any) -> None:
    """Let a pool without processes tell of what was raised outside of a task: a result that can't be stored, say.

    A child process reports it as the task's failure. A thread or a greenlet just ends, and nobody would hear of it:
    the run would hold its group as long as the worker lives.
    """
    if is_prefork(pool):
        return
    apply_async = pool.apply_async

    def reporting(target: Callable[..., Any], *args: Any, **options: Any) -> Any:
        failed = options.get("error_callback")
        if failed is not None and hasattr(getattr(failed, "__self__", None), "run"):  # a request of ours
            target = partial(_told, target, failed)
        return apply_async(target, *args, **options)

    pool.apply_async = reporting


def _told(target: Callable[..., Any], failed: Callable[[ExceptionInfo], None], *args: Any, **kwargs: Any) -> Any:
    try:
        return target(*args, **kwargs)
    except Exception:
        failed(ExceptionInfo(sys.exc_info()))
        raise


def keep_written_jobs(pool: Any, ids: Callable[[], set[str]]) -> None:
    """Let a flush of the prefork pool keep the jobs of ours that a child may already have read.

    Celery forgets all jobs that no child has accepted yet when the broker's connection is lost, also those whose
    text is in a child's pipe. Such a job runs all the same, and nobody would hear of its end.

    Args:
        pool: Started.
        ids: Our tasks that were given to the pool.
    """
    flush = getattr(pool, "flush", None)
    if not is_prefork(pool) or flush is None or getattr(flush, "groupfifo", False):
        return

    def keeping() -> None:
        inner, ours = pool._pool, ids()
        if inner is None:  # a soft shutdown has ended the pool already
            flush()
            return
        kept = [
            job
            for job in list(inner._cache.values())
            if job.correlation_id in ours and not job._accepted and _is_written(inner, job)
        ]
        for job in kept:
            job._accepted = True
        try:
            flush()
        finally:
            for job in kept:
                job._accepted = False

    keeping.groupfifo = True  # type: ignore[attr-defined]
    pool.flush = keeping


def spare_calls(pool: Any) -> None:
    """Let a prefork pool talk with its children in fewer system calls.

    - Celery writes the length of a job, and then the job. The first write wakes the child, which reads it, sleeps, and
      is woken again. And a job waits for the loop to say that a pipe may be written to, which an idle child's always
      is. Here a job goes out in one piece, and to a child that waits for one without a turn of the loop.
    - With nothing to write, Celery takes every pipe out of the poller in every turn, one call each, and none of them
      is in it: those turns are left out.
    - Celery reads the length of an answer, and then the answer, and registers the pipe anew. Here all that a child has
      sent is read at once.

    Args:
        pool: Before its loop runs.
    """
    register = pool.register_with_event_loop
    if not is_prefork(pool) or getattr(register, "groupfifo", False):
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
                    tell(messages)  # the pipe has the others no more
                    raise

        def complete(pipe: int, text: bytearray) -> Iterator[None]:
            """In the place of `readable` until a message is whole: Celery's shutdown looks for such a generator."""
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
    """The whole messages, and what is left of one that is not."""
    messages, at = [], 0
    while not _missing(text, at):
        end = at + LENGTH.size + LENGTH.unpack_from(text, at)[0]
        messages.append(text[at + LENGTH.size : end])
        at = end
    return messages, text[at:]


def _missing(text: bytes | bytearray, at: int = 0) -> int:
    """How many bytes to read next for the message at a place."""
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
    if start not in hub.on_tick:  # the loop of a later connection goes on with the first one's
        return

    def starting() -> None:
        if inner.outbound_buffer or hub.writers:
            start()

    hub.on_tick.remove(start)
    hub.on_tick.add(starting)


def before_soft_shutdown(worker: Any, call: Callable[[], None]) -> None:
    """Call when a worker that was told to stop starts to wait for its running tasks.

    Celery waits inside its signal handler, and tells nobody before.
    """
    wait = worker.wait_for_soft_shutdown

    def waiting() -> None:
        if worker.app.conf.worker_soft_shutdown_timeout > 0:
            call()
        wait()

    worker.wait_for_soft_shutdown = waiting


def _is_written(inner: Any, job: Any) -> bool:
    if job in inner.outbound_buffer:
        return False
    writer = asynpool._get_job_writer(job)
    return writer is None or not asynpool.gen_not_started(writer)
