"""What the apps of these tests share: where they find their server, and what their tasks write down."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from celery import Celery

from celery_groupfifo import GroupFifoTask

URL, DIRECTORY = "ECOSYSTEM_URL", "ECOSYSTEM_DIRECTORY"


def make_app(name: str, **conf: Any) -> Celery:
    """Make an app on the test's server."""
    app = Celery(name, broker=os.environ[URL], backend=os.environ[URL])
    app.conf.update(groupfifo_lease_ttl=5, broker_connection_retry_on_startup=True, **conf)
    return app


def note(**line: Any) -> None:
    """Append a line to what the test reads."""
    descriptor = os.open(Path(os.environ[DIRECTORY]) / "notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, json.dumps(line, default=str).encode() + b"\n")
    finally:
        os.close(descriptor)


def wait_and_note(task: Any, key: str, number: int) -> int:
    """Wait until the test gives its word, and note the run: the body of a bound task."""
    end = time.monotonic() + 20
    while not (Path(os.environ[DIRECTORY]) / "go").exists() and time.monotonic() < end:
        time.sleep(0.01)
    note(task=task.name, number=number, fence=task.group.fence if isinstance(task, GroupFifoTask) else 0)
    return number
