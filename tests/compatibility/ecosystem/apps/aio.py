"""With celery-aio-pool: tasks that are coroutines."""

from __future__ import annotations

import asyncio
from typing import Any

import celery_aio_pool

from celery_groupfifo import GroupFifoTask
from tests.compatibility.ecosystem.apps.base import make_app, note

celery_aio_pool.patch_celery_tracer()
app = make_app("aio")


@app.task(base=GroupFifoTask, group_key="{key}", bind=True)
async def ordered(self: Any, key: str, number: int, fails: int = 0) -> int:
    note(event="start", key=key, number=number, fence=self.group.fence)
    await asyncio.sleep(0.1)
    note(event="end", key=key, number=number)
    if self.request.retries < fails:
        raise self.retry(countdown=0.1)
    return number


@app.task
async def plain(number: int) -> int:
    await asyncio.sleep(0.1)
    return number


def send() -> list[int]:
    """Send two groups, one with a retry, and plain tasks beside; return the results."""
    results = [ordered.delay(key, number, int(number == 1)) for number in range(4) for key in "ab"]
    results += [plain.delay(number) for number in range(4)]
    return [result.get(timeout=60) for result in results]
