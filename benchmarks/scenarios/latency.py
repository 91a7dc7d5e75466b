"""The time from a call to the start of its task, in an idle system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median, quantiles

from benchmarks import recording
from benchmarks.bench import Arm, Bench
from benchmarks.scenarios.base import Metrics
from benchmarks.scenarios.watch import Watch, recorded

#: Seconds between two calls: longer than a task takes, and random, so not in step with any timer.
_GAP = (0.01, 0.03)
_WARM_UP = 10


@dataclass
class PickUp:
    """Calls now and then, each of another group, to an idle worker.

    Attributes:
        count: Calls per run.
    """

    count: int
    name: str = "pick-up"
    repeatable: bool = True

    @property
    def arms(self) -> Mapping[str, Arm]:
        """Return the arms, see `Scenario`."""
        return {app: Arm(app, ("step",)) for app in ("plain", "grouped")}

    def measure(self, bench: Bench, arm: str) -> Metrics:
        """Measure the waits of an arm. Returns `p50_ms`, `p95_ms`."""
        config, chosen = bench.config(), self.arms[arm]
        bench.clear()
        producer = bench.producer(chosen.app, config)
        request = {"tasks": ["step"], "seconds": 0, "gap": _GAP}
        with bench.record() as record, bench.workers(chosen, config, record) as workers:
            watch = Watch(bench.client, bench.server.pid, recorded(record), workers, patience=30)
            producer.ask("trickle", **request, count=_WARM_UP, groups=_WARM_UP)
            watch.until(_WARM_UP)
            sent = producer.ask("trickle", **request, count=self.count, groups=self.count, first=1)
            watch.until(_WARM_UP + self.count)
            began = recording.starts(recording.read(record))
        waits = [(began[group, number] - when) * 1000 for group, number, when in sent]
        return {"p50_ms": median(waits), "p95_ms": quantiles(waits, n=20)[-1]}

    def close(self, bench: Bench) -> None:
        """Empty the databases, see `Scenario`."""
        bench.clear()
