"""Tasks that a worker comes to know when it has long been running, as from a module that is imported by a task."""

from __future__ import annotations

import time
from typing import Any

from celery import shared_task

from celery_groupfifo import GroupFifoTask, GroupRun
from tests.support.stages.app import note


def _work(self: Any, key: str, seq: int) -> None:
    group = GroupRun.of(self)
    run = {"group": key, "seq": seq, "fence": group.fence if group else 0, "worker": self.request.hostname}
    note(ev="start", attempt=self.request.retries + 1, lost=group.lost if group else 0, **run)
    time.sleep(0.3)
    note(ev="end", ok=True, **run)


ordered = shared_task(_work, name="late.ordered", base=GroupFifoTask, group_key="{key}", bind=True)

#: A task of plain Celery, to be sent with `group_key=`.
keyed = shared_task(_work, name="late.keyed", bind=True)
