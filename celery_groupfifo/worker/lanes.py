"""The lanes of a worker at the gate: each run is in one, and hands it on to the task that its end has taken."""

from __future__ import annotations

from collections import deque
from itertools import count


class Lanes:
    """The free lanes of a worker. Lanes are few, as they are used again: the gate keeps a word for each."""

    def __init__(self) -> None:
        self._free: deque[str] = deque()
        self._numbers = count()

    def take(self) -> str:
        """Return a lane that no other run is in."""
        try:
            return self._free.pop()
        except IndexError:
            return str(next(self._numbers))

    def give_back(self, lane: str) -> None:
        """Free a lane. No call that names it may be open, as a late one would write over the next run's."""
        self._free.append(lane)
