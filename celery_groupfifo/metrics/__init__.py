"""Prometheus metrics: of the gate, in any process, and of a worker, in its own.

    python -m celery_groupfifo.metrics -A shop --listen 127.0.0.1:9808

`GateCollector` reads what all workers share from the gate's Redis: run one per gate. `observe` counts what the
worker of this process does, from the signals. No group keys appear in labels: there may be a hundred thousand.
Needs `pip install 'celery-groupfifo[prometheus]'`.

collector.py has the gate's metrics, from what snapshot.py reads; worker.py a worker's; serve.py serves them, command.py
is the command line.
"""

from __future__ import annotations

from celery_groupfifo.metrics.collector import GateCollector, register
from celery_groupfifo.metrics.command import main
from celery_groupfifo.metrics.serve import serve, text
from celery_groupfifo.metrics.snapshot import Snapshot, Snapshots
from celery_groupfifo.metrics.worker import WorkerMetrics, observe

__all__ = ["GateCollector", "Snapshot", "Snapshots", "WorkerMetrics", "main", "observe", "register", "serve", "text"]
