"""The gate's metrics, for any Prometheus registry."""

from __future__ import annotations

from collections.abc import Iterator

from celery import Celery
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

from celery_groupfifo.metrics.snapshot import TOTALS, Snapshot, Snapshots

#: Name and help of the metric of each total. `finished` is `runs_finished`, as a worker has `tasks_finished`.
_TOTALS = {
    "parked": ("groupfifo_tasks_parked", "Tasks that the gate accepted."),
    "finished": ("groupfifo_runs_finished", "Runs that came to an end; a retried task has several."),
    "held": ("groupfifo_tasks_held", "Continuations (retries, replaced tasks) that the gate stored."),
    "reclaimed": ("groupfifo_tasks_reclaimed", "Heads taken back from lost workers."),
    "surrendered": ("groupfifo_tasks_surrendered", "Heads given back by workers that stopped or lost a child."),
    "rung": ("groupfifo_tickets_rung", "Tickets that were lost on their way and went out again."),
    "revoked": ("groupfifo_tasks_revoked", "Tasks taken out at the gate before they ran."),
    "buried": ("groupfifo_tasks_buried", "Entries that could not be read and went to the dead letters."),
}


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
    groups = GaugeMetricFamily("groupfifo_groups", "Live groups by the state of their head.", labels=["state"])
    for state in ("running", "waiting", "held"):
        groups.add_metric([state], now.groups.get(state, 0))
    yield groups
    yield GaugeMetricFamily("groupfifo_paused_groups", "Groups that an operator has paused.", now.paused)
    yield GaugeMetricFamily(
        "groupfifo_parked_tasks",
        "Tasks that are not under way: in line, or waiting for their ETA.",
        now.parked,
    )
    yield GaugeMetricFamily("groupfifo_running_tasks", "Tasks whose lease a worker holds.", now.running)
    yield GaugeMetricFamily(
        "groupfifo_oldest_parked_task_age_seconds",
        "Age of the oldest task that waits for its turn or a slot.",
        now.oldest,
    )
    yield GaugeMetricFamily("groupfifo_dead_letters", "Dead letters.", now.dead)
    for name in TOTALS:
        yield CounterMetricFamily(*_TOTALS[name], value=now.totals.get(name, 0))


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
