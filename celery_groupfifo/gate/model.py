"""The types that the layers pass to each other, and the names of headers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from celery_groupfifo.gate.keys import Keys, Quoted, quote, task_of
from celery_groupfifo.settings import OnDuplicate, Overflow
from celery_groupfifo.windows import Breaker

#: The header that carries the ticket. Names that begin so are ours; see headers.py.
HEADER = "groupfifo"
#: The header that carries the group's key, as the user gave it.
KEY_HEADER = "groupfifo_key"
#: The header that carries an ETA: the gate has waited for it, and the worker must not wait again.
ETA_HEADER = "groupfifo_eta"
#: Options of a call that its run needs, and the headers that carry them.
_TRAVELLING = ("max_lost", "on_retry", "max_hold", "on_failure", "block_for", "break_after")
TRAVELLING = {f"group_{name}": f"{HEADER}_{name}" for name in _TRAVELLING}
#: The header that counts the milliseconds that a group was to wait for retries of a task with `group_max_hold`.
HELD_HEADER = HEADER + "_held"
#: The header of a task whose group waits for its whole canvas, see sending/parts.py; and its values: a task that
#: begins a canvas, and one that follows another.
HOLD_HEADER = HEADER + "_hold_until"
FIRST, PART = "chain", "part"
#: The header that carries all keys of a task with several.
KEYS_HEADER = HEADER + "_keys"
#: The header of a task that is only observed; see observations.py.
OBSERVED_HEADER = HEADER + "_observed"
#: The attribute of an app that uses groups.
INSTALLED = "_groupfifo_installed"
#: All headers of our own that a message may have.
HEADERS = (
    *(HEADER, KEY_HEADER, KEYS_HEADER, ETA_HEADER, HELD_HEADER, HOLD_HEADER, OBSERVED_HEADER),
    *TRAVELLING.values(),
)


class Dedup(NamedTuple):
    """The identity of a call in its group, where that is more than its id; see lua/lib/identity.lua.

    Attributes:
        identity: The dedup key, quoted, or `;` and the quoted id.
        after: Milliseconds for which it counts after the end of its task.
    """

    identity: str
    after: int = 0


class Bound(NamedTuple):
    """The bound of a group's depth, as a call sees it.

    Attributes:
        most: Parked tasks that the group may have.
        overflow: Policy for a task beyond.
        timeout: Seconds that a call waits for room at most; None: any time.
    """

    most: int
    overflow: Overflow
    timeout: float | None = None

    @property
    def waits(self) -> bool:
        """Return whether a call waits for room."""
        return self.overflow == "wait"


@dataclass(slots=True)
class Entry:
    """One task on its way to the gate.

    Attributes:
        id: The task's id.
        key: The group's key, as the user gave it.
        queue: The queue of its ticket: the name of a Redis list, or `*` and a routing key on other brokers.
        list_key: The Redis list itself; None on other brokers.
        cut: Bytes of `message` before the place of the second ticket.
        message: The kombu message without its tickets, see lua/lib/release.lua.
        delay: Milliseconds until it joins the line; 0: at once. With an order value, its window.
        order: Its order value, as the gate compares it, see sending/order.py; empty: it has none.
        on_duplicate: Policy of the call when it is a duplicate.
        dedup: Its identity; None: its id.
        others: Its other keys, when it has several: it takes a place in each of these groups, too.
        awaited: True when others wait for the result of its id: it is a part of a canvas, or a task has sent it.
        rejoins: True for a retry that gives up its place: it joins the tail of its line when it is due.
        bound: Of the group's depth, for this call; None: there is none.
        limits: Of its group, as the scripts write them, see lua/lib/limits.lua; empty: none.
        fair: Its tenant and that one's weight, as the scripts write them, see lua/lib/fair.lua; empty: none.
        reserves: True when it takes its place now, and waits there for its ETA.
        dropped: Once it was sent: id and message of the task that never starts, another one or the entry's own: the
            bound, or a duplicate, has cost it; None: it cost none.
        reason: Of that, for its result.
        existing: Once it was sent: the id of the task that it is a duplicate of, when that has another id; else None.
        group: The key, quoted.
        quoted_id: The id, quoted.
    """

    id: str
    key: str
    queue: str
    list_key: str | None
    cut: int
    message: bytes
    delay: int = 0
    on_duplicate: OnDuplicate = "return_existing"
    rejoins: bool = False
    bound: Bound | None = None
    limits: str = ""
    reserves: bool = False
    dedup: Dedup | None = None
    awaited: bool = False
    order: str = ""
    others: tuple[str, ...] = ()
    fair: str = ""
    dropped: tuple[str, bytes] | None = field(default=None, compare=False)
    reason: str = field(default="revoked", compare=False)
    existing: str | None = field(default=None, compare=False)
    group: Quoted = field(init=False)
    quoted_id: Quoted = field(init=False)

    def __post_init__(self) -> None:
        self.group = quote(self.key)
        self.quoted_id = quote(self.id)

    @property
    def keys(self) -> tuple[str, ...]:
        """Return all of its keys, that of its own group first."""
        return self.key, *self.others

    @property
    def drops(self) -> bool:
        """Return whether the oldest task of a full group makes room for it."""
        return self.bound is not None and self.bound.overflow == "drop_oldest"

    @property
    def exchanges(self) -> bool:
        """Return whether a parked entry that it is a duplicate of gets its message."""
        return self.on_duplicate in ("replace", "keep_latest")

    @property
    def is_latest(self) -> bool:
        """Return whether it is parked beside an entry that is under way."""
        return self.on_duplicate == "keep_latest"


class Ticket(NamedTuple):
    """The ticket that a released head carries to the worker: `gf <tag> <release> <lost> <parked us> <entry> <group>`.

    Attributes:
        tag: The gate's partition.
        release: Number of the release. An entry that is released again has a higher one, and this ticket is stale.
        lost: Workers that were lost with the task.
        parked_us: Time of the park, in microseconds by the clock of Redis.
        entry: The entry's name at the gate; see `keys.entry_names`.
        group: The group, quoted.
        fence: Of the run that began with the ticket; 0: it has not begun.
        lane: Of the worker, which the run is in; see lua/lib/run.lua.
    """

    tag: str
    release: int
    lost: int
    parked_us: int
    entry: str
    group: Quoted
    fence: int = 0
    lane: str = ""

    @property
    def id(self) -> str:
        """Return the task's id."""
        return task_of(self.entry)

    def begun(self, fence: int) -> Ticket:
        """Return the ticket with the fence of its run."""
        return self._replace(fence=fence)

    @classmethod
    def parse(cls, text: object) -> Ticket | None:
        """Read the ticket in a header; None when the text is not one of ours."""
        if not isinstance(text, str):
            return None
        words = text.split(" ")
        if len(words) != 7 or words[0] != "gf":
            return None
        try:
            return cls(words[1], int(words[2]), int(words[3]), int(words[4]), words[5], Quoted(words[6]))
        except ValueError:
            return None


