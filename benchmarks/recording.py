"""The record of a run: when each task started and ended, written by the tasks themselves.

One file, one small write per event, each appended as a whole: so its order is the order of events over all processes,
and its length shows the progress, without a question to a measured process.
"""

from __future__ import annotations

import os
import struct
import time
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

PATH_VARIABLE = "BENCH_RECORD"
START, END = 0, 1

_LINE = struct.Struct("<dIIB7x")


class Event(NamedTuple):
    """One line.

    Attributes:
        time: Of the system's monotonic clock, which all processes share.
        group: Its number.
        number: Of the task within its group.
        kind: START or END.
    """

    time: float
    group: int
    number: int
    kind: int


def write(kind: int, group: str, number: int) -> None:
    """Append an event; `group` is "g" and its number."""
    os.write(_descriptor(), _LINE.pack(time.monotonic(), int(group[1:]), number, kind))


@cache
def _descriptor() -> int:
    return os.open(os.environ[PATH_VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def runs(path: Path) -> int:
    """Return the number of runs that have ended; those in progress count by half."""
    return path.stat().st_size // (2 * _LINE.size)


def read(path: Path) -> list[Event]:
    """Return all events, in their order."""
    data = path.read_bytes()
    return [Event(*fields) for fields in _LINE.iter_unpack(data[: len(data) // _LINE.size * _LINE.size])]


def starts(events: list[Event]) -> dict[tuple[int, int], float]:
    """Return the time of each task's first start, by group and number."""
    found: dict[tuple[int, int], float] = {}
    for event in events:
        if event.kind == START:
            found.setdefault((event.group, event.number), event.time)
    return found


def violations(events: list[Event]) -> int:
    """Return the number of runs that started before every earlier task of their group had ended."""
    ended: defaultdict[int, set[int]] = defaultdict(set)
    turn: defaultdict[int, int] = defaultdict(int)  # the first number of a group that has not ended
    early = 0
    for event in events:
        if event.kind == START:
            early += event.number > turn[event.group]
            continue
        ended[event.group].add(event.number)
        while turn[event.group] in ended[event.group]:
            ended[event.group].discard(turn[event.group])
            turn[event.group] += 1
    return early
