"""Bulk sends: many tasks in few round trips."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from celery import Celery
from celery.canvas import Signature
from celery.result import AsyncResult

from celery_groupfifo.errors import GroupFifoError, InvalidOption, PartiallyParked
from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.gate.model import Entry
from celery_groupfifo.sending.context import Parking, collecting
from celery_groupfifo.sending.dropped import tell_dropped
from celery_groupfifo.sending.park import tell_parked
from celery_groupfifo.sending.retrying import retried
from celery_groupfifo.sending.room import Bulk, waits
from celery_groupfifo.sending.short_way import ShortWay, result_of, short_way_of
from celery_groupfifo.sending.templates import Call, Template
from celery_groupfifo.settings import check_number


def park_many(signatures: Iterable[Signature[Any]], chunk: int = 500) -> list[AsyncResult[Any]]:
    """Send signatures of grouped tasks, in order, a chunk per round trip.

    Every signature passes the checks of `apply_async`, with its signals and `task-sent` events; they fire before its
    chunk is parked.

    Args:
        signatures: Of grouped tasks; chains, groups and chords are sent with their own `apply_async`.
        chunk: Signatures per round trip.

    Returns:
        One result per signature, in order. For an id that is parked or running already, the existing one.

    Raises:
        PartiallyParked: Not all were parked; `.parked` holds the results of those that were.
        InvalidOption: `chunk` is no positive number.
    """
    check_number("chunk", chunk, 1)
    return send_many(signatures, chunk)


def send_many(signatures: Iterable[Signature[Any]], chunk: int = 500, waits: bool = True) -> list[AsyncResult[Any]]:
    """Send signatures, see `park_many`.

    Args:
        signatures: Of grouped tasks.
        chunk: Signatures per round trip.
        waits: False: a call that would wait for room in a full group is refused, as the caller must not wait.
    """
    parked: list[AsyncResult[Any]] = []
    batch = _Batch(waits)
    for some, failed in _chunks(signatures, chunk):
        try:
            for signature in some:
                batch.add(signature)
            parked += batch.flush()
        except _StoppedError as stopped:
            _raise(parked + stopped.parked, stopped.cause)
        except Exception as error:  # of a task's own code, or of its check: those before it are parked all the same
            try:
                parked += batch.flush()
            except _StoppedError as stopped:
                parked += stopped.parked
            _raise(parked, error)
        finally:
            batch.release()
        if failed is not None:
            _raise(parked, failed)
    return parked


def _chunks(signatures: Iterable[Signature[Any]], size: int) -> Iterator[tuple[list[Signature[Any]], Exception | None]]:
    """Yield chunks of signatures, each with the error that ends the source, or None.

    The caller holds no producer while it takes a chunk: the code that makes the signatures may send tasks, too.
    """
    source, failed = iter(signatures), None
    while failed is None:
        some: list[Signature[Any]] = []
        try:
            some.extend(islice(source, size))  # keeps the signatures before an error
        except Exception as error:  # the caller's iterable may raise anything
            failed = error
        if not some and failed is None:
            return
        yield some, failed


def _raise(parked: list[AsyncResult[Any]], cause: BaseException) -> None:
    raise PartiallyParked(f"{len(parked)} signatures were parked, then: {cause}", list(parked), cause) from cause


class _StoppedError(Exception):
    """The end of a bulk send within a chunk."""

    def __init__(self, parked: list[AsyncResult[Any]], cause: BaseException) -> None:
        super().__init__(parked, cause)
        self.parked, self.cause = parked, cause


class _Batch:
    """One chunk after the other on its way; each has a producer while it is parked.

    Args:
        waits: See `send_many`.
    """

    def __init__(self, waits: bool) -> None:
        self._waits = waits
        self.results: list[AsyncResult[Any]] = []
        self._entries: list[Entry] = []
        self._tasks: list[str] = []
        self._app: Celery | None = None
        self._short: ShortWay | None = None
        self._learnt: dict[Any, Template | None] = {}  # also those that are good for this send only
        self._pooled: Any = None
        self._parent: Any = None
        self._is_usual = False

    def add(self, signature: Signature[Any]) -> None:
        """Compose the entry of a signature, without parking it."""
        if not isinstance(signature, Signature) or type(signature) is not Signature:
            raise InvalidOption(f"{signature!r} is not the signature of one task: send it with its own apply_async.")
        app = signature.app
        if self._app is not None and self._app is not app:
            raise InvalidOption(f"{signature!r} belongs to another app: send it with another call of park_many.")
        if self._app is None or self._short is None:
            self._app, self._short = app, short_way_of(app)
        if self._pooled is None:
            self._pooled = app.producer_pool.acquire(block=True)
            self._parent = app.current_worker_task
            self._is_usual = self._short.look(self._parent)
        call = _call_of(signature, self._parent) if self._is_usual else None
        kind = None if call is None else self._short.kind(call)
        template = None if kind is None else self._short.find(kind) or self._learnt.get(kind)
        if call is not None and template is not None and self._copied(call, template):
            return
        seen: list[Parking] = []
        token = collecting.set(seen)
        try:
            result = signature.apply_async(producer=self._pooled)
        finally:
            collecting.reset(token)
        self._entries += [each.entry for each in seen]
        self._tasks += [signature.task] * len(seen)
        self.results.append(result)
        if call is not None and kind is not None and len(seen) == 1 and kind not in self._learnt:
            self._learnt[kind] = self._short.learn(kind, call, seen[0])

    def _copied(self, call: Call, template: Template) -> bool:
        """Fill a call into the template of its kind, and do what Celery does for a send beside the message.

        Returns:
            False when the call is wrong: Celery's way has the same error, with its own words.
        """
        try:
            entry = template.entry(call)
        except Exception:
            return False
        if not template.ignored:
            with self._pooled.connection._reraise_as_library_errors():
                call.task.app.backend.on_task_call(self._pooled, entry.id)
        self._entries.append(entry)
        self._tasks.append(call.task.name)
        self.results.append(result_of(call, template, entry))
        return True

    def flush(self) -> list[AsyncResult[Any]]:
        """Park the collected entries, and return the results of their signatures."""
        results, entries, tasks = self.results, self._entries, self._tasks
        self.results, self._entries, self._tasks = [], [], []
        if not entries or self._app is None:
            return results
        conf = self._app.conf
        options = {"retry": conf.task_publish_retry, "retry_policy": dict(conf.task_publish_retry_policy)}
        gate = gate_of(self._app)

        def park_all(some: Sequence[Entry]) -> list[bool | GroupFifoError]:
            return retried(options, gate.park_all, some, gate.numbers_of(some), self._pooled)  # type: ignore[no-any-return]

        try:
            is_waiting = self._waits and any(map(waits, entries))
            replies = Bulk(entries, park_all, self.release).park() if is_waiting else park_all(entries)
        except GroupFifoError as error:
            raise _StoppedError([], error) from error
        for task, entry, reply in zip(tasks, entries, replies, strict=True):
            if reply is True:
                tell_parked(task, entry)
        tell_dropped(self._app, entries, self._pooled)
        found = {entry.id: entry.existing for entry in entries if entry.existing is not None}
        errors = [reply for reply in replies if isinstance(reply, GroupFifoError)]
        if errors:
            raise _StoppedError(_renamed(_parked(results, entries, replies), found), errors[0])
        return _renamed(results, found)

    def release(self) -> None:
        """Give the producer back."""
        if self._pooled is not None:
            self._pooled.release()
        self._pooled = None


def _parked(
    results: list[AsyncResult[Any]], entries: list[Entry], replies: list[bool | GroupFifoError]
) -> list[AsyncResult[Any]]:
    """Return the results of the calls that did not fail.

    By id: a receiver of a publish signal may have sent a task of its own meanwhile, so places do not match. Of several
    calls with one id, in their order.
    """
    failed = defaultdict[str, list[bool]](list)
    for entry, reply in zip(reversed(entries), reversed(replies), strict=True):
        failed[entry.id].append(isinstance(reply, GroupFifoError))
    return [result for result in results if not (failed[result.id] and failed[result.id].pop())]


def _renamed(results: list[AsyncResult[Any]], found: Mapping[str, str]) -> list[AsyncResult[Any]]:
    """Return the results of calls, where a duplicate has that of the task that is there."""
    for result in results:
        result.id = found.get(result.id, result.id)
    return results


def _call_of(signature: Signature, parent: Any) -> Call | None:
    """Return the call that a signature makes; None when the task's code is not loaded here."""
    try:
        task = signature.type
    except KeyError:
        return None
    return Call(task, signature["args"], signature["kwargs"], signature["options"], parent)