Lists = Sequence[tuple[str, str]]
"""The broker's lists that a worker consumes, in its order: name for the scripts, Redis key."""


class Failure(NamedTuple):
    """A final failure whose policy is not `continue`, or that a circuit breaker counts.

    Attributes:
        policy: `continue`, `block`, `dead_letter` or `cancel_rest`.
        task: The task's name.
        error: The exception, as text.
        worker: The node's name.
        traceback: As text; only for `dead_letter`.
        lasts: Milliseconds that a block lasts; 0: until an operator ends it.
        breaker: The circuit breaker that counts it; None: there is none.
        others: Groups of the task's other keys, where the policy or the breaker concerns them, too.
    """

    policy: str
    task: str
    error: str
    worker: str
    traceback: str = ""
    lasts: int = 0
    breaker: Breaker | None = None
    others: tuple[Quoted, ...] = ()

    def flag(self, task_id: str) -> str:
        """Return the flag of a blocked group: JSON, open for the time that the script adds."""
        said = {"reason": self.error, "by": self.worker, "task": self.task, "task_id": task_id}
        if self.breaker is not None:
            said["breaker"] = str(self.breaker)
            if self.policy == "dead_letter":
                said["why"] = self.why  # it becomes one when the breaker lets its group go on
        return json.dumps(said)[:-1] + ", "

    @property
    def halts_ms(self) -> int:
        """Return how long it halts a group that it halts; 0: until an operator ends that."""
        return self.breaker.pause if self.breaker is not None else self.lasts

    @property
    def why(self) -> str:
        """Return the reason for a dead letter, see lua/lib/letters.lua."""
        return why_set_aside("failed", exception=self.error, traceback=self.traceback, by=self.worker)


