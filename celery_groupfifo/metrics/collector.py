"""The gate's metrics, for any Prometheus registry."""

from __future__ import annotations

from collections.abc import Iterator

from celery import Celery
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

from celery_groupfifo.gate.counts import TOTALS
from celery_groupfifo.gate.observations import KINDS
from celery_groupfifo.metrics.snapshot import Snapshot, Snapshots


class GateCollector(Collector):
    """The metrics that all workers of a gate share.

    Args:
        snapshots: The source of the figures.
    """

    def __init__(self, snapshots: Snapshots) -> None:
        self.snapshots = snapshots

    def describe(self) -> Iterator[Metric]:
        """Return the names alone, so that a registration asks no Redis."""
        return metrics(False, Snapshot())

    def collect(self) -> Iterator[Metric]:
        """Return the figures, after `Snapshots.patience` at most."""
        return metrics(*self.snapshots.get())


def metrics(up: bool, now: Snapshot | None) -> Iterator[Metric]:
    """Yield the Prometheus metrics of a snapshot.

    Without a snapshot there are no figures: a counter at 0 would count as a restart.

    Args:
        up: True when the gate's Redis answers.
        now: The snapshot; None: there is none.
    """
    yield GaugeMetricFamily("groupfifo_up", "Whether the gate's Redis answers; if not, the rest is old.", int(up))
    if now is None:
        return
    groups = GaugeMetricFamily("groupfifo_groups", "Groups that hold a task, by their state.", labels=["state"])
    tasks = GaugeMetricFamily("groupfifo_tasks", "Tasks at the gate, by their state.", labels=["state"])
    for state in ("running", "waiting", "held"):
        groups.add_metric([state], now.groups.get(state, 0))
    for state in ("parked", "waiting", "running", "held"):
        tasks.add_metric([state], getattr(now.counts, state))
    yield groups
    yield tasks
    yield GaugeMetricFamily(
        "groupfifo_scheduled_tasks", "Parked tasks that wait until their ETA, or in a window.", now.counts.scheduled
    )
    yield GaugeMetricFamily(
        "groupfifo_paused_groups", "Groups that an operator has paused, empty ones too.", now.counts.paused_groups
    )
    yield GaugeMetricFamily(
        "groupfifo_blocked_groups",
        "Groups that a failure has blocked: they wait for `retry`, `skip` or `drop`.",
        now.counts.blocked_groups,
    )
    yield GaugeMetricFamily(
        "groupfifo_oldest_task_age_seconds",
        "Age of the oldest task in line, or of the oldest release that waits for a slot.",
        now.oldest_age,
    )
    yield GaugeMetricFamily("groupfifo_dead_letters", "Dead letters.", now.counts.dead_letters)
    for name, said in TOTALS.items():
        yield CounterMetricFamily(f"groupfifo_{name}", said, value=now.totals.get(name, 0))
    observed = CounterMetricFamily(
        "groupfifo_observed_runs",
        "Runs that observe mode has counted: all, and those that broke order.",
        labels=["kind"],
    )
    for kind in KINDS:
        observed.add_metric(["all" if kind == "runs" else kind], now.observed.get(kind, 0))
    yield observed


def register(app: Celery, registry: CollectorRegistry = REGISTRY, max_age: float = 5.0) -> GateCollector:
    """Add the metrics of an app's gate to a registry.

    Args:
        app: The app.
        registry: Of Prometheus; by default the process' own.
        max_age: Seconds that one reading serves.

    Returns:
        The collector, registered.
    """
    collector = GateCollector(Snapshots(app, max_age))
    registry.register(collector)
    return collector
