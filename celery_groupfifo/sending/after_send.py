"""The rest of a send, once Celery's code is through with it and has given its producer back."""

from __future__ import annotations

from functools import wraps
from typing import Any

from celery import Celery

from celery_groupfifo.sending.context import existing
from celery_groupfifo.sending.room import postponed

#: The place of `producer` among the arguments of `Celery.send_task`.
_PRODUCER = 6


def hook() -> None:
    """Let a call wait for room after Celery's own code, and that of a duplicate return the result of what is there.

    The task that is there may have another id.
    """
    send = Celery.send_task
    if getattr(send, "groupfifo", False):
        return

    @wraps(send)
    def send_task(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = args[_PRODUCER] if len(args) > _PRODUCER else kwargs.get("producer")
        token = postponed.set([] if given is None else None)
        try:
            result = send(self, *args, **kwargs)
            for wait in postponed.get() or ():
                wait()
        finally:
            postponed.reset(token)
        if (ids := existing.get()) is not None:
            existing.set(None)
            if result.id == ids[0]:
                result.id = ids[1]
        return result

    send_task.groupfifo = send  # type: ignore[attr-defined]
    Celery.send_task = send_task
