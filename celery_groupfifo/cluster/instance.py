"""One worker of a cluster: its name, its pid file, its log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from celery.utils.nodenames import gethostname

from celery_groupfifo.cluster.processes import ProcessInfo, table

#: Kept, as Python warns of a process object that is dropped while its process runs. Workers outlive this command.
_started: list[subprocess.Popen[bytes]] = []


class Instance:
    """One worker, running or not.

    Args:
        directory: Of the cluster.
        stem: Of its name.
        number: From 1.
    """

    def __init__(self, directory: Path, stem: str, number: int) -> None:
        self.number = number
        self.name = f"{stem}-{number}"
        self.node = f"{self.name}@{gethostname()}"
        self.log = directory / f"{self.name}.log"
        self.pid_file = directory / f"{self.name}.pid"

    def start(self, app: str, options: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the worker in the background; it takes tasks a little later.

        Args:
            app: As for `celery -A`.
            options: More words for `celery worker`.
            environment: Variables beside our own; the worker's number is added as `CLUSTER_INSTANCE`.
        """
        command = [sys.executable, "-m", "celery", "-A", app, "worker", "-n", self.node, "-l", "INFO", *options]
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment, "CLUSTER_INSTANCE": str(self.number)},
                start_new_session=True,  # Ctrl-C and the end of this terminal must not reach it
            )
        _started.append(process)
        found = table().get(process.pid)
        self.pid_file.write_text(f"{process.pid}\n{found.started if found else '-'}\n")

    def process(self, processes: Mapping[int, ProcessInfo] | None = None) -> ProcessInfo | None:
        """Return the living process of the pid file; None when it has ended or its pid is another's by now.

        Args:
            processes: From `table()`, for callers that ask often; None: they are read.
        """
        try:
            pid, started = self.pid_file.read_text().split("\n", 1)
        except (FileNotFoundError, ValueError):
            return None
        found = (table() if processes is None else processes).get(int(pid) if pid.isdigit() else -1)
        return found if found is not None and found.started == started.strip() else None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the worker's main process, if it lives."""
        process = self.process()
        if process is not None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)

    def kill(self) -> None:
        """Kill the worker and its children. Its groups go on when its leases are over."""
        process = self.process()
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.group, signal.SIGKILL)

    def megabytes(self, processes: Mapping[int, ProcessInfo]) -> int:
        """Return the resident memory of the worker and its children."""
        own = self.process(processes)
        group = own.group if own else None
        return sum(each.kilobytes for each in processes.values() if each.group == group) // 1024

    def tail(self, lines: int = 8) -> str:
        """Return the last lines of the worker's log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
