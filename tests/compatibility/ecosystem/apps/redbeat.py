"""With celery-redbeat: schedules in Redis."""

from __future__ import annotations

import os
from typing import Any

from celery.schedules import schedule as every
from redbeat import RedBeatSchedulerEntry

from celery_groupfifo import GroupFifoTask
from tests.compatibility.ecosystem.apps.base import URL, make_app, note

app = make_app("redbeat", redbeat_redis_url=os.environ[URL], redbeat_lock_timeout=5)


@app.task(base=GroupFifoTask, group_key="{key}", bind=True)
def ordered(self: Any, key: str) -> None:
    note(task="ordered", key=key, fence=self.group.fence)


@app.task
def plain(key: str) -> None:
    note(task="plain", key=key)


def schedule() -> None:
    """Let both run every second; the key of one entry is an option of it."""
    for name, task, options in (
        ("template", ordered, {}),
        ("option", ordered, {"group_key": "own"}),
        ("plain", plain, {}),
    ):
        RedBeatSchedulerEntry(name, task.name, every(1), args=[name], options=options, app=app).save()
