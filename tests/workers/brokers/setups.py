"""A setup of routed.py: its app, and workers of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import redis
from celery import Celery
from kombu import pools

from tests.support.brokers.workers import Workers
from tests.support.waiting import until
from tests.workers.brokers.routed import make_app


class Setup:
    """An app of routed.py, and its workers.

    Args:
        name: Of the setup.
        broker: URL.
        gate: URL of an empty database.
        folder: For history and logs.
        conf: More settings of its workers.
    """

    def __init__(self, name: str, broker: str, gate: str, folder: Path, **conf: Any) -> None:
        pools.reset()  # of the process, by URL: their connections know what earlier tests have declared
        self.folder = folder
        history = str(folder / "history")
        said = {"SETUP": name, "BROKER": broker, "GATE": gate, "HISTORY": history, "CONF": json.dumps(conf)}
        variables = {f"ROUTED_{word}": value for word, value in said.items()}
        self._workers = Workers(folder, "tests.workers.brokers.routed", variables)
        self.app: Celery = make_app(name, broker, gate, history)
        self.redis = redis.Redis.from_url(gate)

    def worker(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a worker, and wait until it takes tasks."""
        worker = self._workers.start("-c", "2", *options)
        self._workers.ready()
        return worker

    @property
    def log(self) -> str:
        """Return the logs of all workers."""
        return self._workers.log

    def send(self, kind: str, key: str, number: int, *args: Any, **options: Any) -> None:
        """Send a task: grouped or plain."""
        self.app.tasks[f"routed.{kind}"].apply_async((key, number, *args), **options)

    def events(self, key: str, event: str = "start") -> list[dict[str, Any]]:
        """Return the notes of the tasks of a key."""
        path = self.folder / "history"
        lines = path.read_text().splitlines() if path.exists() else []
        return [each for each in map(json.loads, lines) if each["key"] == key and each["event"] == event]

    def started(self, key: str, many: int) -> list[dict[str, Any]]:
        """Wait for so many starts of a key."""
        until(lambda: len(self.events(key)) >= many, lambda: f"{self.events(key)}\n{self.log[-4000:]}")
        return self.events(key)

    def drained(self) -> None:
        """Wait until the gate holds nothing."""
        until(lambda: not self.redis.exists("{groupfifo:0}:groups"), lambda: self.log[-4000:])

    def close(self) -> None:
        """End the workers."""
        self._workers.close()
        self.app.close()
        self.redis.close()
