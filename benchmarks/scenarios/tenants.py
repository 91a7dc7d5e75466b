"""The turns of a tenant with one group beside a tenant with a thousand, from the history of their starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks import recording
from benchmarks.bench import Arm, Bench
from benchmarks.processes import BenchmarkError
from benchmarks.producer import SMALL
from benchmarks.scenarios.backlog import WARM_UP
from benchmarks.scenarios.base import Metrics
from benchmarks.scenarios.watch import Watch, cost, recorded

#: A task that has begun waits for one of them, with those that have begun before.
SLOTS = 2


@dataclass
class Tenants:
    """Two tenants with a backlog each: a big one with many groups, and a small one with a single group behind them.

    Attributes:
        groups: Of the big tenant.
        each: Tasks in each of them.
        small: Tasks of the small tenant.
    """

    groups: int
    each: int
    small: int
    name: str = "tenants"
    repeatable: bool = True

    @property
    def arms(self) -> Mapping[str, Arm]:
        """Return the arms, see `Scenario`: without a fair key, with one, and with three turns for each tenant."""
        tasks = {"without": "step", "fair": "fair_step", "weight 3": "weighted_step"}
        return {name: Arm("grouped", (task,), concurrency=SLOTS) for name, task in tasks.items()}

    def measure(self, bench: Bench, arm: str) -> Metrics:
        """Measure an arm.

        Returns:
            The figures of `turns`, and `rate` (tasks/s), of the whole run.
        """
        config, chosen = bench.config(), self.arms[arm]
        bench.clear()
        producer = bench.producer("grouped", config)
        big = self.groups * self.each
        producer.ask("fill", tasks=chosen.tasks, count=big, groups=self.groups, seconds=0)
        producer.ask("fill", tasks=chosen.tasks, count=self.small, groups=1, base=SMALL, seconds=0)
        with bench.record() as record, bench.workers(chosen, config, record) as workers:
            watch = Watch(bench.client, bench.server.pid, recorded(record), workers)
            start = watch.until(int((big + self.small) * WARM_UP))
            rate = cost(start, watch.until(big + self.small))["rate"]
            return {**turns(recording.read(record)), "rate": rate}

    def close(self, bench: Bench) -> None:
        """Empty the databases, see `Scenario`."""
        bench.clear()


def turns(events: Sequence[recording.Event]) -> Metrics:
    """Count the starts of the big tenant between two of the small one, while tasks of both wait.

    Args:
        events: The history of a run.

    Returns:
        `most` and `mean` (starts between the end of a task of the small tenant, with which its next one goes out, and
        the start of that one; before its first one, all), and `violations` of the order of a group.

    Raises:
        BenchmarkError: No task of the small tenant started while one of the big tenant waited.
    """
    backlog = sum(event.group < SMALL and event.kind == recording.START for event in events)
    waits: list[int] = []
    begun = since = 0
    for event in events:
        if event.group < SMALL:
            begun += event.kind == recording.START
        elif event.kind == recording.END:
            since = begun
        elif begun < backlog:
            waits.append(begun - since)
    if not waits:
        raise BenchmarkError("The small tenant had no turn while the big one waited.")
    return {"most": max(waits), "mean": fmean(waits), "violations": recording.violations(list(events))}
