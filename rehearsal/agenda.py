"""The virtual time: events, the next one first."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

#: The virtual time at the start: releases and fences are drawn from it, and have 16 digits as those of Redis.
START_US = 1_800_000_000_000_000

Do = Callable[[], None]
"""An event."""


class Agenda:
    """The events to come.

    Attributes:
        now: The virtual time in microseconds.
    """

    def __init__(self) -> None:
        self.now = START_US
        self._heap: list[tuple[int, int, Do]] = []
        self._numbers = count()

    @property
    def seconds(self) -> float:
        """Return the virtual seconds since the start."""
        return (self.now - START_US) / 1e6

    def after(self, seconds: float, do: Do) -> None:
        """Let an event happen so many virtual seconds from now."""
        heappush(self._heap, (self.now + max(int(seconds * 1e6), 1), next(self._numbers), do))

    def run_for(self, step_us: int) -> bool:
        """Make the next event happen, and those that follow it within a step; False when there is none."""
        if not self._heap:
            return False
        limit = self._heap[0][0] + step_us
        while self._heap and self._heap[0][0] <= limit:
            at, _, do = heappop(self._heap)
            self.now = max(at, self.now + 1)
            do()
        return True
