"""With celery-singleton, alone and together with an ordered base."""

from __future__ import annotations

import os
from typing import Any

from celery_singleton import Singleton

from celery_groupfifo import GroupFifoTask
from tests.ecosystem.apps.base import URL, make_app, wait_and_note

app = make_app("singleton", singleton_backend_url=os.environ[URL])


class OrderedSingleton(Singleton, GroupFifoTask):
    """Once, and in order."""

    abstract = True


def _task(name: str, **options: Any) -> Any:
    return app.task(name=name, bind=True, **options)(wait_and_note)


TASKS = {
    "alone": _task("alone", base=Singleton),
    "both": _task("both", base=OrderedSingleton, group_key="{key}"),
}
ordered = _task("ordered", base=GroupFifoTask, group_key="{key}")


def send() -> dict[str, Any]:
    """Send each task three times, the second a duplicate of the first; return what the duplicates came to."""
    said: dict[str, Any] = {}
    for name, task in TASKS.items():
        first = task.delay(name, 1)
        ordered.delay(name, 0)
        said[name] = "not sent" if task.delay(name, 1).id == first.id else "sent"
        task.delay(name, 2)
    return said


def again() -> None:
    """Send what was a duplicate, when the first has ended."""
    for name, task in TASKS.items():
        task.delay(name, 1).get(timeout=20)
