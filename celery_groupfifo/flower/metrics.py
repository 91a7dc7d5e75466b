"""The gate's metrics on Flower's `/metrics`.

Flower answers a scrape on the thread that answers everything else. So no figures are read there: a thread of its own
keeps the last ones, and a gate that does not answer delays no request.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from threading import Event, Lock, Thread

from celery import Celery
from prometheus_client.core import Metric
from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

from celery_groupfifo.metrics.collector import metrics
from celery_groupfifo.metrics.snapshot import Snapshot, Snapshots

#: Seconds between two readings.
EVERY = 5.0


class BackgroundCollector(Collector):
    """The gate's metrics as they were last read; it never waits.

    Args:
        snapshots: Reads them.
        every: Seconds between two readings.
    """

    def __init__(self, snapshots: Snapshots, every: float = EVERY) -> None:
        self._snapshots, self._every = snapshots, every
        self._last: tuple[bool, Snapshot | None] = (False, None)
        self._lock, self._started, self._stop = Lock(), False, Event()

    def describe(self) -> Iterator[Metric]:
        """Return the names alone, so that a registration asks no Redis."""
        return metrics(False, Snapshot())

    def collect(self) -> Iterator[Metric]:
        """Return the last figures; `groupfifo_up 0` before the first ones, and while the gate does not answer."""
        return metrics(*self._last)

    def start(self) -> None:
        """Start to read."""
        with self._lock:
            if not self._started:
                self._started = True
                Thread(target=self._run, name="groupfifo-flower-metrics", daemon=True).start()

    def stop(self) -> None:
        """Stop reading."""
        self._stop.set()

    def _run(self) -> None:
        while True:
            self._last = self._snapshots.get()
            if self._stop.wait(self._every):
                return


_installed: BackgroundCollector | None = None


def install(app: Celery, registry: CollectorRegistry = REGISTRY, every: float = EVERY) -> BackgroundCollector:
    """Put the metrics of an app's gate into a registry, in place of those put there before.

    Args:
        app: The app of the gate.
        registry: Flower's `/metrics` shows the process' default one.
        every: Seconds between two readings.

    Returns:
        The collector, started.

    Raises:
        ValueError: Foreign metrics have our names.
    """
    global _installed
    if _installed is not None:
        _installed.stop()
        with suppress(KeyError):
            registry.unregister(_installed)
        _installed = None
    collector = BackgroundCollector(Snapshots(app, max_age=every / 2), every)
    registry.register(collector)
    collector.start()
    _installed = collector
    return collector
