"""The bodies of the tasks: the same functions in every app."""

from __future__ import annotations

import time

from benchmarks import recording


def noop(group: str, number: int) -> None:
    """Do nothing, so that the cost of a task remains."""


def step(group: str, number: int, seconds: float = 0.0) -> None:
    """Record the start, work, record the end.

    Args:
        group: "g" and a number.
        number: Of the task within its group, from 0.
        seconds: Of pretended work.
    """
    recording.write(recording.START, group, number)
    if seconds:
        time.sleep(seconds)
    recording.write(recording.END, group, number)
