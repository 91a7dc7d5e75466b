"""The app of the conformance run: one ordered task and one plain task, whatever the broker, the backend or the pool.

Each run is written to a file, so that nothing of the verdict rests on the gate, the broker or the backend.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
from celery import Celery, shared_task, signals

from celery_groupfifo import GroupFifo, GroupFifoTask
from celery_groupfifo.testing.history import record
from celery_groupfifo.worker import lost, publisher
from tests.support.stages.app import CONF, DIRECTORY

#: In the environment of a worker that dies where the gate has released a head, and the broker does not have its ticket.
CRASH = "CONFORMANCE_CRASH"
#: Seconds until the sweep takes a ticket of another broker for lost, instead of a minute.
BOUND = 4.0
LEASE_TTL = 2.0
#: A task that waits to be killed with its worker waits no longer than this.
PATIENCE = 60.0

BASE = {
    "groupfifo_lease_ttl": LEASE_TTL,
    "groupfifo_sweep_interval": 0.5,
    "worker_prefetch_multiplier": 2,
    "broker_connection_retry_on_startup": True,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
}


def make_app(**conf: Any) -> Celery:
    """Make the app, for workers and for the sender."""
    app = Celery("conformance", set_as_current=False)
    app.conf.update(BASE | conf)
    GroupFifo(app)
    app.set_default()
    return app


def note(**event: Any) -> None:
    """Write to the history; each process has a file of its own."""
    record(Path(os.environ[DIRECTORY]) / "history" / f"{os.getpid()}.jsonl", **event)


@shared_task(name="conformance.step", base=GroupFifoTask, group_key="{group}", bind=True)
def step(self: Any, group: str, seq: int, seconds: float = 0.0, deed: str = "") -> int:
    """Run once; `deed`: retry once, fail for good, or wait to be killed with the worker."""
    run = {"group": group, "seq": seq, "fence": self.group.fence, "worker": self.request.hostname}
    note(ev="start", attempt=self.group.attempt, lost=self.group.lost, deed=deed, **run)
    time.sleep(seconds)
    if deed == "retry" and self.group.attempt == 1:
        note(ev="end", ok=False, reason="retry", **run)
        raise self.retry(countdown=0.1)
    if deed == "die" and not self.group.lost:
        time.sleep(PATIENCE)
    if deed == "fail":
        note(ev="end", ok=False, reason="failed", **run)
        raise ValueError("as told")
    note(ev="end", ok=True, **run)
    return seq


@shared_task(name="conformance.plain", bind=True)
def plain(self: Any, number: int) -> int:
    """Run as a task of plain Celery."""
    note(ev="plain", number=number, worker=self.request.hostname)
    return number


@signals.worker_ready.connect
def _ready(sender: Any, **_: Any) -> None:
    note(ev="up", worker=str(sender.hostname))


def _die(*_: Any) -> None:
    me = psutil.Process()
    note(ev="kill", target=[me.pid, *(child.pid for child in me.children(recursive=True))])
    os.killpg(0, signal.SIGKILL)


lost.BOUND = BOUND
if CRASH in os.environ:
    vars(publisher)["publish_ticket"] = _die
if CONF in os.environ:
    app = make_app(**json.loads(os.environ[CONF]))
