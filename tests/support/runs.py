"""A run in progress in the test's own process, for what it sends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from celery._state import _task_stack

from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.sending.context import Continuation, continuing


@contextmanager
def running(
    task: Any, ticket: Ticket, key: str = "k", options: Mapping[str, Any] | None = None, **request: Any
) -> Iterator[Continuation]:
    """Send what is sent in this block from a run.

    Args:
        task: The task.
        ticket: Of the run.
        key: Of its group.
        options: Headers with options of the run's call; see `Continuation`.
        **request: More of the task's request.
    """
    continuation = Continuation(ticket, key, 0, options or {})
    _task_stack.push(task)
    task.push_request(id=ticket.id, called_directly=False, **request)
    try:
        with continuing(continuation):
            yield continuation
    finally:
        task.pop_request()
        _task_stack.pop()
