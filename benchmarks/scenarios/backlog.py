"""The speed of workers on a backlog that is there before they start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

from benchmarks import recording
from benchmarks.bench import Arm, Bench
from benchmarks.producer import SECOND
from benchmarks.scenarios.base import Copies, Metrics
from benchmarks.scenarios.direct import hold_groups
from benchmarks.scenarios.watch import Watch, cost, progress_of

#: Share of the backlog during which workers start, connect and fill their slots.
WARM_UP = 0.1


@dataclass
class Backlog:
    """One backlog, for each arm.

    Attributes:
        name: For the record.
        arms: The arms to compare.
        count: Tasks.
        groups: Groups of the tasks.
        burst: Tasks of one group that come in a row.
        seconds: Of work per task; None: they are no-ops, and record nothing.
        config: Added to the apps' configuration.
        flags: Added to the workers' command line.
        broker: `redis` or `rabbitmq`.
        repeatable: See `Scenario`.
    """

    name: str
    arms: Mapping[str, Arm]
    count: int
    groups: int
    burst: int = 1
    seconds: float | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    broker: str = "redis"
    repeatable: bool = True
    _copies: Copies = field(default_factory=Copies)

    def measure(self, bench: Bench, arm: str) -> Metrics:
        """Run one arm, see `Scenario`."""
        chosen = self.arms[arm]
        config = bench.config(self.broker, self.config)
        self._fill(bench, arm, config)
        with bench.record() as record:
            progress = progress_of(chosen, bench.client, record)
            before = progress()
            with bench.workers(chosen, config, record, self.flags) as workers:
                watch = Watch(bench.client, bench.server.pid, progress, workers)
                start = watch.until(before + int(self.count * WARM_UP))
                end = watch.until(before + self.count)
            found = cost(start, end)
            if self.seconds is not None:
                found |= self._from_record(chosen, recording.read(record), found["rate"])
        return found

    def close(self, bench: Bench) -> None:
        """Forget the copies of backlogs, see `Scenario`."""
        self._copies.close(bench)

    def _fill(self, bench: Bench, arm: str, config: str) -> None:
        chosen = self.arms[arm]
        producer = bench.producer(chosen.app, config)
        size = {"count": self.count, "groups": self.groups, "burst": self.burst, "seconds": self.seconds}

        def fill() -> None:
            hold_groups(bench, config, chosen.held)
            producer.ask("fill", tasks=chosen.tasks, **size)

        if self.broker == "redis":
            self._copies.use(bench, list(self.arms).index(arm), fill)
        else:
            bench.clear()
            producer.ask("purge")
            fill()

    def _from_record(self, arm: Arm, events: list[recording.Event], rate: float) -> Metrics:
        """Return the figures that come from the record.

        Returns:
            `violations` (of the order of a group; of the second task of a mixed backlog), `busy` (share of the slots
            that worked), `wait_p95` (s, of the first task of a mixed backlog, since the first start).
        """
        mixed = len(arm.tasks) > 1
        ordered = [event for event in events if not mixed or event.group >= SECOND]
        found: Metrics = {"violations": recording.violations(ordered)}
        slots = arm.workers * arm.concurrency
        if self.seconds:
            found["busy"] = rate * self.seconds / slots
        if mixed:
            first = min(event.time for event in events)
            waits = [when - first for (group, _), when in recording.starts(events).items() if group < SECOND]
            found["wait_p95"] = quantiles(waits, n=20)[-1]
        return found
