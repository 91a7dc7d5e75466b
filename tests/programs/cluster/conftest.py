"""Commands on a cluster in a directory of the test's own; what a failed test leaves running is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from celery_groupfifo.cluster.instance import Instance
from tests.support.places import REPOSITORY


class Site:
    """A machine with a cluster.

    Args:
        directory: To work in.
        redis_url: The broker.
    """

    def __init__(self, directory: Path, redis_url: str) -> None:
        self.directory = directory
        self.cluster = directory / "cluster"
        self.history = directory / "history"
        self.environment = {
            **os.environ,
            "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{directory}",
            "REDIS_URL": redis_url,
            "TMPDIR": str(directory),  # a process that is killed removes no folder of its own
            "DEMO_HISTORY": str(self.history),
        }
        for name in ("APP", "INSTANCES", "WORKER_CONCURRENCY", "WORKER_OPTIONS"):
            self.environment.pop(name, None)

    def run(self, *words: str, code: int = 0, **environment: str) -> str:
        """Run a command, check its exit code, and return what it said."""
        app = {} if words[0] != "start" and (self.cluster / "cluster.json").exists() else {"APP": "demo.app"}
        done = subprocess.run(
            [sys.executable, "-m", "celery_groupfifo.cluster", *words],
            cwd=self.directory,
            env={**self.environment, **app, **environment},
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def instance(self, number: int) -> Instance:
        return Instance(self.cluster, "messages-worker", number)

    def started(self, *numbers: int) -> list[tuple[int, str]]:
        """Return the pid and the start of each of these instances, all of which run."""
        processes = [self.instance(number).process() for number in numbers]
        running = [process for process in processes if process is not None]
        assert len(running) == len(numbers), processes
        return [(process.pid, process.started) for process in running]


@pytest.fixture
def site(tmp_path: Path, redis_url: str) -> Iterator[Site]:
    site = Site(tmp_path, redis_url)
    yield site
    for number in range(1, 8):
        site.instance(number).kill()
