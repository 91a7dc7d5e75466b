"""A worker's own metrics, counted from the signals in its main process.

They are per worker, as a histogram needs every single value, and the gate keeps none.
"""

from __future__ import annotations

from typing import Any

from celery.utils.dispatch import Signal
from prometheus_client import Counter, Histogram
from prometheus_client.registry import REGISTRY, CollectorRegistry

from celery_groupfifo import signals

#: Buckets in seconds for the wait in line: from an idle group to a backlog of hours.
_WAITS = (0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200)
#: Buckets in seconds for one round trip.
_TRIPS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1)


class WorkerMetrics:
    """The metrics of the worker in this process.

    Args:
        registry: Of Prometheus; the metrics are added to it.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.finished = Counter(
            "groupfifo_run_outcomes", "Runs that ended, by outcome.", ["task", "outcome"], registry=registry
        )
        self.task_wait = Histogram(
            "groupfifo_task_wait_seconds",
            "From the park of a task to its first begin.",
            ["task"],
            buckets=_WAITS,
            registry=registry,
        )
        self.slot_wait = Histogram(
            "groupfifo_slot_wait_seconds",
            "From the release of a head to its begin: how long work waits for a free slot.",
            buckets=_WAITS,
            registry=registry,
        )
        self.handoff = Histogram(
            "groupfifo_handoff_seconds",
            "From the end of a run to the begin of the task that the worker took with it.",
            buckets=_TRIPS,
            registry=registry,
        )
        self.lease_losses = self._counter("lease_losses", "Leases that this worker learned to have lost.", registry)
        self.stale = self._counter("stale_deliveries", "Deliveries whose ticket counted no more.", registry)

    @staticmethod
    def _counter(name: str, said: str, registry: CollectorRegistry) -> Counter:
        return Counter(f"groupfifo_{name}", said, registry=registry)

    def connect(self) -> None:
        """Start to count."""
        receivers: tuple[tuple[Signal, Any], ...] = (
            (signals.group_begun, self.on_begun),
            (signals.group_finished, self.on_finished),
            (signals.group_lease_lost, self.on_lease_lost),
            (signals.group_stale, self.on_stale),
        )
        for signal, receiver in receivers:
            signal.connect(receiver, weak=False)

    def on_begun(
        self, sender: Any, attempt: int, lost: int, task_wait: float, slot_wait: float, handoff: float | None, **_: Any
    ) -> None:
        """Count a begin and its waits."""
        if attempt == 1 and lost == 0:
            self.task_wait.labels(str(sender)).observe(task_wait)
        self.slot_wait.observe(slot_wait)
        if handoff is not None:
            self.handoff.observe(handoff)

    def on_finished(self, sender: Any, outcome: str, **_: Any) -> None:
        """Count an end by its outcome."""
        self.finished.labels(str(sender), outcome).inc()

    def on_lease_lost(self, **_: Any) -> None:
        """Count a lost lease."""
        self.lease_losses.inc()

    def on_stale(self, **_: Any) -> None:
        """Count a stale delivery."""
        self.stale.inc()


def observe(registry: CollectorRegistry = REGISTRY) -> WorkerMetrics:
    """Count what the worker of this process does. Call it once, before the worker takes tasks.

    Args:
        registry: Of Prometheus; by default the process' own.

    Returns:
        The metrics.
    """
    metrics = WorkerMetrics(registry)
    metrics.connect()
    return metrics
