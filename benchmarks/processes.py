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

from celery_groupfifo.testing.children import dying_with_us
from celery_groupfifo.testing.processes import Process

ROOT = Path(__file__).resolve().parents[1]


class BenchmarkError(Exception):
    """A scenario that could not be measured; the message says why."""


def _path(more: Mapping[str, str]) -> dict[str, str]:
    """Return variables with which a process in another directory finds the benchmarks."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])), **more}


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


class Worker(Process):
    """A worker. It is killed when the measurement is over, as a warm shutdown takes a second.

    Args:
        command: A module to run with its options.
        environment: Variables on top of ours.
        directory: For its log.
        name: Unique on this server.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], directory: Path, name: str) -> None:
        super().__init__(name, ["-m", *command], directory / f"{name}.log", _path(environment), directory)

    def check(self) -> None:
        """Check that the worker runs.

        Raises:
            BenchmarkError: It has ended.
        """
        if self.exit_code is not None:
            tail = " / ".join(self.tail(3).splitlines())
            raise BenchmarkError(f"A worker ended with code {self.exit_code}: {tail}")


class Producer:
    """A process that sends on request, see producer.py.

    Args:
        name: For its log.
        command: That runs it.
        environment: Variables on top of ours.
        directory: For its log.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], directory: Path) -> None:
        self._log = (directory / f"producer-{name}.log").open("ab")
        self._popen = subprocess.Popen(
            dying_with_us(command),
            cwd=directory,
            env={**os.environ, **_path(environment)},
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
