"""Calls of several producers that come out of order, on a worker: they run in the order of their values."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery_groupfifo import Groups
from celery_groupfifo.gate.keys import quote
from tests.support.crews.workers import Crew, on
from tests.support.waiting import until


@on("prefork", "threads", "gevent", "eventlet", "solo")
def test_late_producers_are_sorted(crew: Crew, key: str) -> None:
    """Each of four producers has a part of the numbers, the highest first; then one more comes too late."""
    window: dict[str, Any] = {"group_reorder_window": 3}
    before = Groups(crew.app).stats().totals.tasks_late

    def produce(first: int) -> None:
        for number in range(first, 0, -4):
            crew.send(key, number, group_order_by=number, **window)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(produce, range(37, 41)))
    crew.wait_for_runs(key, [*range(1, 41)])
    assert Groups(crew.app).stats().totals.tasks_late == before
    crew.send(key, 41, group_order_by=20, group_reorder_window=0.01)
    crew.wait_for_runs(key, [*range(1, 42)])
    assert Groups(crew.app).stats().totals.tasks_late == before + 1
    keys, mark = Groups(crew.app).gate.keyspace.partitions[0], f"m {quote(key)}"
    assert crew.redis.zrem(keys.due, mark) and crew.redis.hdel(keys.begins, mark), "30 s would go by"
    until(lambda: not crew.left_over(), lambda: str(crew.left_over()))
