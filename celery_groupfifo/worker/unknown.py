"""A ticket for a task that the worker does not know: Celery has failed it, so its group goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery.exceptions import NotRegistered

from celery_groupfifo.model import HEADER

if TYPE_CHECKING:
    from celery_groupfifo.worker.member import Member


def finish_unknown(sender: Any, message: Any, **kwargs: Any) -> None:
    """Receives `celery.signals.task_unknown`: begin it, and finish it. No strategy is asked for such a task."""
    member: Member | None = getattr(sender, "groupfifo", None)
    if member is None or HEADER not in (message.headers or {}):
        return
    run = getattr(message, "groupfifo_run", None)
    if run is None:
        run = member.begin(message, lambda *_: None, lambda *_: None, lambda: finish_unknown(sender, message))
    if run is not None:
        member.finish_unread(run, message, NotRegistered(message.headers.get("task")))
