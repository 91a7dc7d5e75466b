"""The commands of idle workers: by themselves, and for a task that becomes due."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from celery import Celery

from benchmarks.bench import LIVE, Arm, Bench
from benchmarks.processes import BenchmarkError
from benchmarks.scenarios.base import Metrics
from benchmarks.scenarios.commands import monitored
from benchmarks.scenarios.watch import Watch, recorded

#: Seconds after the last task, in which workers calm down; seconds until all workers answer.
SETTLE, PATIENCE = 5.0, 300.0
#: Seconds between two calls, and until each of their tasks is due.
GAP, COUNTDOWN = (1.0, 1.5), 1.0


@dataclass
class Idle:
    """A worker that has run a task, and has nothing to do.

    Attributes:
        seconds: Of listening to its commands.
    """

    seconds: float
    name: str = "idle"
    repeatable: bool = False

    @property
    def arms(self) -> Mapping[str, Arm]:
        """Return the arms, see `Scenario`."""
        return {app: Arm(app, ("step",)) for app in ("plain", "grouped")}

    def measure(self, bench: Bench, arm: str) -> Metrics:
        """Count the commands of an arm. Returns `per_second`, and each command under its name."""
        config, chosen = bench.config(), self.arms[arm]
        bench.clear()
        with bench.record() as record, bench.workers(chosen, config, record) as workers:
            watch = Watch(bench.client, bench.server.pid, recorded(record), workers, patience=60)
            bench.producer(chosen.app, config).ask("send", tasks=chosen.tasks, count=1, groups=1, seconds=0)
            watch.until(1)
            found = _listen(bench, self.seconds)
        return {"per_second": sum(found.values()), **found}

    def close(self, bench: Bench) -> None:
        """Empty the databases, see `Scenario`."""
        bench.clear()


@dataclass
class Due:
    """A few, or many, idle workers, and now and then a task with a countdown.

    Attributes:
        count: Tasks per run.
    """

    count: int
    name: str = "due"
    repeatable: bool = False

    @property
    def arms(self) -> Mapping[str, Arm]:
        """Return the arms, see `Scenario`."""
        return {f"{n} workers": Arm("grouped", ("step",), pool="solo", concurrency=1, workers=n) for n in (3, 30)}

    def measure(self, bench: Bench, arm: str) -> Metrics:
        """Count the commands of an arm.

        Returns:
            `caused`, the commands of all clients for a task, from its call to its end: what they send beside what idle
            workers send in the same time; and `idle`, the commands per second of those.
        """
        config, chosen = bench.config(), self.arms[arm]
        bench.clear()
        with bench.record() as record, bench.workers(chosen, config, record) as workers:
            _wait_for(bench, chosen.workers)
            watch = Watch(bench.client, bench.server.pid, recorded(record), workers)
            idle = sum(_listen(bench, self.count * sum(GAP) / 2).values())
            producer, request = bench.producer(chosen.app, config), {"tasks": chosen.tasks, "seconds": 0, "gap": GAP}
            with monitored(bench.server.port) as monitor:
                since = time.time()
                producer.ask("trickle", **request, count=self.count, groups=self.count, countdown=COUNTDOWN)
                until = watch.until(self.count).clock
        sent = sum(monitor.commands(since, until, set()).values())
        return {"caused": (sent - idle * (until - since)) / self.count, "idle": idle}

    def close(self, bench: Bench) -> None:
        """Empty the databases, see `Scenario`."""
        bench.clear()


def _listen(bench: Bench, seconds: float) -> dict[str, float]:
    """Return the commands per second of all clients, by name, after they have calmed down."""
    time.sleep(SETTLE)
    with monitored(bench.server.port) as monitor:
        since = time.time()
        time.sleep(seconds)
        until = time.time()
    found: Counter[str] = monitor.commands(since, until, set())
    return {name: number / (until - since) for name, number in found.items()}


def _wait_for(bench: Bench, workers: int) -> None:
    """Wait until so many workers answer."""
    app = Celery("bench", broker=f"{bench.server.url}/{LIVE}", set_as_current=False)
    end, seen = time.monotonic() + PATIENCE, 0
    while seen < workers:
        if time.monotonic() > end:
            raise BenchmarkError(f"After {PATIENCE:.0f} s only {seen} of {workers} workers answered.")
        seen = len(app.control.ping(timeout=2.0) or ())
    app.close()
