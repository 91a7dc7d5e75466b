"""The usual recipe for one task at a time per key: take a lock, or try again later.

It is written as its users would write it, at its best: a lock without a race at its end (redis-py's, released only by
its holder), given back even on failure, retries without a limit. It keeps tasks of a group apart, but not in order:
the first to ask for a free lock gets it.
"""

from __future__ import annotations

import os
from typing import Any

import redis

from benchmarks.apps import work
from benchmarks.apps.config import COUNTDOWN_VARIABLE, configured_app

#: Seconds after which the lock of a dead worker is free again.
LOCK_SECONDS = 30.0

app = configured_app()
_locks = redis.Redis.from_url(app.conf.broker_url)


@app.task(name="bench.step", bind=True, max_retries=None)
def step(self: Any, group: str, number: int, seconds: float = 0.0) -> None:
    """Run `work.step` under the group's lock, or try again later."""
    lock = _locks.lock(f"lock:{group}", timeout=LOCK_SECONDS)
    if not lock.acquire(blocking=False):
        # A long time leaves the slots idle, a short one keeps them busy with trying.
        raise self.retry(countdown=float(os.environ[COUNTDOWN_VARIABLE]))
    try:
        work.step(group, number, seconds)
    finally:
        lock.release()
