"""The tasks of the tests on nodes; pytest-celery copies this file into the workers, so it imports no test.

Each run writes its start and its end to one file, with one write each, under the system's monotonic clock:
the tests judge by this history, not by what the gate says of itself.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from celery import shared_task

from celery_groupfifo import GroupFifoTask


def record(task: Any, event: str, number: int) -> None:
    line = {
        "event": event,
        "key": task.group.key,
        "number": number,
        "fence": task.group.fence,
        "attempt": task.group.attempt,
        "lost": task.group.lost,
        "id": task.request.id,
        "pid": os.getpid(),
        "worker": task.request.hostname,
        "at": time.clock_gettime(time.CLOCK_MONOTONIC),
    }
    descriptor = os.open(os.environ["NODES_HISTORY"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    finally:
        os.close(descriptor)


@shared_task(name="nodes.step", base=GroupFifoTask, group_key="{group}", bind=True)
def step(self: Any, group: str, number: int, seconds: float = 0.01) -> int:
    record(self, "start", number)
    time.sleep(seconds)
    record(self, "end", number)
    return number


@shared_task(name="nodes.fenced", base=GroupFifoTask, group_key="{group}", bind=True)
def fenced(self: Any, group: str, number: int, seconds: float) -> int:
    """Its result tells which of its runs stored it."""
    record(self, "start", number)
    time.sleep(seconds)
    record(self, "end", number)
    return int(self.group.fence)


@shared_task(name="nodes.flaky", base=GroupFifoTask, group_key="{group}", bind=True, max_retries=3)
def flaky(self: Any, group: str, number: int, failures: int = 1) -> int:
    """Fails this many times before it succeeds, with a retry each time."""
    record(self, "start", number)
    record(self, "end", number)
    if self.request.retries < failures:
        raise self.retry(countdown=0.2)
    return number


@shared_task(name="nodes.hopeless", base=GroupFifoTask, group_key="{group}", bind=True)
def hopeless(self: Any, group: str, number: int) -> None:
    record(self, "start", number)
    record(self, "end", number)
    raise ValueError(f"{group} {number} fails for good")
