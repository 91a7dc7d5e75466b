"""The display of a running demo: plain lines, or a live screen where there is a terminal and rich."""

from __future__ import annotations

import sys
from typing import Protocol

from demo.progress import Progress


class Display(Protocol):
    """A way to show the demo to a person."""

    def say(self, text: str, style: str = "") -> None:
        """Show lines that stay."""

    def update(self, progress: Progress, total: int, seconds: float) -> None:
        """Show the progress after so many seconds; called many times a second."""

    def freeze(self) -> None:
        """End the live part; `say` goes on working."""


class PlainDisplay:
    """A display of lines on standard output, one a second."""

    def __init__(self) -> None:
        self._next = 0.0
        self._last = ""

    def say(self, text: str, style: str = "") -> None:
        """Print lines."""
        print(text, flush=True)

    def update(self, progress: Progress, total: int, seconds: float) -> None:
        """Print a line of figures if the last one is a second old and anything has changed."""
        line = figures(progress, total)
        if seconds >= self._next and line != self._last:
            self._next, self._last = seconds + 1, line
            self.say(f"{seconds:6.1f} s  {line}")

    def freeze(self) -> None:
        """Do nothing: there is no live part."""


def figures(progress: Progress, total: int) -> str:
    """Return the progress in one line."""
    workers = "  ".join(
        f"{worker.name.partition('@')[0]}: {'killed' if worker.killed else f'{len(worker.busy)} busy'}"
        for _, worker in sorted(progress.workers.items())
    )
    return (
        f"done {progress.done}/{total}  parked {progress.parked}  busy {progress.busy}  "
        f"retry {progress.groups_in('retry')}  cut off {progress.groups_in('cut off')}  |  {workers}"
    )


def choose(*, plain: bool, slots: int) -> Display:
    """Return the display that fits our output.

    Args:
        plain: True for plain lines in any case.
        slots: slots of each worker.
    """
    if plain or not sys.stdout.isatty():
        return PlainDisplay()
    try:
        from demo.screen import Screen
    except ImportError:  # rich is an extra
        return PlainDisplay()
    return Screen(slots)
