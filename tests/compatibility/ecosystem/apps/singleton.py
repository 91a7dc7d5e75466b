"""With celery-singleton, alone and together with an ordered base."""

from __future__ import annotations

import os
from typing import Any

from celery_singleton import Singleton

from celery_groupfifo import GroupFifoTask
from tests.compatibility.ecosystem.apps.base import URL, make_app, noting_task, send_again, single_tasks

app = make_app("singleton", singleton_backend_url=os.environ[URL])


class OrderedSingleton(Singleton, GroupFifoTask):
    """Once, and in order."""

    abstract = True


TASKS = single_tasks(app, Singleton, OrderedSingleton)
ordered = noting_task(app, "ordered", base=GroupFifoTask, group_key="{key}")


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
    send_again(TASKS)
