"""The workers and producers: processes that end with us, and their CPU time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from celery_groupfifo.testing.embedded import dying_with_us

ROOT = Path(__file__).resolve().parents[1]


class BenchmarkError(Exception):
    """A scenario that could not be measured; the message says why."""


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **more}


def cpu_seconds(pid: int) -> float | None:
    """Return the CPU time of a process, all its threads, without its children.

    `/proc/<pid>/stat` has the same figure in hundredths of a second, too coarse for a run of a second: this is
    the kernel's clock behind it.

    Returns:
        None where the system has no such clock.
    """
    if not sys.platform.startswith("linux"):
        return None
    process_clock = (~pid << 3) | 2
    try:
        return time.clock_gettime(process_clock)
    except OSError:
        return None


class Worker:
    """A worker.

    Args:
        command: A module to run with its options.
        environment: Variables on top of ours.
        directory: For its log.
        name: Unique on this server.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], directory: Path, name: str) -> None:
        self._log = directory / f"{name}.log"
        with self._log.open("wb") as output:
            # A session of its own, so that its children are killed with it.
            self._popen = subprocess.Popen(
                dying_with_us([sys.executable, "-m", *command]),
                cwd=directory,
                env=_environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._popen.pid

    def check(self) -> None:
        """Check that the worker runs.

        Raises:
            BenchmarkError: It has ended.
        """
        if self._popen.poll() is not None:
            raise BenchmarkError(f"A worker ended with code {self._popen.returncode}: {self._tail()}")

    def kill(self) -> None:
        """Kill the worker: the measurement is over, and a warm shutdown takes a second."""
        if self._popen.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    def _tail(self) -> str:
        return " / ".join(self._log.read_text(errors="replace").strip().splitlines()[-3:])


class Producer:
    """A process that sends on request, see producer.py."""

    def __init__(self, app: str, environment: Mapping[str, str], directory: Path) -> None:
        self._log = (directory / f"producer-{app}.log").open("ab")
        self._popen = subprocess.Popen(
            dying_with_us([sys.executable, "-m", "benchmarks.producer", app]),
            cwd=directory,
            env=_environment(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
        )

    def begin(self, do: str, **request: Any) -> None:
        """Send a request and leave it to the producer; `result` waits for it."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self._popen.stdin.flush()

    def result(self) -> Any:
        """Return the answer to the request that `begin` sent.

        Raises:
            BenchmarkError: The producer failed.
        """
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        answer = json.loads(line) if line else {"error": f"it ended; see {self._log.name}"}
        if "error" in answer:
            raise BenchmarkError(f"The producer failed: {answer['error']}")
        return answer["value"]

    def ask(self, do: str, **request: Any) -> Any:
        """Send a request and wait for its answer."""
        self.begin(do, **request)
        return self.result()

    def close(self) -> None:
        """Kill the producer."""
        if self._popen.poll() is None:
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.communicate()
        self._log.close()
