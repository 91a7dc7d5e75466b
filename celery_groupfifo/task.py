"""The base class of ordered tasks, and the group of a run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from celery import Celery, Task

from celery_groupfifo.errors import GroupLeaseLost
from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.install import install
from celery_groupfifo.sending.context import continued
from celery_groupfifo.sending.grouping import check_spec
from celery_groupfifo.sending.options import check_task


class GroupRun:
    """The group of one run: `self.group` in a task.

    Attributes:
        key: The group's key.
        fence: Grows with every start in the group, also over restarts and lost data of Redis: pass it with each write
            to another system, and let that system refuse lower ones; see `celery_groupfifo.fencing`.
        attempt: From 1; counts retries.
        lost: Workers that were lost with this task.
        enqueued_at: Time when the gate accepted it, by the clock of Redis (UTC).
    """

    @classmethod
    def of(cls, task: Task) -> GroupRun | None:
        """Return the group of a task's run in progress, of any class; None in a run without one.

        Args:
            task: Bound: `self`.
        """
        request = task.request
        run = None if request.is_eager else continued(request.id)
        return None if run is None else cls(task.app, run.ticket, run.key, request.retries)

    def __init__(self, app: Celery, ticket: Ticket, key: str, retries: int) -> None:
        self._app, self._ticket = app, ticket
        self.key = key
        self.fence = ticket.fence
        self.attempt = retries + 1
        self.lost = ticket.lost
        self.enqueued_at = datetime.fromtimestamp(ticket.parked_us / 1_000_000, timezone.utc)

    @property
    def lease_remaining(self) -> float:
        """Return the seconds until the lease ends unless the worker renews it; 0 when it is over or lost.

        Raises:
            GateUnavailable: Redis can't be reached.
        """
        return gate_of(self._app).lease(self._ticket) or 0.0

    def check(self) -> None:
        """Check that this run still holds its group.

        Raises:
            GroupLeaseLost: It does not: another run may have begun.
            GateUnavailable: Redis can't be reached.
        """
        if gate_of(self._app).lease(self._ticket) is None:
            raise GroupLeaseLost(
                f"The lease of task {self._ticket.id} (group {self.key!r}, fence {self.fence}) is lost: "
                "another run may have begun. Stop, and change nothing more."
            )

    def __repr__(self) -> str:
        return f"<GroupRun {self.key!r} fence={self.fence} attempt={self.attempt} lost={self.lost}>"


class _OnCommit:
    """A method of Celery's `DjangoTask`, present when the app has Celery's Django fixup.

    The fixup sets `DjangoTask` as the base of the app's tasks; a task with a `base=` of its own does not inherit from
    it.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, task: Any, owner: type[Task]) -> Any:
        from celery.fixups.django import DjangoFixup  # inside, as it loads Celery's worker

        app = owner._app  # not `app`, which would bind a class without one to the current app
        if app is None or not any(isinstance(fixup, DjangoFixup) for fixup in app._fixups):
            raise AttributeError(f"{owner.__name__} has no {self._name}: its app has no Django fixup")
        from celery.contrib.django.task import DjangoTask  # inside, as it needs Django

        return getattr(DjangoTask, self._name).__get__(task, owner)


class GroupFifoTask(Task):  # type: ignore[misc]
    """A task whose runs with the same key go strictly one at a time and in order.

    Attributes:
        group_key: A template over the task's parameters (`"{instance_id}:{customer_id}"`), a tuple of their names
            (joined by `:`), or a callable with the task's signature; `group_key=` of a call wins over it.
        acks_late: The gate runs a task again only when its worker was lost.
        reject_on_worker_lost: The same when a child of the pool is killed; `group_max_lost` bounds it.
        group_max_lost: Runs that may end with a lost worker; None: `groupfifo_max_lost`.
        group_on_failure: The policy of the group after a final failure: `continue`, `dead_letter`, `block` or
            `cancel_rest`; None: `groupfifo_on_failure`.
        delay_on_commit: With Django: `delay` when the database transaction is committed, and not at all when it is
            rolled back. A group's order is that of the commits, and within a transaction that of the calls.
        apply_async_on_commit: The same for `apply_async`.
    """

    _groupfifo_ordered = True
    group_key: str | tuple[str, ...] | Callable[..., str] | None = None
    acks_late = True
    reject_on_worker_lost = True
    group_max_lost: int | None = None
    group_on_failure: str | None = None
    delay_on_commit = _OnCommit()
    apply_async_on_commit = _OnCommit()

    @classmethod
    def bind(cls, app: Celery) -> Any:
        """Bind the class to its app, and install groups there.

        Raises:
            InvalidOption: The class has a wrong group_key or option.
        """
        bound = super().bind(app)
        install(app)
        return bound

    @classmethod
    def on_bound(cls, app: Celery) -> None:
        """Check the class's group_key and options."""
        super().on_bound(app)
        if cls.name:
            check_spec(cls())
            check_task(cls())

    @property
    def group(self) -> GroupRun | Any:
        """Return the group of the run in progress; None in a run without one.

        Its type is `GroupRun | Any`, so that a type checker accepts `self.group.fence`, and still finds a misspelt
        name. `GroupRun.of(self)` has the strict type, `GroupRun | None`.
        """
        return GroupRun.of(self)
