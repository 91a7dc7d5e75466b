"""The demo's Celery app: one task, ordered per customer of a messaging instance.

``celery -A demo.app worker`` runs it without the rest of the demo, too.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import worker_ready

from celery_groupfifo import GroupFifoTask
from celery_groupfifo.testing.history import record
from demo.messages import RETRY_SECONDS, fails_at_first, seconds_of_work

HISTORY_VARIABLE = "DEMO_HISTORY"

app = Celery("demo")
app.config_from_object("demo.config")


class GatewayBusyError(Exception):
    """A refusal by the pretended messaging gateway; the next try succeeds."""


# The results are never read, so none are kept.
@app.task(
    base=GroupFifoTask,
    group_key="{instance_id}:{customer_id}",
    bind=True,
    ignore_result=True,
    name="demo.send_message",
)
def send_message(self: Any, instance_id: str, customer_id: str, seq: int, text: str) -> None:
    """Pretend to send one message; some fail at first and are retried.

    Args:
        self: the running task.
        instance_id: the messaging instance, e.g. the shop's WhatsApp number.
        customer_id: the receiver of the message.
        seq: number of the message within its group, from 1, given by the producer that owns the group.
        text: of the message.
    """
    group = f"{instance_id}:{customer_id}"
    run = {
        "group": group,
        "seq": seq,
        # Without a worker (`apply`) a task runs outside its group.
        "fence": self.group.fence if self.group else 0,
        "worker": str(self.request.hostname),
    }
    attempt, lost = (self.group.attempt, self.group.lost) if self.group else (1, 0)
    file = history_file(f"worker-{os.getpid()}")
    record(file, ev="start", attempt=attempt, lost=lost, **run)
    time.sleep(seconds_of_work(group, seq))
    # The end is written first: the next run may begin as soon as the gate is told.
    if fails_at_first(group, seq) and self.request.retries == 0:
        record(file, ev="end", ok=False, reason="retry", **run)
        raise self.retry(exc=GatewayBusyError(text), countdown=RETRY_SECONDS)
    record(file, ev="end", ok=True, **run)


def history_file(writer: str) -> Path:
    """Return the file that a writer of events has for itself, and make its directory.

    Args:
        writer: its name, which no other process uses.
    """
    directory = Path(os.environ.get(HISTORY_VARIABLE) or "demo-logs/history")
    directory.mkdir(parents=True, exist_ok=True)
    return directory / f"{writer}.jsonl"


@worker_ready.connect
def _tell_that_worker_is_up(sender: Any, **_: Any) -> None:
    record(history_file(f"worker-{os.getpid()}"), ev="up", worker=str(sender.hostname))
