"""With celery-once, alone and together with an ordered base."""

from __future__ import annotations

import os
from typing import Any

from celery_once import AlreadyQueued, QueueOnce

from celery_groupfifo import GroupFifoTask
from tests.compatibility.ecosystem.apps.base import URL, make_app, noting_task, send_again, single_tasks

app = make_app("once")
app.conf.ONCE = {
    "backend": "celery_once.backends.Redis",
    "settings": {"url": os.environ[URL], "default_timeout": 60},
}


class OrderedQueueOnce(QueueOnce, GroupFifoTask):
    """Once, and in order."""

    abstract = True


TASKS = single_tasks(app, QueueOnce, OrderedQueueOnce)
ordered = noting_task(app, "ordered", base=GroupFifoTask, group_key="{key}")


def send() -> dict[str, Any]:
    """Send each task three times, the second a duplicate of the first; return what the duplicates came to."""
    said: dict[str, Any] = {}
    for name, task in TASKS.items():
        task.delay(name, 1)
        ordered.delay(name, 0)
        try:
            task.delay(name, 1)
        except AlreadyQueued:
            said[name] = "not sent"
        task.delay(name, 2)
    return said


def again() -> None:
    """Send what was a duplicate, when the first has ended."""
    send_again(TASKS)
