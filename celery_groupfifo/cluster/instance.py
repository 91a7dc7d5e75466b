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

from celery_groupfifo.cluster.processes import Process, table

#: Celery starts them; they end when they are told to, not with us. Kept, so that nobody warns of it.
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
        """Start it in the background; it takes tasks a little later.

        Args:
            app: As for `celery -A`.
            options: More words for `celery worker`.
            environment: Variables beside our own; it also gets its number as `CLUSTER_INSTANCE`.
        """
        command = [sys.executable, "-m", "celery", "-A", app, "worker", "-n", self.node, "-l", "INFO", *options]
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment, "CLUSTER_INSTANCE": str(self.number)},
                start_new_session=True,  # Ctrl-C and the end of this terminal are not for it
            )
        _started.append(process)
        found = table().get(process.pid)
        self.pid_file.write_text(f"{process.pid}\n{found.started if found else '-'}\n")

    def process(self, processes: Mapping[int, Process] | None = None) -> Process | None:
        """The living process of the pid file; None when there is none, also when its pid is another's by now.

        Args:
            processes: From `table()`, for who asks often.
        """
        try:
            pid, started = self.pid_file.read_text().split("\n", 1)
        except (FileNotFoundError, ValueError):
            return None
        found = (table() if processes is None else processes).get(int(pid) if pid.isdigit() else -1)
        return found if found is not None and found.started == started.strip() else None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its main process, if it lives."""
        process = self.process()
        if process is not None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)

    def kill(self) -> None:
        """End it and its children at once. Its groups go on when its leases are over."""
        process = self.process()
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.group, signal.SIGKILL)

    def megabytes(self, processes: Mapping[int, Process]) -> int:
        """Resident memory of it and its children."""
        own = self.process(processes)
        group = own.group if own else None
        return sum(each.kilobytes for each in processes.values() if each.group == group) // 1024

    def tail(self, lines: int = 8) -> str:
        """The end of its log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
