"""Parts that the apps of these tests share: their server, their tasks, and the notes that these write down."""

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
    end = time.monotonic() + 60
    while not (Path(os.environ[DIRECTORY]) / "go").exists() and time.monotonic() < end:
        time.sleep(0.01)
    note(task=task.name, number=number, fence=task.group.fence if isinstance(task, GroupFifoTask) else 0)
    return number


def fallible_tasks(app: Celery, module: str) -> tuple[Any, Any]:
    """Make an ordered task and a plain one of an app, which fail when they are told to."""
    ordered = app.task(_perhaps_fail, name=f"{module}.ordered", base=GroupFifoTask, group_key="{key}")
    return ordered, app.task(_perhaps_fail, name=f"{module}.plain")


def _perhaps_fail(key: str, fails: bool = False) -> str:
    if fails:
        raise ValueError("as told")
    return key


def noting_task(app: Celery, name: str, **options: Any) -> Any:
    """Make a task whose body is `wait_and_note`."""
    return app.task(name=name, bind=True, **options)(wait_and_note)


def single_tasks(app: Celery, alone: type, both: type) -> dict[str, Any]:
    """Make a task of a base class that sends no duplicates, and one of the same base with an order."""
    return {
        "alone": noting_task(app, "alone", base=alone),
        "both": noting_task(app, "both", base=both, group_key="{key}"),
    }


def send_again(tasks: dict[str, Any]) -> None:
    """Send what was a duplicate, when the first has ended."""
    for name, task in tasks.items():
        task.delay(name, 1).get(timeout=60)
