"""The types of the answers of `Groups`, and their form as text.

Times are of Redis, in UTC; ages and spans are seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime, timezone
from typing import Any, Generic, Literal, TypeVar

Item = TypeVar("Item")

InFlight = Literal["running", "waiting", "held"]
"""The states of a head, and of a group by its head."""

Flag = Literal["paused", "blocked", "draining"]
"""The states of a group that go before the state of its head."""

State = Literal[InFlight, Flag]
"""The states of a group, see `Group.state`."""

TaskState = Literal["parked", "scheduled", InFlight, "blocked", "dead_letter"]
"""The states of a task at the gate, see `Found.state`."""

Sort = Literal["depth", "age", "key"]
"""The orders of a list of groups: the deepest first, the longest waiting first, by key."""

End = Literal["head", "tail"]
"""The ends of a line."""
#: The causes for which a task is set aside.
CAUSES = ("failed", "dropped", "corrupt", "missing")


def moment(ms: float) -> datetime:
    """Return a time of Redis (ms) as a datetime in UTC."""
    return datetime.fromtimestamp(ms / 1000, timezone.utc)


def count(number: int, noun: str = "task") -> str:
    """Return a number with its noun, in the plural where it needs one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def span(seconds: float) -> str:
    """Return a span in two words at most: 0.4 s, 12 s, 3 min 5 s, 2 h 4 min, 3 d 2 h."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{int(seconds)} s"
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if seconds < 3600:
        return f"{minutes} min {int(seconds % 60)} s"
    return f"{hours} h {minutes % 60} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def named(names: Sequence[str], most: int = 5) -> str:
    """Return the first ones of some names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True, slots=True)
class Running:
    """A task whose lease a worker holds.

    Attributes:
        task_id: Of the task.
        task: Its name; empty in a list of groups.
        worker: The node's name.
        fence: Of this run.
        lease_left: Seconds until its lease ends unless the worker renews it.
        since: Time when the worker took the lease.
        lost: Workers that were lost with it before.
    """

    task_id: str
    task: str
    worker: str
    fence: int
    lease_left: float
    since: datetime
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """The limits that an operator has set for a group, see `Groups.limit`.

    Attributes:
        rate: Starts within a time, such as `10/s`; None: as its tasks say.
        concurrency: Tasks at once; None: as its tasks say.
        since: Time when they were set.
        until: Time when they end by themselves; None: they do not.
        by: The operator.
        reason: Of the operator.
    """

    rate: str | None
    concurrency: int | None
    since: datetime | None
    until: datetime | None
    by: str = ""
    reason: str = ""

    def __str__(self) -> str:
        return shown_limits(self.rate, self.concurrency)


def shown_limits(rate: object | None, concurrency: int | None) -> str:
    """Return limits in words."""
    words = [str(rate)] if rate else []
    return " and ".join([*words, f"{concurrency} at once"] if concurrency else words)


@dataclass(frozen=True, slots=True)
class Group:
    """A group that holds tasks, that is paused, or that has limits of its own.

    Attributes:
        key: As the user gave it.
        state: `running`, `waiting` (its head is at the broker), `held` (its head, or all its tasks, wait for their
            time), `paused`, `blocked`, `draining`.
        depth: All of its tasks at the gate.
        head: Id of the task that is next, under way, or blocks the group. None when all of them wait for an ETA.
        running: Its runs.
        oldest_age: Seconds that the oldest task waits: in line, or as a head that no worker has begun. When none waits,
            seconds that the head runs. None: all of its tasks wait for an ETA.
        last_error: The exception of the head's last run, when it blocks the group, a paused one too, or when it waits
            for a retry and the result backend has it.
        reason: The reason of the pause or drain; the exception that blocks it; why its head is held.
        by: The operator; or the worker whose run blocks it.
        since: Time of the pause, drain or failure.
        queue: The queue of the head's ticket, by its name in the scripts.
        due: Time when the held head goes out.
        blocked_until: Time when the block ends by itself, and the group goes on without the failed task; None: it does
            not, or there is none.
        breaker: The circuit breaker that has halted it, in words; empty: none has.
        limit: What an operator has set with `limit`; None: nothing.
        turn: The tenant among whose groups the held head waits for its turn; empty: it waits for none.
    """

    key: str
    state: State
    depth: int
    head: str | None
    running: tuple[Running, ...] = ()
    oldest_age: float | None = None
    last_error: str | None = None
    reason: str = ""
    by: str = ""
    since: datetime | None = None
    queue: str = ""
    due: datetime | None = None
    blocked_until: datetime | None = None
    breaker: str = ""
    limit: Limit | None = None
    turn: str = ""


