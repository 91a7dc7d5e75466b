"""The common needs of programs that run as our children: a free port, and an end with us, whatever kills us."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence

# Linux signals the end of the parent to a process, however the parent was killed; execv keeps that setting. The parent
# may end before the setting is made: hence the check of getppid. This is a program of its own, not a preexec_fn, which
# is unsafe in a process with threads.
_PARENT_DEATH_SIGNAL = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""

_PARENT_DEATH_IS_SIGNALLED = sys.platform.startswith("linux")

# Elsewhere a second process waits for the end of a pipe that only the parent holds open.
_PIPE_GUARD = """\
import os, signal, sys
sys.stdin.read()
os.kill(int(sys.argv[1]), signal.SIGKILL)
"""


def dying_with_us(command: Sequence[str]) -> list[str]:
    """Return a command that runs ``command`` and dies with this process, whatever kills it (on Linux only).

    Args:
        command: A program's path and its arguments; it keeps the process id that the caller sees.
    """
    if not _PARENT_DEATH_IS_SIGNALLED:
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _PARENT_DEATH_SIGNAL, str(os.getpid()), *command]


class Guard:
    """A process that kills another one when we end, where no signal does that.

    Args:
        pid: Of the process.
    """

    def __init__(self, pid: int) -> None:
        self._popen: subprocess.Popen[bytes] | None = None
        if not _PARENT_DEATH_IS_SIGNALLED:
            command = [sys.executable, "-I", "-S", "-c", _PIPE_GUARD, str(pid)]
            self._popen = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def close(self) -> None:
        """End the guard. Call it before the process ends: its id may belong to another one afterwards."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.communicate()
            self._popen = None


def free_port() -> int:
    """Return a TCP port of the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
