"""Apps whose tasks go over exchanges, or into quorum queues; broker and gate come from the environment."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from celery_groupfifo import GroupFifoTask

MEDIA = Exchange("media", type="topic")
QUORUM = {"x-queue-type": "quorum"}

SETUPS: dict[str, dict[str, Any]] = {
    "topic": {
        "task_default_queue": "default",
        "task_queues": [Queue("default"), Queue("video", MEDIA, routing_key="media.video.#")],
        "task_routes": {"routed.*": {"queue": "video", "routing_key": "media.video.hd"}},
    },
    "quorum": {
        "task_default_queue": "work",
        "task_default_queue_type": "quorum",
        "task_default_exchange": "work",
        "task_default_exchange_type": "topic",
        "task_default_routing_key": "work",
        "worker_detect_quorum_queues": True,
    },
    "usual": {},
}

#: Seconds until a retry.
RETRY = 3


def make_app(setup: str, broker: str, gate: str, history: str) -> Celery:
    """Return an app of a setup."""
    app = Celery("routed", broker=broker, set_as_current=False)
    app.conf.update(
        groupfifo_url=gate,
        groupfifo_lease_ttl=2,
        groupfifo_sweep_interval=0.5,
        task_ignore_result=True,
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        **SETUPS[setup],
        **json.loads(os.environ.get("ROUTED_CONF", "{}")),
    )

    def noted(task: Any, key: str, number: int, retries: int, seconds: float) -> None:
        said = {"key": key, "number": number, "retries": task.request.retries}
        _note(history, event="start", **said)
        time.sleep(seconds)
        _note(history, event="end", **said)
        if task.request.retries < retries:
            raise task.retry(countdown=RETRY, max_retries=9)

    def grouped(self: Any, key: str, number: int, retries: int = 0, seconds: float = 0.0) -> None:
        noted(self, key, number, retries, seconds)

    app.task(bind=True, base=GroupFifoTask, group_key="{key}", name="routed.grouped", lazy=False, shared=False)(grouped)
    app.task(bind=True, acks_late=True, name="routed.plain", lazy=False, shared=False)(grouped)
    return app


def _note(path: str, **said: Any) -> None:
    with Path(path).open("a") as file:
        file.write(json.dumps({**said, "at": time.time()}) + "\n")


if "ROUTED_SETUP" in os.environ:
    app = make_app(*(os.environ[f"ROUTED_{name}"] for name in ("SETUP", "BROKER", "GATE", "HISTORY")))
