"""The interface of every scenario."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from benchmarks.bench import Bench

Metrics = dict[str, float]
"""The figures of one run, by name; units are in rows.py."""


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
