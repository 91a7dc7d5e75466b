"""What `Groups` gives. Times are of Redis, in UTC; ages and spans are seconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime, timezone
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


def moment(ms: float) -> datetime:
    """A time of Redis."""
    return datetime.fromtimestamp(ms / 1000, timezone.utc)


@dataclass(frozen=True, slots=True)
class Running:
    """A task that a worker holds the lease of.

    Attributes:
        task_id: Of the task.
        task: Its name; empty where only a list of groups was asked for.
        worker: The node's name.
        fence: Of this run.
        lease_left: Seconds until its lease ends unless the worker renews it.
        since: When the worker took it.
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
class Group:
    """A group that holds tasks, or that is paused.

    Attributes:
        key: As the user gave it.
        state: `running`, `waiting` (its head is at the broker), `held` (its head, or all it has, waits for its time),
            `paused`, `blocked`, `draining`.
        depth: Tasks parked and in flight.
        head: Id of the task that is next or under way; None when all it has waits for an ETA.
        running: What runs.
        oldest_age: How long the oldest task in line waits; without one, how long the head is in its state.
        last_error: What the head's last run raised, where it blocks the group, or waits for a retry and the result
            backend knows.
        reason: Why it is paused or draining; what blocks it raised.
        by: Who said so; the worker whose run blocks it.
        since: When.
        queue: Where the head's ticket is, as the scripts name it.
        due: When the held head goes out.
    """

    key: str
    state: str
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


@dataclass(frozen=True, slots=True)
class Parked:
    """A task in line.

    Attributes:
        task_id: Of the task.
        task: Its name.
        args: Its arguments, as Celery shows them.
        kwargs: Its keyword arguments, as Celery shows them.
        place: In the line, from 0. Places of revoked tasks count until the line has passed them.
        parked_at: When the gate accepted it.
        retries: How often it was retried.
    """

    task_id: str
    task: str
    args: str
    kwargs: str
    place: int
    parked_at: datetime
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """Where a task is at the gate.

    Attributes:
        task_id: Of the task.
        key: Of its group.
        state: `parked`, `scheduled` (its ETA has not come), `released`, `running`, `held`, `blocked` (it has
            failed, and its group waits for an operator).
        task: Its name.
        place: Parked: how many are before it in line; else None.
        parked_at: When the gate accepted it; None when its entry can't be read.
        due: When it joins the line or goes out again; None: no time is known.
        running: Its run, when it runs.
    """

    task_id: str
    key: str
    state: str
    task: str
    place: int | None
    parked_at: datetime | None
    due: datetime | None = None
    running: Running | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A task that was set aside.

    Attributes:
        id: Of the task.
        key: Of its group.
        task: Its name; empty when nobody can read it.
        args: Its arguments, as Celery shows them.
        exception: Why it was set aside: what it raised, `dropped: …`, `corrupt`, `missing`.
        place: Among the dead letters, from 0, the newest first.
        when: When it was set aside.
        readable: Whether it can be redriven.
    """

    id: str
    key: str
    task: str
    args: str
    exception: str
    place: int
    when: datetime
    readable: bool = True


@dataclass(frozen=True, slots=True)
class Action:
    """What an operator did.

    Attributes:
        when: By the clock of Redis.
        by: Who.
        what: The verb.
        key: Of the group; empty where it concerns none.
        reason: Why, when it was said.
        more: What else the verb was given.
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
        what: What is wrong, in a sentence.
        repair: What `verify(repair=True)` does about it; empty: nothing is to be done by hand either, see `what`.
        repaired: It has been done.
    """

    name: str
    key: str
    task_id: str
    what: str
    repair: str
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """One look at the surroundings.

    Attributes:
        name: Of what was looked at.
        ok: Nothing is to be done.
        what: What was found.
        why: Why it matters; empty when it is fine.
        remedy: What to do; empty when it is fine.
        unsafe: Tasks may be lost, or run out of order; workers say so when they start.
    """

    name: str
    ok: bool
    what: str
    why: str = ""
    remedy: str = ""
    unsafe: bool = False

    @classmethod
    def of(cls, name: str, ok: bool, what: str, why: str, remedy: str, unsafe: bool = False) -> Check:
        """One that says why and what to do only when something is to be done."""
        return cls(name, ok, what) if ok else cls(name, ok, what, why, remedy, unsafe)


class Page(list[Item], Generic[Item]):
    """Items, and where to go on.

    Attributes:
        cursor: For the next call; None after the last page.
    """

    def __init__(self, items: Iterable[Item] = (), cursor: str | None = None) -> None:
        super().__init__(items)
        self.cursor = cursor


def plain(value: Any) -> Any:
    """A view as JSON has it: times become ISO texts."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value
