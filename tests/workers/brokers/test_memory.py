"""kombu's queue in memory: a worker in a thread of the sender's process."""

from __future__ import annotations

import time

from celery import Celery
from celery.contrib.testing.worker import start_worker

from celery_groupfifo import GroupFifo, GroupFifoTask
from tests.support.waiting import until


def test_order_in_one_process(redis_url: str) -> None:
    app = Celery("memory", broker="memory://", set_as_current=False)
    app.conf.update(groupfifo_url=redis_url, task_ignore_result=True)
    GroupFifo(app)
    events: list[tuple[str, str, int]] = []

    @app.task(base=GroupFifoTask, group_key="{group}", bind=True)
    def work(self: GroupFifoTask, group: str, number: int) -> None:
        events.append(("start", group, number))
        time.sleep(0.01)
        if number == 2 and not self.request.retries:
            events.append(("end", group, number))
            raise self.retry(countdown=0.1)
        events.append(("end", group, number))

    with start_worker(app, concurrency=4, pool="threads", perform_ping_check=False, shutdown_timeout=30):
        for number in range(6):
            for group in ("a", "b"):
                work.delay(group, number)
        until(lambda: len(events) == 2 * 2 * 7, lambda: str(events))
    for group in ("a", "b"):
        mine = [(what, number) for what, each, number in events if each == group]
        assert mine == [(what, number) for number in (0, 1, 2, 2, 3, 4, 5) for what in ("start", "end")]
