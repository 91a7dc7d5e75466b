"""The wait of a light group beside a few heavy ones that keep every slot busy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median, quantiles

from benchmarks import recording
from benchmarks.bench import Arm, Bench
from benchmarks.scenarios.base import Metrics
from benchmarks.scenarios.direct import hold_groups
from benchmarks.scenarios.watch import Watch, recorded

_HEAVY_SECONDS = 0.02
_HEAVY_GROUPS, _SLOTS = 5, 4
_LIGHT_GROUPS = 20_000
_GAP = (0.05, 0.15)


@dataclass
class Light:
    """Five groups with deep backlogs on four slots, and a task of yet another group now and then.

    Attributes:
        count: Light tasks per run.
        held: Groups that wait for a retry, in the second arm.
    """

    count: int
    held: int
    name: str = "light"
    repeatable: bool = True

    @property
    def arms(self) -> Mapping[str, Arm]:
        """Return the arms, see `Scenario`."""
        alone = Arm("grouped", ("step",), concurrency=_SLOTS)
        return {"alone": alone, "held": Arm("grouped", ("step",), concurrency=_SLOTS, held=self.held)}

    def measure(self, bench: Bench, arm: str) -> Metrics:
        """Measure the waits of an arm. Returns `p50` and `p95` of the wait, in durations of one heavy task."""
        config, chosen = bench.config(), self.arms[arm]
        # Enough for the time of the light tasks, their pauses, and the start.
        heavy = int(_SLOTS / _HEAVY_SECONDS * (self.count * sum(_GAP) / 2 + 3))
        bench.clear()
        hold_groups(bench, config, chosen.held)
        producer = bench.producer("grouped", config)
        request = {"tasks": ["step"], "seconds": _HEAVY_SECONDS}
        producer.ask("fill", **request, count=heavy, groups=_HEAVY_GROUPS)
        with bench.record() as record, bench.workers(chosen, config, record) as workers:
            watch = Watch(bench.client, bench.server.pid, recorded(record), workers, patience=60)
            watch.until(10 * _SLOTS)
            light = {"tasks": ["step"], "seconds": 0, "base": _LIGHT_GROUPS, "gap": _GAP}
            sent = producer.ask("trickle", **light, count=self.count, groups=self.count)
            watch.until(recording.runs(record) + 10 * _SLOTS)
            began = recording.starts(recording.read(record))
        waits = [(began[group, number] - when) / _HEAVY_SECONDS for group, number, when in sent]
        return {"p50": median(waits), "p95": quantiles(waits, n=20)[-1]}

    def close(self, bench: Bench) -> None:
        """Empty the databases, see `Scenario`."""
        bench.clear()
