"""The part of a send that can't be seen from its message: the bulk send or the run that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple
from uuid import uuid4

from celery_groupfifo.gate.clock import now
from celery_groupfifo.gate.model import HOLD_HEADER, KEYS_HEADER, Entry, Number, Ticket
from celery_groupfifo.gate.route import Route


class Parking(NamedTuple):
    """An entry on its way to the gate, and the route of its message."""

    entry: Entry
    route: Route


#: Entries of a bulk send, collected until the chunk is full; see bulk.py.
collecting: ContextVar[list[Parking] | None] = ContextVar("groupfifo_collecting", default=None)
#: Entries of a send that may be the first one of its kind, before they are parked; see short_way.py.
observing: ContextVar[list[Parking] | None] = ContextVar("groupfifo_observing", default=None)

#: The ids of the last send that was a duplicate of a task with another id: its own, and that of the task.
existing: ContextVar[tuple[str, str] | None] = ContextVar("groupfifo_existing", default=None)

_NONE: Mapping[str, Any] = {}


class Continuation:
    """The continuation of a run under its id: a retry, or the task that replaces it.

    It is not sent by itself. It goes to the gate together with the end of the run, in one step: so a run that ended in
    a retry can't be over without it.

    Args:
        ticket: Of the run.
        key: Of its group.
        retries: Retries of the run that may be continued.
        options: Headers with options of the run's call, which the continuation inherits; see `model.TRAVELLING`.

    Attributes:
        entry: The last one that was sent under the run's id; None: none was.
        is_retry: True for a retry, or for the same run once more; False for a task that replaces the run.
        repeats: True while the same run is sent once more.
    """

    __slots__ = ("_ids", "_part", "_sent", "entry", "is_retry", "key", "options", "repeats", "retries", "ticket")

    def __init__(self, ticket: Ticket, key: str, retries: int, options: Mapping[str, Any] = _NONE) -> None:
        self.ticket, self.key, self.retries, self.options = ticket, key, retries, options
        self.entry: Entry | None = None
        self.is_retry = False
        self._sent = 0.0
        self.repeats = False
        self._ids: tuple[Any, Any, frozenset[str]] | None = None
        self._part: Number | None = None

    @property
    def leads(self) -> bool:
        """Return whether the run's group waits for its whole canvas; see parts.py."""
        return HOLD_HEADER in self.options

    def ids_of(self, steps: Any, body: Any, find: Callable[[], Iterable[str]]) -> frozenset[str]:
        """Return the ids of the next parts of its canvas, which are found once.

        Args:
            steps: Of its chain.
            body: Of its chord.
            find: Finds them.
        """
        known = self._ids
        if known is None or known[0] is not steps or known[1] is not body:
            known = self._ids = steps, body, frozenset(find())
        return known[2]

    def next_part(self) -> Number:
        """Return the number of the next part of its canvas that the run sends, for `Gate.insert`."""
        last = self._part or Number(uuid4().hex, 0)
        self._part = Number(last.producer, last.value + 1)
        return self._part

    @contextmanager
    def repeating(self) -> Iterator[None]:
        """Take what is sent under the run's id in this block for the same run once more, and no retry of it."""
        self.repeats = True
        try:
            yield
        finally:
            self.repeats = False

    @property
    def keys(self) -> tuple[str, ...]:
        """Return all keys of the run, that of its group first."""
        return tuple(self.options.get(KEYS_HEADER) or (self.key,))

    @property
    def rejoins(self) -> bool:
        """Return whether the entry gives up the place of the run; see `Entry`."""
        return self.entry is not None and self.entry.rejoins

    def send(self, entry: Entry, is_retry: bool) -> None:
        """Keep an entry that was sent under the run's id."""
        self.entry, self.is_retry, self._sent = entry, is_retry, now()

    def is_retried_by(self, headers: Mapping[str, Any]) -> bool:
        """Return whether a message with these headers is the run's retry, or the same run once more."""
        return self.repeats or (headers.get("retries") or 0) > self.retries

    def close(self) -> Entry | None:
        """Return the entry at the end of the run, with its delay shortened by the time since it was sent."""
        if self.entry is not None and self.entry.delay:
            self.entry.delay = max(self.entry.delay - round((now() - self._sent) * 1000), 0)
        return self.entry


_current: ContextVar[Continuation | None] = ContextVar("groupfifo_continuation", default=None)


@contextmanager
def continuing(continuation: Continuation) -> Iterator[None]:
    """Collect what is sent under the id of a run in this block."""
    token = _current.set(continuation)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Continuation | None:
    """Return the continuation of the run in progress; None outside of runs of groups."""
    return _current.get()


def continued(task_id: str | None) -> Continuation | None:
    """Return the continuation that a message under `task_id` belongs to; None: it belongs to none."""
    current = _current.get()
    return current if current is not None and current.ticket.id == task_id else None


def is_running() -> bool:
    """Return whether a run of a group is in progress here: a task that it sends may continue it."""
    return _current.get() is not None
