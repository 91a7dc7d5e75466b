"""The memory of the model."""

from __future__ import annotations

from dataclasses import dataclass, field

Pair = tuple[str, int]
"""A ticket: id and number of the release. A message of somebody else has the number 0."""

Rate = tuple[int, int]
"""Starts, and the window in ms."""

Tenant = tuple[int, str]
"""Tickets that may be on their way in a queue, and the fair key."""

#: Stands for the group's own next head.
OWN: Pair = ("", -1)

#: Kinds of what is due, in the order in which a sweep moves them; others follow.
KINDS = "whe"
#: Windows for which the mark of a group is kept.
MARKED = 10
#: Names that the entries of one task may have.
NAMES = 8
#: Stale tickets that one finish drops on its way to the next one.
STALE = 20
#: The row of a tenant that nothing has moved is looked at so often (ms).
LOOK = 10_000
#: Says that the own place of a task with several keys is left behind in a part that is cut off.
LEFT = ["!"]


@dataclass
class Said:
    """The words of a call about its entry.

    Attributes:
        rate: Of its group; None: none.
        together: Entries of its group under way at once, for this one to be among them.
        tenant: Its own, or None.
    """

    rate: Rate | None = None
    together: int = 1
    tenant: Tenant | None = None


@dataclass
class Flight:
    """An entry that is under way: released, running or held.

    Attributes:
        stop: Why it is not released: `p` its group is paused, `b` it blocks its group, `l` a rate or its ETA holds it
            back, `f` it follows a run, `s` its task waits for its other places, `t` for its tenant's turn, `h` another
            one blocks its group; `-` nothing.
        ends: When a sweep looks at its block.
        look: When a sweep looks at a task that waits for its other places, or that a block has halted.
    """

    id: str
    queue: str
    state: str = "new"
    release: int = 0
    fence: int = 0
    lost: int = 0
    owner: str = "-"
    lane: str = ""
    since: int = 0
    due: int | None = None
    stop: str = "-"
    ends: int | None = None
    look: int | None = None


@dataclass
class Cut:
    """The part that a failed run has cut off its group's line: it is cancelled when a sweep comes by."""

    group: str
    when: int
    ids: list[str]


