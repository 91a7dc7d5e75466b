"""What every scenario is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from benchmarks.bench import Bench

Metrics = dict[str, float]
"""What one run gave, by name; units are in rows.py."""


class Scenario(Protocol):
    """Something to measure, with several arms to compare.

    Attributes:
        name: For the record.
        repeatable: Whether runs differ; what is counted and not timed needs no repetition.
    """

    name: str
    repeatable: bool

    @property
    def arms(self) -> Mapping[str, Any]:
        """What it compares, by name, in the order of their runs."""

    def measure(self, bench: Bench, arm: str) -> Metrics:
        """One run of an arm.

        Raises:
            BenchmarkError: It can't be measured.
        """

    def close(self, bench: Bench) -> None:
        """Forget what was kept between runs."""
