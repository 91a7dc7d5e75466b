"""With celery-once and celery-singleton, alone and together with an ordered base."""

from __future__ import annotations

import os
import time
from typing import Any

from celery_once import AlreadyQueued, QueueOnce
from celery_singleton import Singleton

from celery_groupfifo import GroupFifoTask
from tests.ecosystem.apps.base import URL, exists, make_app, note

app = make_app("once", singleton_backend_url=os.environ[URL])
app.conf.ONCE = {
    "backend": "celery_once.backends.Redis",
    "settings": {"url": os.environ[URL], "default_timeout": 60},
}


class OrderedOnce(QueueOnce, GroupFifoTask):
    """Once in the queue, and in order."""

    abstract = True


class OrderedSingleton(Singleton, GroupFifoTask):
    """Once, and in order."""

    abstract = True


def _run(task: Any, key: str, number: int) -> int:
    end = time.monotonic() + 20
    while not exists("go") and time.monotonic() < end:
        time.sleep(0.01)
    note(task=task.name, number=number, fence=task.group.fence if isinstance(task, GroupFifoTask) else 0)
    return number


def _task(name: str, **options: Any) -> Any:
    return app.task(name=name, bind=True, **options)(_run)


TASKS = {
    "once": _task("once", base=QueueOnce),
    "ordered_once": _task("ordered_once", base=OrderedOnce, group_key="{key}"),
    "singleton": _task("singleton", base=Singleton),
    "ordered_singleton": _task("ordered_singleton", base=OrderedSingleton, group_key="{key}"),
}
ordered = _task("ordered", base=GroupFifoTask, group_key="{key}")


def send() -> dict[str, Any]:
    """Send each task three times, the second a duplicate of the first; return what the duplicates came to."""
    said: dict[str, Any] = {}
    for name, task in TASKS.items():
        first = task.delay(name, 1)
        ordered.delay(name, 0)
        try:
            said[name] = task.delay(name, 1).id == first.id
        except AlreadyQueued:
            said[name] = "already queued"
        task.delay(name, 2)
    return said


def again() -> None:
    """Send what was a duplicate, when the first has ended."""
    for name, task in TASKS.items():
        task.delay(name, 1).get(timeout=20)
