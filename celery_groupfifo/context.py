"""What the current context is about to send, where that can't be seen from the message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from celery_groupfifo.model import Entry, Ticket

#: Entries of a bulk send, collected until the chunk is full; see bulk.py.
collecting: ContextVar[list[Entry] | None] = ContextVar("groupfifo_collecting", default=None)

_continuing: ContextVar[tuple[Ticket, str] | None] = ContextVar("groupfifo_continuing", default=None)


@contextmanager
def continuing(ticket: Ticket, key: str) -> Iterator[None]:
    """What is sent under the ticket's id meanwhile is the continuation of its run.

    For the worker's main process, which retries for a lost child; in the child the current task tells.
    """
    token = _continuing.set((ticket, key))
    try:
        yield
    finally:
        _continuing.reset(token)


def continued(task_id: str | None) -> tuple[Ticket, str] | None:
    """The run, and its key, that a message under `task_id` goes on for, when `continuing` says so."""
    said = _continuing.get()
    return said if said is not None and said[0].id == task_id else None
