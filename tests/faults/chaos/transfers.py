"""The app of the stage, with a task of two groups: its history has a line for each of them."""

from __future__ import annotations

import time
from typing import Any

from celery import shared_task

from celery_groupfifo import GroupFifoTask
from tests.support.stages import app as stage_app
from tests.support.stages.app import note


@shared_task(name="chaos.transfer", base=GroupFifoTask, group_key=["{source}", "{target}"], bind=True)
def transfer(self: Any, source: str, target: str, places: dict[str, int], again: bool = False) -> None:
    """Run for a moment, and once more after a retry if asked to."""
    assert list(self.group.keys) == [source, target]
    run = {"fence": self.group.fence, "worker": self.request.hostname}
    for key in self.group.keys:
        note(ev="start", group=key, seq=places[key], attempt=self.group.attempt, lost=self.group.lost, **run)
    time.sleep(0.01)
    retries = again and self.request.retries == 0
    for key in self.group.keys:
        reason = {"reason": "retry"} if retries else {}
        note(ev="end", group=key, seq=places[key], ok=not retries, **reason, **run)
    if retries:
        raise self.retry(countdown=0.1)


if hasattr(stage_app, "app"):
    app = stage_app.app
