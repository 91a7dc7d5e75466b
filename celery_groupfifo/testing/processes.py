"""Python programs as child processes: each in a session of its own, with a log, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from celery_groupfifo.testing.children import dying_with_us


class Process:
    """A Python program that runs as our child.

    Attributes:
        name: its name on the screen.
        log: the file that gets its output.
        stopping: True when it was told to end, by `terminate` or `kill`.
    """

    def __init__(
        self, name: str, words: Sequence[str], log: Path, environment: Mapping[str, str], directory: Path | None = None
    ) -> None:
        """Start the program.

        Args:
            name: its name.
            words: arguments for the interpreter, e.g. ``["-m", "celery", …]``.
            log: file to append its output to.
            environment: variables to set beside our own.
            directory: its working directory; None: ours.
        """
        self.name = name
        self.log = log
        self.stopping = False
        with log.open("ab") as output:
            # A session of its own, so that Ctrl-C reaches only us, who stop all processes in order, and the whole group
            # can be killed at once.
            self._popen = subprocess.Popen(
                dying_with_us([sys.executable, *words]),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Return its process id, also after its end."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """Return its exit code; negative for a signal; None while it runs."""
        return self._popen.poll()

    def terminate(self) -> None:
        """Ask it to end (SIGTERM); returns at once."""
        self.stopping = True
        self._popen.terminate()

    def kill(self) -> None:
        """Kill it and its children (SIGKILL) at once, and wait until it is dead."""
        self.stopping = True
        if self._popen.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    def tail(self, lines: int = 5) -> str:
        """Return the last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def stop(processes: Iterable[Process], within: float) -> float:
    """End processes: ask them all, wait, and kill those that have not ended.

    Args:
        processes: the processes; ended ones are fine.
        within: seconds to wait.

    Returns:
        The seconds it took.
    """
    started = time.monotonic()
    left = [process for process in processes if process.exit_code is None]
    for process in left:
        process.terminate()
    while any(process.exit_code is None for process in left) and time.monotonic() < started + within:
        time.sleep(0.02)
    for process in left:
        process.kill()
    return time.monotonic() - started
