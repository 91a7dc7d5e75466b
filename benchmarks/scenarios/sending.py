"""The number of calls per second that a producer can make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.scenarios.base import Metrics
from benchmarks.scenarios.watch import script_time

#: Calls before the measured ones: connections, routes, scripts.
_WARM_UP = 50


@dataclass
class Sending:
    """Calls from one process, without a worker.

    Attributes:
        count: Calls per run.
        name: For the record.
        repeatable: See `Scenario`.
    """

    count: int
    name: str = "sending"
    repeatable: bool = True

    @property
    def arms(self) -> Mapping[str, tuple[str, str]]:
        """Return the arms by name: the app, and how it sends (an action of producer.py)."""
        return {"plain": ("plain", "send"), "grouped": ("grouped", "send"), "park_many": ("grouped", "send_bulk")}

    def measure(self, bench: Bench, arm: str) -> Metrics:
        """Measure an arm. Returns `rate` (calls/s), `call_us`, `script_us` (per call)."""
        app, action = self.arms[arm]
        producer = bench.producer(app, bench.config())
        bench.clear()
        producer.ask(action, tasks=["noop"], count=_WARM_UP, groups=100)
        _, before = script_time(bench.client)
        seconds = producer.ask(action, tasks=["noop"], count=self.count, groups=100)
        _, after = script_time(bench.client)
        return {
            "rate": self.count / seconds,
            "call_us": seconds / self.count * 1e6,
            "script_us": (after - before) / self.count,
        }

    def close(self, bench: Bench) -> None:
        """Empty the databases, see `Scenario`."""
        bench.clear()
