"""With celery-batches, beside ordered tasks."""

from __future__ import annotations

from typing import Any

from celery_batches import Batches, SimpleRequest

from celery_groupfifo import GroupFifoTask
from tests.compatibility.ecosystem.apps.base import make_app, note

app = make_app("batches", worker_prefetch_multiplier=10)


@app.task(base=Batches, flush_every=3, flush_interval=30)
def collect(requests: list[SimpleRequest]) -> None:
    note(batch=[request.args[0] for request in requests])


@app.task(base=GroupFifoTask, group_key="{key}", bind=True)
def ordered(self: Any, key: str, number: int) -> int:
    note(key=key, number=number, fence=self.group.fence)
    return number


def send() -> None:
    """Send both kinds in turn."""
    results = []
    for number in range(6):
        collect.delay(number)
        results.append(ordered.delay("a", number))
    assert [result.get(timeout=60) for result in results] == list(range(6))
