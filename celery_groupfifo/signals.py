"""Signals of the gate, in the manner of Celery's own: connect with `group_lease_lost.connect(receiver)`."""

from __future__ import annotations

from celery.utils.dispatch import Signal

#: A worker learned that a lease of its own is lost. Sent in the worker's main process. Sender: the task's name.
#: Arguments: `key`, `task_id`, `fence`, `worker`.
group_lease_lost = Signal(name="group_lease_lost", providing_args={"key", "task_id", "fence", "worker"})

#: Heads of lost workers were taken back. Sent in the worker that swept. Arguments: `count`, `worker`.
group_reclaimed = Signal(name="group_reclaimed", providing_args={"count", "worker"})