@dataclass
class State:
    """All groups, the broker's lists, and the clock.

    Attributes:
        lists: Tickets of each queue, the next one to be served first.
        entries: id -> group, queue; everything accepted and not ended.
        line: Parked ids of each group, in order.
        places: The same with the places of revoked ones, which are empty.
        followed: By the run: the place of the last part that it has sent.
        later: When a delayed entry joins its line.
        flight: What is under way in each group, in the order in which it has left its line.
        cut: By the fence of the failed run.
        leases: When that of each worker ends.
        reclaims: When a sweep takes back the heads of a lost worker.
        runs: Of each worker: what was begun last in each of its lanes.
        failures: Times of the last final failures of each group.
        probing: Groups whose breaker has opened since their last good end.
        joined: Ids of each group in the order they joined.
        begun: Entries that have run.
        claims: Identity of an entry, and how long it counts after the end of its last run.
        kept: By group and identity: an entry that has ended, and until when its identity counts.
        identity_forgets: By group and identity: when a sweep looks at it.
        said: Of entries, by their calls.
        etas: Of entries that wait for theirs at their place.
        counted: Begins of each group with a rate that are over, and for which rate they are kept.
        marked: Groups whose begins are counted.
        company: Groups of which several may be under way.
        forgets: When what was counted of a group that has ended is forgotten.
        limited: By group: rate and number at once that an operator has set; None: not that.
        limits_end: When they end.
        advances: When a sweep looks for the next head of a group.
        orders: Of entries that wait in their windows: the value, the number that was drawn, and the window.
        marks: The highest value of each group that has joined, and when it is forgotten.
        late: How many have joined after one with a higher value.
        out: By queue and fair key: release, group and id of each ticket of the tenant that is on its way.
        row: The same of its heads that wait for their turns, with the numbers of their places.
        looks: When a sweep looks at a row.
        fair: Groups that have had entries with fair keys.
        others: Of a task with several keys: its other groups.
        stands: Of a stand-in: the entry of its task.
        shared: Groups that have had such tasks.
        paused, draining: Groups.
        gone: Of an entry that has ended: group, queue, what its call said, and its ETA.
        freed: The row that the step has made room in.
    """

    now: int
    ttl: int
    grace: int
    claim: int
    drawn: int = 0
    number: int = 0
    pulse: tuple[int, int] | None = None
    entries: dict[str, tuple[str, str]] = field(default_factory=dict)
    line: dict[str, list[str]] = field(default_factory=dict)
    places: dict[str, list[str]] = field(default_factory=dict)
    followed: dict[int, str] = field(default_factory=dict)
    later: dict[str, int] = field(default_factory=dict)
    flight: dict[str, list[Flight]] = field(default_factory=dict)
    lists: dict[str, list[Pair]] = field(default_factory=dict)
    begins: dict[str, int] = field(default_factory=dict)
    cut: dict[int, Cut] = field(default_factory=dict)
    leases: dict[str, int] = field(default_factory=dict)
    reclaims: dict[str, int] = field(default_factory=dict)
    runs: dict[str, dict[str, str]] = field(default_factory=dict)
    failures: dict[str, list[int]] = field(default_factory=dict)
    probing: set[str] = field(default_factory=set)
    joined: dict[str, list[str]] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    claims: dict[str, tuple[str, int]] = field(default_factory=dict)
    kept: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    identity_forgets: dict[tuple[str, str], int] = field(default_factory=dict)
    said: dict[str, Said] = field(default_factory=dict)
    etas: dict[str, int] = field(default_factory=dict)
    counted: dict[str, tuple[list[int], Rate]] = field(default_factory=dict)
    marked: set[str] = field(default_factory=set)
    company: set[str] = field(default_factory=set)
    forgets: dict[str, int] = field(default_factory=dict)
    limited: dict[str, tuple[Rate | None, int | None]] = field(default_factory=dict)
    limits_end: dict[str, int] = field(default_factory=dict)
    advances: dict[str, int] = field(default_factory=dict)
    orders: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    marks: dict[str, tuple[int, int]] = field(default_factory=dict)
    late: int = 0
    out: dict[str, list[tuple[int, str, str]]] = field(default_factory=dict)
    row: dict[str, list[tuple[int, str, str]]] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)
    fair: set[str] = field(default_factory=set)
    others: dict[str, list[str]] = field(default_factory=dict)
    stands: dict[str, str] = field(default_factory=dict)
    shared: set[str] = field(default_factory=set)
    paused: set[str] = field(default_factory=set)
    draining: set[str] = field(default_factory=set)
    gone: dict[str, tuple[str, str, Said, int | None]] = field(default_factory=dict)
    freed: str | None = None
    accepted: int = 0
    ended: int = 0

    # -- lookups -----------------------------------------------------------

    def flights(self, group: str) -> list[Flight]:
        """The entries under way in a group."""
        return self.flight.get(group, [])

    def every(self) -> list[Flight]:
        """The entries under way in any group."""
        return [run for runs in self.flight.values() for run in runs]

    def run_of(self, id: str) -> Flight | None:
        """The record of an entry that is under way."""
        mine = self.flights(self.entries[id][0]) if id in self.entries else []
        return next((run for run in mine if run.id == id), None)

    def holding(self, id: str, fence: int) -> Flight | None:
        """The record of a run that has its lease."""
        run = self.run_of(id)
        return run if run and run.state == "running" and run.fence == fence else None

    def followers(self, group: str) -> list[Flight]:
        """The entries in the batch of a run, or behind one that was lost."""
        return [run for run in self.flights(group) if run.stop == "f"]

    def of_group(self, group: str) -> list[str]:
        """All entries of a group."""
        return [id for id, (of, _) in self.entries.items() if of == group]

    def blocked(self, group: str) -> bool:
        """True when an entry of a group has failed, and halts it."""
        return any(run.stop == "b" for run in self.flights(group))

    def is_cut(self, group: str) -> bool:
        """True when a part of a group's line is cut off, and not cancelled yet."""
        return any(cut.group == group for cut in self.cut.values())

    def holders(self, group: str, identity: str) -> list[str]:
        """The entries that have an identity, the newest last."""
        mine = [id for id, (known, _) in self.claims.items() if known == identity]
        return [id for id in mine if self.entries[id][0] == group]

    def rate_of(self, group: str, id: str) -> Rate | None:
        """The rate that counts for an entry: an operator's comes first."""
        return self.limited.get(group, (None, None))[0] or self.said[id].rate

    def together_of(self, group: str, id: str) -> int:
        """The number that may be under way for an entry to join them, and itself."""
        return self.limited.get(group, (None, None))[1] or self.said[id].together

    def is_left_behind(self, id: str) -> bool:
        """True when the task of an entry is gone, and this place of it has stayed."""
        if id in self.stands and self.stands[id] not in self.others:
            return True
        return self.others.get(self.stands.get(id, id)) == LEFT
