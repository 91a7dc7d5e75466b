"""The interface of every scenario."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from benchmarks.bench import Bench

Metrics = dict[str, float]
"""The figures of one run, by name; units are in rows.py."""


class Copies:
    """The copies of the states that a scenario's runs start from: each is made once."""

    def __init__(self) -> None:
        self._slots: set[int] = set()

    def use(self, bench: Bench, slot: int, fill: Callable[[], object]) -> None:
        """Start from the copy in a slot; without one from an empty gate that `fill` fills, and keep a copy of it."""
        if slot in self._slots:
            bench.restore(slot)
            return
        bench.clear()
        fill()
        bench.keep(slot)
        self._slots.add(slot)

    def close(self, bench: Bench) -> None:
        """Forget the copies, and empty the gate."""
        for slot in self._slots:
            bench.drop(slot)
        self._slots.clear()
        bench.clear()


class Scenario(Protocol):
    """A measurement, with several arms to compare.

    Attributes:
        name: For the record.
        repeatable: False for figures that are counted and not timed: they need no repetition.
    """

    name: str
    repeatable: bool

    @property
    def arms(self) -> Mapping[str, Any]:
        """Return the arms by name, in the order of their runs."""

    def measure(self, bench: Bench, arm: str) -> Metrics:
        """Run one arm.

        Returns:
            The figures of the run.

        Raises:
            BenchmarkError: It can't be measured.
        """

    def close(self, bench: Bench) -> None:
        """Forget the data that was kept between runs."""
