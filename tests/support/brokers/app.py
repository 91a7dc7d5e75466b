"""The app of these tests; broker and gate come from the environment."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from celery import Celery

from celery_groupfifo import GroupFifoTask
from celery_groupfifo.testing import history

FOLDER = Path(os.environ.get("BROKER_FOLDER", "."))

app = Celery("brokers", broker=os.environ.get("BROKER_URL"))
app.conf.update(
    groupfifo_url=os.environ.get("GATE_URL"),
    groupfifo_lease_ttl=2,
    groupfifo_sweep_interval=0.5,
    groupfifo_burst=5,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    worker_enable_remote_control=not os.environ.get("BROKER_URL", "").startswith("sqs"),
    broker_pool_limit=int(os.environ.get("BROKER_POOL_LIMIT", "10")),
    broker_transport_options={
        "data_folder_in": str(FOLDER / "queue"),
        "data_folder_out": str(FOLDER / "queue"),
        "control_folder": str(FOLDER / "control"),
        "store_processed": False,
    }
    if os.environ.get("BROKER_URL", "").startswith("filesystem")
    else json.loads(os.environ.get("BROKER_OPTIONS", "{}")),
)


@app.task(base=GroupFifoTask, group_key="{group}", bind=True, ignore_result=True)
def work(self: Any, group: str, seq: int, seconds: float = 0.0, fails: int = 0) -> None:
    """One run, recorded outside the gate."""
    said = {
        "group": group,
        "seq": seq,
        "fence": self.group.fence,
        "attempt": self.group.attempt,
        "lost": self.group.lost,
    }
    path = FOLDER / "history" / f"{os.getpid()}.jsonl"
    history.record(path, ev="start", worker=self.request.hostname, **said)
    time.sleep(seconds)
    if self.request.retries < fails:
        history.record(path, ev="end", ok=False, reason="retry", **said)
        raise self.retry(countdown=0.05)
    history.record(path, ev="end", ok=True, **said)


@app.task(base=GroupFifoTask, group_key="{group}", ignore_result=True)
def spread(group: str, many: int) -> None:
    """Send ordered tasks, one to each of many groups."""
    for number in range(many):
        work.delay(f"{group}-{number}", 0)
