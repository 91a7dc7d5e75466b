"""A worker with a library, a process that sends with it, and what both have written down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery_groupfifo.testing.processes import Process
from tests.compatibility.ecosystem.apps.base import DIRECTORY, URL
from tests.support.places import REPOSITORY
from tests.support.waiting import until

CALL = "import importlib, json, sys; print(json.dumps(getattr(importlib.import_module(sys.argv[1]), sys.argv[2])()))"
Note = dict[str, Any]


class Stage:
    """One test's processes: each library changes Celery in its own way, and none is to see another's.

    Args:
        directory: For logs and notes.
        url: Of the broker, the gate and the results.
        module: With the app, below tests.compatibility.ecosystem.apps.
    """

    def __init__(self, directory: Path, url: str, module: str) -> None:
        self.directory, self._module = directory, f"tests.compatibility.ecosystem.apps.{module}"
        self._environment = {
            URL: url,
            DIRECTORY: str(directory),
            "PYTHONPATH": str(REPOSITORY),
            "TMPDIR": str(directory),
        }
        self._processes: list[Process] = []

    def worker(self, *options: str, pool: str = "prefork", **environment: str) -> None:
        """Start a worker, and return when it takes tasks."""
        words = ["-l", "INFO", "-c", "2", "-P", pool, "--without-mingle", "--without-gossip", *options]
        process = self._start("worker", "worker", *words, **environment)
        until(lambda: " ready." in self.log("worker") or process.exit_code is not None, lambda: self.log("worker"))
        assert process.exit_code is None, self.log("worker")

    def beat(self, *options: str) -> None:
        """Start beat."""
        schedule = str(self.directory / "beat")
        self._start("beat", "beat", "-l", "INFO", "--pidfile", "", "-s", schedule, "--max-interval", "1", *options)

    def _start(self, name: str, *words: str, **environment: str) -> Process:
        command = ["-m", "celery", "-A", self._module, *words]
        self._processes.append(
            Process(name, command, self.directory / f"{name}.log", {**self._environment, **environment})
        )
        return self._processes[-1]

    def call(self, function: str) -> Any:
        """Call a function of the app's module in a process of its own, and return its answer."""
        done = subprocess.run(
            [sys.executable, "-c", CALL, self._module, function],
            cwd=REPOSITORY,
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{done.stderr[-3000:]}\n{self.log('worker')[-3000:]}"
        return json.loads(done.stdout.splitlines()[-1])

    def tell(self, name: str) -> None:
        """Let the tasks go on that wait for this word."""
        (self.directory / name).touch()

    def notes(self, **wanted: Any) -> list[Note]:
        """Return the notes that have these values."""
        path = self.directory / "notes"
        text = path.read_text() if path.exists() else ""
        lines = map(json.loads, text[: text.rfind("\n") + 1].splitlines())
        return [line for line in lines if wanted.items() <= line.items()]

    def wait_for(self, number: int, **wanted: Any) -> list[Note]:
        """Wait until there are so many notes with these values, and return them."""
        seen: Callable[[], list[Note]] = lambda: self.notes(**wanted)  # noqa: E731
        until(lambda: len(seen()) >= number, lambda: f"{self.notes()}\n{self.log('worker')[-4000:]}")
        return seen()

    def log(self, name: str) -> str:
        """Return what a process has logged."""
        path = self.directory / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def close(self) -> None:
        """Leave nothing behind."""
        for process in self._processes:
            process.kill()
