"""The signals of the gate, used as Celery's own: `group_finished.connect(receiver)`.

A receiver runs where the event happens: in the producer, or in the worker's main process between two tasks. Keep it
short; an exception of a receiver is logged and has no other effect. A signal without receivers costs one check of an
empty list.

All arguments are keywords. `key` is the group's key as the user gave it, `task_id` the task's id, `fence` the run's
number, `attempt` counts retries from 1, `worker` is the node's name. Seconds between events on two machines
(`task_wait`, `slot_wait`) come from two clocks, that of Redis and the worker's, and are never below zero.

Type checkers hold a receiver against its signal: the protocols below have the arguments. A receiver names those that it
needs, and takes the others as `**_: Any`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

from celery.utils.dispatch import Signal

Receiver = TypeVar("Receiver", bound=Callable[..., object])


class GroupSignal(Signal, Generic[Receiver]):  # type: ignore[misc]
    """A signal of Celery's, with the type of its receivers."""

    if TYPE_CHECKING:

        @overload
        def connect(
            self,
            receiver: Receiver,
            sender: Any = None,
            weak: bool = True,
            dispatch_uid: Any = None,
            retry: bool = False,
        ) -> Receiver: ...

        @overload
        def connect(
            self, *, sender: Any = None, weak: bool = True, dispatch_uid: Any = None, retry: bool = False
        ) -> Callable[[Receiver], Receiver]: ...

        def connect(self, *args: Any, **kwargs: Any) -> Any: ...


class OnParked(Protocol):
    """A receiver of `group_parked`."""

    def __call__(self, *, signal: Any, sender: str, key: str, task_id: str, delay: float) -> object: ...


class OnBegun(Protocol):
    """A receiver of `group_begun`."""

    def __call__(
        self,
        *,
        signal: Any,
        sender: str,
        key: str,
        task_id: str,
        fence: int,
        attempt: int,
        worker: str,
        lost: int,
        task_wait: float,
        slot_wait: float,
        handoff: float | None,
    ) -> object: ...


class OnFinished(Protocol):
    """A receiver of `group_finished`."""

    def __call__(
        self,
        *,
        signal: Any,
        sender: str,
        key: str,
        task_id: str,
        fence: int,
        attempt: int,
        worker: str,
        outcome: str,
        seconds: float,
    ) -> object: ...


class OnHeld(Protocol):
    """A receiver of `group_held`."""

    def __call__(
        self, *, signal: Any, sender: str, key: str, task_id: str, fence: int, attempt: int, worker: str, delay: float
    ) -> object: ...


class OnBlocked(Protocol):
    """A receiver of `group_blocked`."""

    def __call__(
        self, *, signal: Any, sender: str, key: str, task_id: str, fence: int, attempt: int, worker: str, exception: str
    ) -> object: ...


class OnSurrendered(Protocol):
    """A receiver of `group_surrendered`."""

    def __call__(
        self,
        *,
        signal: Any,
        sender: str | None,
        key: str,
        task_id: str,
        fence: int,
        attempt: int,
        worker: str,
        worker_lost: bool,
    ) -> object: ...


class OnRun(Protocol):
    """A receiver of `group_stale` and `group_lease_lost`."""

    def __call__(
        self, *, signal: Any, sender: str, key: str, task_id: str, fence: int, attempt: int, worker: str
    ) -> object: ...


class OnCount(Protocol):
    """A receiver of `group_reclaimed` and `group_tickets_lost`."""

    def __call__(self, *, signal: Any, sender: Any, count: int, worker: str) -> object: ...


#: The first word of the types of our events, and the sender's name that monitors show.
EVENT_GROUP = "groupfifo"

_RUN = frozenset({"key", "task_id", "fence", "attempt", "worker"})

#: The gate has accepted a task. Sent in the process that sends it, after the park. Sender: the task's name.
#: Arguments: `key`, `task_id`, `delay` (seconds until it joins the line: its ETA or countdown; 0: it has joined).
group_parked = GroupSignal[OnParked](name="group_parked", providing_args={"key", "task_id", "delay"})

#: A worker has taken the lease for a run; it starts as soon as the pool has a slot. Sender: the task's name.
#: Arguments: `key`, `task_id`, `fence`, `attempt`, `worker`; `lost` (workers lost with it before), `task_wait`
#: (seconds since it was parked), `slot_wait` (seconds since its head was released), `handoff` (seconds from the end
#: of the run that brought it to its own begin; None: it came through the broker).
group_begun = GroupSignal[OnBegun](
    name="group_begun", providing_args={*_RUN, "lost", "task_wait", "slot_wait", "handoff"}
)

#: A run is over and the gate has stored its end: the group moves on, is held, or is blocked. Sender: the task's name.
#: Arguments: `key`, `task_id`, `fence`, `attempt`, `worker`; `outcome` (`success`, `failure`, `retry`, `replaced`,
#: `ignored`, `rejected`, or `revoked` also for expired ones), `seconds` (since the begin).
group_finished = GroupSignal[OnFinished](name="group_finished", providing_args={*_RUN, "outcome", "seconds"})

#: The group waits for the continuation of a run: its retry, the end of its rate limit, or the task that replaced it.
#: Sent after group_finished, and not for a retry at the tail of its line (`group_on_retry="release"`).
#: Sender: the task's name.
#: Arguments: `key`, `task_id`, `fence`, `attempt`, `worker`; `delay` (seconds until the continuation may start).
group_held = GroupSignal[OnHeld](name="group_held", providing_args={*_RUN, "delay"})

#: A task has failed for good, and its group halts until it is retried, skipped or dropped (`group_on_failure="block"`).
#: Sent after group_finished. Sender: the task's name.
#: Arguments: `key`, `task_id`, `fence`, `attempt`, `worker`; `exception` (as text).
group_blocked = GroupSignal[OnBlocked](name="group_blocked", providing_args={*_RUN, "exception"})

#: A worker surrenders a run to the head of its group: the worker stops, was disconnected from the broker, or has lost
#: the child that ran it. Sender: the task's name; None where it is not known. Arguments: `key`, `task_id`, `fence`,
#: `attempt`, `worker`; `worker_lost` (True when a child was lost with it).
group_surrendered = GroupSignal[OnSurrendered](name="group_surrendered", providing_args={*_RUN, "worker_lost"})

#: A delivery of the broker was dropped: its ticket is stale, so the task was begun or taken back elsewhere. Sender: the
#: task's name. Arguments: `key`, `task_id`, `fence` (0: it has not begun), `attempt`, `worker`.
group_stale = GroupSignal[OnRun](name="group_stale", providing_args=set(_RUN))

#: A worker learned that a lease of its own is lost. Sent in the worker's main process. Sender: the task's name.
#: Arguments: `key`, `task_id`, `fence`, `attempt`, `worker`.
group_lease_lost = GroupSignal[OnRun](name="group_lease_lost", providing_args=set(_RUN))

#: Heads of lost workers were taken back. Sent in the worker that swept. Arguments: `count`, `worker`.
group_reclaimed = GroupSignal[OnCount](name="group_reclaimed", providing_args={"count", "worker"})

#: Tickets did not reach a worker, and their heads were released again. Sent in the worker that swept.
#: Arguments: `count`, `worker`.
group_tickets_lost = GroupSignal[OnCount](name="group_tickets_lost", providing_args={"count", "worker"})
