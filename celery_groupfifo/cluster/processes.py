"""The processes of this machine, with what a cluster asks of them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


class ProcessInfo(NamedTuple):
    """One process.

    Attributes:
        pid: Its id, which the system gives to another process after its end.
        group: Its process group, which a worker shares with its children.
        started: A mark of its start: together with the pid it is unique.
        kilobytes: Resident memory; shared memory counts in each process.
    """

    pid: int
    group: int
    started: str
    kilobytes: int


def table() -> dict[int, ProcessInfo]:
    """Return all living processes by pid, without ended ones that their parent has not waited for."""
    found = _from_proc() if (_PROC / "self" / "stat").exists() else _from_ps()
    return {process.pid: process for process in found}


def _from_proc() -> Iterator[ProcessInfo]:
    for directory in _PROC.iterdir():
        if directory.name.isdigit():
            try:
                text = (directory / "stat").read_text(errors="replace")
            except OSError:  # it has just ended
                continue
            words = text[text.rindex(")") + 2 :].split()  # the name, in brackets, may hold anything
            if words[0] not in "ZX":
                yield ProcessInfo(int(directory.name), int(words[2]), words[19], int(words[21]) * _PAGE_KB)


def _from_ps() -> Iterator[ProcessInfo]:
    command = ["ps", "-A", "-o", "pid=,pgid=,rss=,stat=,lstart="]
    environment = {**os.environ, "LC_ALL": "C"}
    for line in subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment
    ).stdout.splitlines():
        pid, group, kilobytes, state, started = line.split(None, 4)
        if state[0] not in "ZX":
            yield ProcessInfo(int(pid), int(group), started.strip(), int(kilobytes))
