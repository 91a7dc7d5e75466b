"""The CPU time of Redis for a task in a run as applications have it: sent one by one, while a worker runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks import recording
from benchmarks.bench import Arm, Bench
from benchmarks.scenarios.base import Metrics
from benchmarks.scenarios.watch import Watch, recorded, server_seconds

#: Tasks before the measured ones: connections, scripts, children.
_WARM_UP = 100


@dataclass
class Live:
    """Calls from one process, and a worker that is up already.

    The tasks record their ends in a file, so that nobody has to ask the server how far they are.

    Attributes:
        count: Tasks.
        groups: Of the tasks.
    """

    count: int
    groups: int = 100
    name: str = "sent and run"
    repeatable: bool = True

    @property
    def arms(self) -> Mapping[str, Arm]:
        """Return the arms, see `Scenario`."""
        return {app: Arm(app, ("step",)) for app in ("plain", "grouped")}

    def measure(self, bench: Bench, arm: str) -> Metrics:
        """Measure an arm.

        Returns:
            `server_us`, the CPU time of the server's main thread per task, from the first call to the last end; `rate`
            (tasks/s) and `violations` of the order of a group.
        """
        config, chosen = bench.config(), self.arms[arm]
        bench.clear()
        producer, request = bench.producer(chosen.app, config), {"tasks": chosen.tasks, "groups": self.groups}
        with bench.record() as record, bench.workers(chosen, config, record) as workers:
            watch = Watch(bench.client, bench.server.pid, recorded(record), workers)
            producer.ask("send", **request, seconds=0, count=_WARM_UP)
            began, before = watch.until(_WARM_UP), server_seconds(bench.client)
            producer.ask("send", **request, seconds=0, count=self.count, first=_WARM_UP // self.groups)
            end, after = watch.until(_WARM_UP + self.count), server_seconds(bench.client)
            violations = recording.violations(recording.read(record))
        rate = self.count / (end.time - began.time)
        return {"server_us": (after - before) * 1e6 / self.count, "rate": rate, "violations": violations}

    def close(self, bench: Bench) -> None:
        """Empty the databases, see `Scenario`."""
        bench.clear()
