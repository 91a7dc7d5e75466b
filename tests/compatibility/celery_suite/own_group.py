"""The task class that Celery's own tests run with: every task is a group of its own."""

from __future__ import annotations

from typing import Any

from celery import uuid
from celery.result import AsyncResult

from celery_groupfifo import GroupFifoTask


def _any_key(*args: Any, **kwargs: Any) -> str:
    return str(uuid())


class OwnGroupTask(GroupFifoTask):
    """Its group's key is its id, so retries and replacements meet it there, and nothing else does.

    One group for all tasks would be a stricter test of order, and no test of Celery: many of its tests wait for a
    task inside a task.
    """

    #: For a task sent by its name, which no `apply_async` of ours sees: the key may be any, if it is nobody else's.
    group_key = staticmethod(_any_key)

    def apply_async(
        self, args: Any = None, kwargs: Any = None, task_id: str | None = None, *more: Any, **options: Any
    ) -> AsyncResult:
        task_id = task_id or uuid()
        options.setdefault("group_key", task_id)
        send: Any = super().apply_async
        return send(args, kwargs, task_id, *more, **options)