@dataclass(frozen=True, slots=True)
class Parked:
    """A task in line.

    Attributes:
        task_id: Of the task.
        task: Its name.
        args: Its arguments, as Celery shows them.
        kwargs: Its keyword arguments, as Celery shows them.
        place: In the line, from 0. Places of revoked tasks count until the line has passed them.
        parked_at: Time when the gate accepted it.
        retries: Number of its retries.
    """

    task_id: str
    task: str
    args: str
    kwargs: str
    place: int
    parked_at: datetime
    retries: int = 0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A task that was set aside.

    Attributes:
        ref: Name of the letter: several letters of one task differ by it.
        id: Of the task.
        key: Of its group.
        task: Its name; empty when it can't be read.
        args: Its arguments, as Celery shows them (`argsrepr`).
        kwargs: Its keyword arguments, as Celery shows them (`kwargsrepr`).
        cause: `failed`, `dropped` by an operator, `corrupt` (its entry can't be read) or `missing` (no message).
        exception: The exception of its last run, as text; empty when none is known.
        traceback: Of that exception, its end; empty when none is known.
        reason: The operator's reason for the drop.
        by: The worker whose run has failed, or the operator.
        place: In the page, from 0, the newest first.
        when: Time when it was set aside.
        readable: True when it can be redriven.
    """

    ref: str
    id: str
    key: str
    task: str
    args: str
    kwargs: str
    cause: str
    exception: str
    traceback: str
    reason: str
    by: str
    place: int
    when: datetime
    readable: bool = True

    @property
    def why(self) -> str:
        """Return cause, reason and exception in a few words."""
        if self.cause == "failed":
            return self.exception
        words = f"{self.cause}: {self.reason}" if self.reason else self.cause
        return f"{words} ({self.exception})" if self.exception else words


@dataclass(frozen=True, slots=True)
class Redriven:
    """The outcome of `Groups.redrive_many`.

    Attributes:
        count: Letters whose tasks were parked again.
        refused: A sentence for each of the others; their letters stay.
    """

    count: int
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """The place and state of a task at the gate.

    Attributes:
        task_id: Of the task.
        key: Of its group.
        state: `parked`, `scheduled` (for its ETA, or in its window), `waiting` (for a slot), `running`, `held`,
            `blocked` (its group waits for an operator), `dead_letter` (it was set aside).
        task: Its name.
        place: Number of tasks before it in line, when it is parked; else None.
        parked_at: Time when the gate accepted it; None when its entry can't be read.
        due: Time when it joins the line or goes out again; None: no time is known.
        running: Its run, when it runs.
        dead_letter: Its newest dead letter, when it is one.
        args: Its arguments, as Celery shows them.
        kwargs: Its keyword arguments, likewise.
        traceback: Of a task that blocks its group, if the result backend has it, and of a dead letter; else empty.
        order_value: The number that it is sorted by, while it waits in its window; else None.
        dedup_key: By which later calls are its duplicates; None: by its id, or it is a dead letter.
    """

    task_id: str
    key: str
    state: TaskState
    task: str
    place: int | None
    parked_at: datetime | None
    due: datetime | None = None
    running: Running | None = None
    dead_letter: DeadLetter | None = None
    args: str = ""
    kwargs: str = ""
    traceback: str = ""
    order_value: str | None = None
    dedup_key: str | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker that answers, or that has a lease: until its groups have moved on.

    Attributes:
        worker: The node's name.
        answers: False: it is silent, and known from its lease alone. None: the workers could not be asked.
        uses_groups: False when its app knows no groups; True of a silent one.
        pool: `prefork`, `threads`, …; empty: unknown.
        slots: Tasks at once; None: unknown.
        leases: Its runs under the lease.
        renewed: Seconds since it has renewed the lease, of a silent one at least; None: it has none.
        queues: The queues that it consumes.
        version: Of this package there; empty: unknown.
    """

    worker: str
    answers: bool | None
    uses_groups: bool = True
    pool: str = ""
    slots: int | None = None
    leases: int = 0
    renewed: float | None = None
    queues: tuple[str, ...] = ()
    version: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """An action of an operator.

    Attributes:
        when: By the clock of Redis.
        by: The operator.
        what: The verb.
        key: Of the group; empty where it concerns none.
        reason: The reason, if one was given.
        more: Other arguments of the verb.
    """

    when: datetime
    by: str
    what: str
    key: str
    reason: str = ""
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Breach:
    """An invariant that the stored state breaks.

    Attributes:
        name: Of the invariant, in one word.
        key: Of the group; empty where none is known.
        task_id: Of the task; empty where it concerns a whole group.
        what: The fault, in a sentence.
        repair: The action of `verify(repair=True)`; empty: none, see `what`.
        repaired: True when it has been done.
    """

    name: str
    key: str
    task_id: str
    what: str
    repair: str
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the surroundings.

    Attributes:
        name: Of the checked thing.
        ok: True when all is well.
        what: The finding.
        why: The reason why it matters; empty when all is well.
        remedy: The action to take; empty when all is well.
        unsafe: True when tasks may be lost, or run out of order; workers say so when they start.
        found: Keys of groups, queues or workers that it is about, a hundred at most.
    """

    name: str
    ok: bool
    what: str
    why: str = ""
    remedy: str = ""
    unsafe: bool = False
    found: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, name: str, ok: bool, what: str, why: str, remedy: str, unsafe: bool = False, found: Sequence[str] = ()
    ) -> Check:
        """Return a check that has `why` and `remedy` only when it is not ok."""
        return cls(name, ok, what) if ok else cls(name, ok, what, why, remedy, unsafe, tuple(found[:100]))


class Page(list[Item], Generic[Item]):
    """A list of items with the place of the next ones.

    Attributes:
        cursor: For the next call; None after the last page.
    """

    def __init__(self, items: Iterable[Item] = (), cursor: str | None = None) -> None:
        super().__init__(items)
        self.cursor = cursor


def plain(value: Any) -> Any:
    """Return a view as JSON values: times become ISO texts."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value
