"""The start of retries that are all due at one moment, in a group each."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from benchmarks import recording
from benchmarks.bench import Arm, Bench
from benchmarks.processes import BenchmarkError
from benchmarks.scenarios.base import Metrics
from benchmarks.scenarios.watch import Watch, recorded

#: Seconds until they are due, with which the first runs have to be over.
_LEAD = 6.0


@dataclass
class Retries:
    """Tasks that ask for a retry in their first run, and end in the second.

    Attributes:
        count: Tasks, and groups.
    """

    count: int
    name: str = "retries"
    repeatable: bool = True

    @property
    def arms(self) -> Mapping[str, Arm]:
        """Return the arms, see `Scenario`."""
        return {"grouped": Arm("grouped", ("retried",))}

    def measure(self, bench: Bench, arm: str) -> Metrics:
        """Measure how late they start. Returns `first`, `p50` and `last`, in seconds after they were due."""
        config, chosen = bench.config(), self.arms[arm]
        bench.clear()
        producer = bench.producer("grouped", config)
        with bench.record() as record, bench.workers(chosen, config, record) as workers:
            watch = Watch(bench.client, bench.server.pid, recorded(record), workers, patience=60)
            producer.ask("fill", tasks=["step"], count=1, groups=1, seconds=0, base=self.count)
            watch.until(1)  # the workers are up
            due = time.monotonic() + _LEAD
            producer.ask("fill", tasks=["retried"], count=self.count, groups=self.count, seconds=due)
            watch.until(1 + self.count)
            if time.monotonic() > due - 1.0:
                raise BenchmarkError(f"The first runs of {self.count} tasks took {_LEAD - 1.0} s and more.")
            watch.until(1 + 2 * self.count)
            starts = [event.time for event in recording.read(record) if event.kind == recording.START]
        late = sorted(start - due for start in starts[1 + self.count :])
        return {"first": late[0], "p50": median(late), "last": late[-1]}

    def close(self, bench: Bench) -> None:
        """Empty the databases, see `Scenario`."""
        bench.clear()
