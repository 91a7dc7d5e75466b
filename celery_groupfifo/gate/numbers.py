"""The running numbers of producers, by which the gate knows a call that is repeated."""

from __future__ import annotations

from collections import deque
from uuid import uuid4

from celery_groupfifo.gate.model import Number


class Numbers:
    """The producers of one process that make no call now. The gate forgets one that makes none for ten minutes."""

    def __init__(self) -> None:
        self._free: deque[Number] = deque()

    def take(self, many: int) -> list[Number]:
        """Return the next numbers of a producer, which is the caller's until it is given back."""
        try:
            first = self._free.popleft()
        except IndexError:
            first = Number(uuid4().hex, 1)
        return [Number(first.producer, first.value + i) for i in range(many)]

    def give_back(self, last: Number) -> None:
        """Let others use a producer, behind its last number; not while a call of it may be repeated."""
        self._free.append(Number(last.producer, last.value + 1))
