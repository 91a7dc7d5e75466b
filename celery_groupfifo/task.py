"""The base class of ordered tasks, and the group of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

from celery import Celery, Task
from celery.exceptions import Retry

from celery_groupfifo.errors import GateUnavailable, GroupFifoError, GroupLeaseLost, InvalidOption
from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.install import install
from celery_groupfifo.sending import batch
from celery_groupfifo.sending.context import Continuation, continued
from celery_groupfifo.sending.grouping import check_spec
from celery_groupfifo.sending.options import check_task
from celery_groupfifo.sending.short_way import MARK, send
from celery_groupfifo.settings import (
    Eta,
    HoldUntil,
    OnDuplicate,
    OnFailure,
    OnRetry,
    OrderBy,
    Overflow,
    TextOfCall,
)
from celery_groupfifo.windows import LONGEST

if TYPE_CHECKING:
    from celery.result import AsyncResult


#: From Celery 5.6 on a send ends with this RuntimeError when Celery can't subscribe to the task's result.
_NO_RESULTS = "Retry limit exceeded while trying to reconnect"


class GroupRun:
    """The group of one run: `self.group` in a task.

    Attributes:
        key: The group's key; the first one of several.
        keys: All of its keys.
        fence: Grows with every start in the group, also over restarts and lost data of Redis: pass it with each write
            to another system, and let that system refuse lower ones; see `celery_groupfifo.fencing`.
        attempt: From 1; counts retries.
        lost: Workers that were lost with this task.
        enqueued_at: Time when the gate accepted it, by the clock of Redis (UTC).
    """

    @classmethod
    def of(cls, task: Task[..., Any]) -> GroupRun | None:
        """Return the group of a task's run in progress, of any class; None in a run without one.

        Args:
            task: Bound: `self`.
        """
        request = task.request
        run = None if request.is_eager else continued(request.id)
        return None if run is None else cls(task, run)

    def __init__(self, task: Task[..., Any], run: Continuation) -> None:
        self._task, self._run = task, run
        self._ticket = ticket = run.ticket
        self.key, self.keys = run.key, run.keys
        self.fence = ticket.fence
        self.attempt: int = task.request.retries + 1
        self.lost = ticket.lost
        self.enqueued_at = datetime.fromtimestamp(ticket.parked_us / 1_000_000, timezone.utc)

    @property
    def lease_remaining(self) -> float:
        """Return the seconds until the lease ends unless the worker renews it; 0 when it is over or lost.

        Raises:
            GateUnavailable: Redis can't be reached.
        """
        return gate_of(self._task.app).lease(self._ticket) or 0.0

    def check(self) -> None:
        """Check that this run still holds its group.

        Raises:
            GroupLeaseLost: It does not: another run may have begun.
            GateUnavailable: Redis can't be reached.
        """
        if gate_of(self._task.app).lease(self._ticket) is None:
            raise GroupLeaseLost(
                f"The lease of task {self._ticket.id} (group {self.key!r}, fence {self.fence}) is lost: "
                "another run may have begun. Stop, and change nothing more."
            )

    def rate_limited(self, seconds: float) -> NoReturn:
        """End this run and let the group wait, as another system takes no more for now ("429 Too Many Requests").

        The task keeps its place and runs again after that time, under a new fence. It is no retry: `attempt`,
        `request.retries` and `max_retries` stay as they are. No slot is held meanwhile, and other groups go on.

        Args:
            seconds: Until the task may run again, from 0.

        Raises:
            Retry: Always: Celery ends the run with it, in the state RETRY.
            InvalidOption: The seconds are no number from 0 to 3,000,000,000 (some 95 years).
            GroupFifoError: The run is not in progress in this thread.
        """
        is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
        if not (is_number and 0 <= seconds <= LONGEST):
            raise InvalidOption(f"rate_limited({seconds!r}): give the seconds to wait, from 0 to {LONGEST:,}.")
        request = self._task.request
        if continued(request.id) is not self._run:
            raise GroupFifoError("rate_limited() ends the run in progress: call it in the task, in its own thread.")
        again = self._task.signature_from_request(request, countdown=seconds, retries=request.retries)
        with self._run.repeating():
            again.apply_async()
        raise Retry(f"The group waits for {seconds:g} s: the run was rate limited.", when=seconds, sig=again)

    def __repr__(self) -> str:
        return f"<GroupRun {self.key!r} fence={self.fence} attempt={self.attempt} lost={self.lost}>"


class _OnCommit:
    """A method of Celery's `DjangoTask`, present when the app has Celery's Django fixup.

    The fixup sets `DjangoTask` as the base of the app's tasks; a task with a `base=` of its own does not inherit from
    it.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, task: Any, owner: type[Task[..., Any]]) -> Any:
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
            (joined by `:`), or a callable with the task's signature; `group_key=` of a call wins over it. A list of
            templates, or of keys with a call, means several groups: the task starts when it is the head of all.
        acks_late: The gate runs a task again only when its worker was lost.
        reject_on_worker_lost: The same when a child of the pool is killed; `group_max_lost` bounds it.
        group_max_lost: Runs that may end with a lost worker; None: `groupfifo_max_lost`.
        group_on_retry: `hold`: the group waits for a retry, which keeps its place; `release`: the group goes on at
            once, and the retry joins the tail of its line when it is due; None: `groupfifo_on_retry`.
        group_max_hold: Seconds that the group waits for the retries of one task, in all: a retry that needs more is a
            final failure; None: `groupfifo_max_hold`.
        group_on_failure: The policy of the group after a final failure: `continue`, `dead_letter`, `block` or
            `cancel_rest`; None: `groupfifo_on_failure`.
        group_block_for: Seconds after which a block ends by itself, and the group goes on without the failed task;
            None: `groupfifo_block_for`.
        group_break_after: `"5/60s"`: the fifth final failure of the group within 60 s halts it for 60 s, or for 10 s
            with `"5/60s/10s"`; then one task runs as a probe; None: `groupfifo_break_after`.
        group_eta: `at_due`: a task with an ETA joins the line when it is due; `reserve`: it joins the line now, and the
            group waits for its ETA when it is the head; `reject`: an ETA in the future raises `InvalidOption`; None:
            `groupfifo_eta`.
        group_on_duplicate: For a duplicate of a task that is parked or running already. `return_existing`: the call
            returns that task's result; `raise`: it raises `DuplicateTask`; `replace`: the call's task takes the place
            of a parked one, else `DuplicateTask`; `keep_latest`: as `replace`, and beside one that is the head one more
            is parked; None: `groupfifo_on_duplicate`.
        group_dedup_key: What makes calls of one group duplicates: a template, a tuple or a callable, as `group_key`;
            None: `groupfifo_dedup_key`, or else the id.
        group_dedup_for: Seconds for which a call counts as a duplicate after the task has ended; None:
            `groupfifo_dedup_for`.
        group_order_by: What makes the order value of a call, a number or a time: a parameter's name, a template or a
            callable; None: `groupfifo_order_by`, or else none.
        group_reorder_window: Seconds that a call with an order value waits for those with lower values; None:
            `groupfifo_reorder_window`.
        group_max_depth: Parked tasks that a group may have; None: `groupfifo_max_depth`.
        group_overflow: For a task beyond. `raise`: the call raises `GroupFull`; `drop_new`: it becomes REVOKED;
            `drop_oldest`: the group's oldest parked task does; `wait`: the call waits for room; None:
            `groupfifo_overflow`.
        group_overflow_timeout: Seconds that the call waits at most; None: `groupfifo_overflow_timeout`.
        group_concurrency: Tasks of the group that may run at once: they start in order, and end in any; None:
            `groupfifo_concurrency`.
        group_batch: Calls that the function takes at once, at most, as a list of `BatchCall`; None: it takes one call,
            with its arguments. Only on a task.
        group_rate: `"10/s"`: so many runs of the group start within that time at most, over all workers; None:
            `groupfifo_rate`.
        group_hold_until: `task`: the group goes on when a task has ended; `chain`: when its whole canvas has; None:
            `groupfifo_hold_until`.
        group_fair_key: Names the tenant of a call: a template, a tuple or a callable, as `group_key`. A tenant with
            many groups takes turns with the others; None: `groupfifo_fair_key`.
        group_fair_weight: Turns of that tenant for one of a tenant with 1; None: `groupfifo_fair_weight`.
        delay_on_commit: With Django: `delay` when the database transaction is committed, and not at all when it is
            rolled back. A group's order is that of the commits, and within a transaction that of the calls.
        apply_async_on_commit: The same for `apply_async`.
    """

    _groupfifo_ordered = True
    group_key: str | tuple[str, ...] | list[str] | Callable[..., str | list[str]] | None = None
    acks_late = True
    reject_on_worker_lost = True
    group_max_lost: int | None = None
    group_on_retry: OnRetry | None = None
    group_max_hold: float | None = None
    group_on_failure: OnFailure | None = None
    group_block_for: float | None = None
    group_break_after: str | None = None
    group_eta: Eta | None = None
    group_on_duplicate: OnDuplicate | None = None
    group_dedup_key: TextOfCall | None = None
    group_dedup_for: float | None = None
    group_order_by: OrderBy | None = None
    group_reorder_window: float | None = None
    group_max_depth: int | None = None
    group_overflow: Overflow | None = None
    group_overflow_timeout: float | None = None
    group_concurrency: int | None = None
    group_rate: str | None = None
    group_hold_until: HoldUntil | None = None
    group_batch: int | None = None
    group_fair_key: TextOfCall | None = None
    group_fair_weight: int | None = None
    delay_on_commit = _OnCommit()
    apply_async_on_commit = _OnCommit()

    if TYPE_CHECKING:

        def apply_async(
            self,
            args: Sequence[Any] | None = None,
            kwargs: Mapping[str, Any] | None = None,
            *,
            group_key: str | list[str] | None = None,
            group_max_lost: int | None = None,
            group_on_retry: OnRetry | None = None,
            group_max_hold: float | None = None,
            group_on_failure: OnFailure | None = None,
            group_block_for: float | None = None,
            group_break_after: str | None = None,
            group_eta: Eta | None = None,
            group_on_duplicate: OnDuplicate | None = None,
            group_dedup_key: str | None = None,
            group_dedup_for: float | None = None,
            group_order_by: float | Decimal | datetime | str | None = None,
            group_reorder_window: float | None = None,
            group_max_depth: int | None = None,
            group_overflow: Overflow | None = None,
            group_overflow_timeout: float | None = None,
            group_concurrency: int | None = None,
            group_rate: str | None = None,
            group_hold_until: HoldUntil | None = None,
            group_fair_key: str | None = None,
            group_fair_weight: int | None = None,
            **options: Any,
        ) -> AsyncResult[Any]:
            """Send the task, as Celery's own method does, with options of its group."""

    else:

        def apply_async(
            self,
            args: Any = None,
            kwargs: Any = None,
            task_id: str | None = None,
            producer: Any = None,
            link: Any = None,
            link_error: Any = None,
            shadow: str | None = None,
            **options: Any,
        ) -> Any:
            plainly = super().apply_async
            try:
                if producer or link or link_error or shadow:
                    return plainly(args, kwargs, task_id, producer, link, link_error, shadow, **options)
                return send(self, plainly, args, kwargs, task_id, options)
            except RuntimeError as error:
                if error.__cause__ is None or _NO_RESULTS not in str(error):
                    raise
                raise GateUnavailable(
                    f"{self.name} was not sent, because the result backend can't be reached: {error.__cause__} "
                    "Start it, or set ignore_result=True where nobody reads results."
                ) from error

        setattr(apply_async, MARK, True)

    @classmethod
    def bind(cls, app: Celery) -> Any:
        """Bind the class to its app, and install groups there.

        Raises:
            InvalidOption: The class has a wrong group_key or option.
        """
        bound = super().bind(app)
        install(app)
        if cls.group_batch is not None:
            batch.install(cls)
        return bound

    @classmethod
    def on_bound(cls, app: Celery) -> None:
        """Check the class's group_key and options."""
        super().on_bound(app)
        if cls.name:
            check_spec(cls())
            check_task(cls())
            if cls.group_batch is not None:
                batch.check_task_batch(cls(), cls.group_batch)

    @property
    def group(self) -> GroupRun | Any:
        """Return the group of the run in progress; None in a run without one.

        Its type is `GroupRun | Any`, so that a type checker accepts `self.group.fence`, and still finds a misspelt
        name. `GroupRun.of(self)` has the strict type, `GroupRun | None`.
        """
        return GroupRun.of(self)