def why_set_aside(cause: str, **more: str) -> str:
    """Return why an entry becomes a dead letter, as it is stored: JSON without line feeds."""
    said = {"cause": cause, **more}
    return json.dumps({name: value for name, value in said.items() if value}, ensure_ascii=False)


@dataclass(slots=True)
class Finish:
    """One finish, with all that its repetition needs.

    Attributes:
        ticket: Of the run that is over.
        owner: The worker.
        take: `lists`, `own` or `none`; see lua/finish.lua.
        lists: The lists to take the next ticket from.
        call: The name of this call.
        extends: True when the worker's lease was not renewed for some time: this call extends it.
        failure: The final failure, when the group's policy is not `continue`; else None.
        continuation: The run's retry or replacement, under its id: it is stored at the head of the group in the step
            that finishes the run, and goes out when it is due; one that rejoins gives up that place. With it, no
            failure is final.
    """

    ticket: Ticket
    owner: Quoted
    take: str = "none"
    lists: Lists = ()
    call: str = ""
    extends: bool = True
    failure: Failure | None = None
    continuation: Entry | None = None


class Number(NamedTuple):
    """The identity of a park when it is repeated: a producer, and its running number.

    The scripts keep the last number of each producer. A producer has one park at a time, and is used again after it.

    Attributes:
        producer: Its name.
        value: Of this park, from 1.
        first: The first one of many in one round trip; 0: it is a single one.
    """

    producer: str
    value: int
    first: int = 0

    @property
    def text(self) -> str:
        """Return the number as the scripts get it, see lua/lib/number.lua."""
        return f"{self.value}/{self.first}" if self.first else str(self.value)


@dataclass(slots=True)
class Finished:
    """The answer to a finish.

    Attributes:
        stale: True when the lease was lost; nothing was done.
        taken: The message of the worker's next task, begun already; None: there is none.
        fence: Of that task's run.
        due: Seconds until the continuation of the task is due; None: there is none.
        blocked: True when the task has failed, and its group halts.
        held: Seconds until the group's next head may go out, which its rate holds back; None: it does not.
        invites: True when another task of the taken one's group may start beside it.
    """

    stale: bool
    taken: bytes | None = None
    fence: int = 0
    due: float | None = None
    blocked: bool = False
    held: float | None = None
    invites: bool = False


class CutOff(NamedTuple):
    """A part that is cut off the line of a group.

    Attributes:
        keys: Of the partition.
        group: The group.
        fence: Of the run that has failed; names the part.
    """

    keys: Keys
    group: Quoted
    fence: str

    @property
    def key(self) -> str:
        """Return its list."""
        return self.keys.cut_off(self.group, self.fence)


@dataclass(slots=True)
class Swept:
    """The answer to a sweep.

    Attributes:
        next_due: Seconds until the next item is due; None: there is none, or another worker watches.
        reclaimed: Heads taken back from lost workers.
        named: Due members that took a step of their own, and their groups.
        cut_off: What failed runs have cut off, and operators' actions have left: the caller ends it, see `Cutting`.
    """

    next_due: float | None
    reclaimed: int
    named: list[tuple[str, Quoted]] = field(default_factory=list)
    cut_off: list[CutOff] = field(default_factory=list)


class Head(NamedTuple):
    """The oldest released head in a queue.

    Attributes:
        queue: Its name in the scripts.
        release: Of its ticket.
        begins: Record of the begins from the queue, see lua/lib/keys.lua; empty: there was none.
    """

    queue: str
    release: int
    begins: str

    @property
    def begun(self) -> int:
        """Return the number of the latest release that was begun from the queue; 0: none."""
        return int(self.begins.partition(" ")[0] or 0)

    @property
    def rereleases(self) -> int:
        """Return how often the queue's heads were released again on another broker since the last begin."""
        words = self.begins.split(" ")
        return int(words[2]) if len(words) > 2 else 0
