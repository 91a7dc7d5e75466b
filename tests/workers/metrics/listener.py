"""Included by a worker: writes its signals to a file, and its metrics beside it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from celery.signals import worker_shutdown
from prometheus_client import CollectorRegistry, write_to_textfile

from celery_groupfifo import metrics, signals
from tests.support.crews.app import DIRECTORY

NAMES = ("begun", "finished", "held", "surrendered", "stale", "lease_lost", "reclaimed", "tickets_lost")

registry = CollectorRegistry()
metrics.observe(registry)


def _write(signal: Any, sender: Any, **arguments: Any) -> None:
    line = {"signal": signal.name, "sender": sender, **arguments}
    with (Path(os.environ[DIRECTORY]) / "signals").open("a") as file:
        file.write(json.dumps(line) + "\n")


for _name in NAMES:
    getattr(signals, f"group_{_name}").connect(_write)


@worker_shutdown.connect
def _save(**_: Any) -> None:
    write_to_textfile(str(Path(os.environ[DIRECTORY]) / "metrics"), registry)
