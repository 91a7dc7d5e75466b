"""Worker processes of the apps of these tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from celery_groupfifo.testing.children import dying_with_us
from tests.support.places import REPOSITORY
from tests.support.waiting import until


class Workers:
    """The workers of one app.

    Args:
        folder: For their logs.
        module: With the app.
        variables: Where it finds its settings; they count for workers that are started later.
    """

    def __init__(self, folder: Path, module: str, variables: Mapping[str, str]) -> None:
        self._folder, self._module = folder, module
        self.variables = dict(variables)
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """Start one; see `ready`."""
        name = f"w{len(self._processes)}"
        command = [sys.executable, "-m", "tests.support.launch", self._module, "-n", f"{name}@test", "-l", "INFO"]
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                dying_with_us([*command, "--without-mingle", "--without-gossip", *options]),
                cwd=REPOSITORY,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(self._folder), **self.variables},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def ready(self) -> None:
        """Wait until the one that was started last takes tasks."""
        log, process = self._folder / f"w{len(self._processes) - 1}.log", self._processes[-1]
        until(lambda: " ready." in log.read_text() or process.poll() is not None, log.read_text)
        assert process.poll() is None, log.read_text()

    @property
    def log(self) -> str:
        """Return the logs of all."""
        return "".join(path.read_text() for path in sorted(self._folder.glob("w*.log")))

    def close(self) -> None:
        """End those that still run, and their children."""
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
