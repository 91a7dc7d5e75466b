"""A setup of routed.py: its app, and workers of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import redis
from celery import Celery
from kombu import pools

from celery_groupfifo.testing.children import dying_with_us
from tests.brokers.routed import make_app
from tests.waiting import until

REPOSITORY = Path(__file__).resolve().parents[2]


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
        self._environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        self._environment |= {f"ROUTED_{word}": value for word, value in said.items()}
        self.app: Celery = make_app(name, broker, gate, history)
        self.redis = redis.Redis.from_url(gate)
        self._workers: list[subprocess.Popen[bytes]] = []

    def worker(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a worker, and wait until it takes tasks."""
        log = self.folder / f"{len(self._workers)}.log"
        command = [sys.executable, "-m", "celery", "-A", "tests.brokers.routed", "worker", "-l", "INFO", "-c", "2"]
        command += ["-n", f"w{len(self._workers)}@test", "--without-mingle", "--without-gossip", *options]
        with log.open("wb") as out:
            worker = subprocess.Popen(
                dying_with_us(command),
                cwd=REPOSITORY,
                env=self._environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._workers.append(worker)
        until(lambda: " ready." in log.read_text() or worker.poll() is not None, log.read_text)
        assert worker.poll() is None, log.read_text()
        return worker

    @property
    def log(self) -> str:
        """Return the logs of all workers."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

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
        until(lambda: not self.redis.exists("{groupfifo:0}:depth"), lambda: self.log[-4000:])

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        self.app.close()
        self.redis.close()
