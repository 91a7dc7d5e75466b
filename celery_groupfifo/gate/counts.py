"""The counts of a gate, for `Groups.stats` and the metrics: one reading, so that a word counts the same in both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass
from functools import partial
from typing import Any, NamedTuple

from celery_groupfifo.gate.keys import CLAIM_MS, RANGE, TENANTS, TURNS, Keys, Quoted, due_ms, due_score, stands_in
from celery_groupfifo.gate.records import HALTED, Flight, StoredGroup

Ask = Callable[[str, Callable[[Any], object]], list[Any]]
"""Runs a pipeline of reads, see `Store.read`."""

#: Fields and members that one command reads.
AT_ONCE = 500
#: The first score of held heads that wait for room, see lua/lib/keys.lua.
CROWD_OF_HEADS = 4 * RANGE

#: The totals since the gate was first used, each with what it counts; see `totals`.
TOTALS = {
    "tasks_parked": "Tasks that the gate accepted.",
    "runs_finished": "Runs that ended; a retried task has several.",
    "tasks_held": "Retries and replacements that the gate stored with the end of a run.",
    "tasks_blocked": "Tasks that failed for good and blocked their group.",
    "tasks_reclaimed": "Heads taken back from lost workers.",
    "tasks_surrendered": "Heads surrendered by workers that stopped, were disconnected or lost a child.",
    "tickets_lost": "Tickets that did not reach a worker; their heads were released again.",
    "tasks_late": "Tasks that joined their line after one with a higher order value.",
    "tasks_revoked": "Tasks taken out at the gate before they ran.",
    "tasks_dead_lettered": "Tasks that became dead letters: dropped, failed under `dead_letter`, or unreadable.",
    "tasks_redriven": "Dead letters that were parked again.",
    "dead_letters_discarded": "Dead letters that operators discarded.",
    "dead_letters_expired": "Dead letters that were removed for their number or their age.",
}

#: Those of them that are not added up, but follow from others; see `totals`.
DERIVED = {"tasks_parked", "runs_finished"}
#: Totals from which they follow.
ENDS = {"tasks_finished", "tasks_removed", "runs_continued", "runs_failed", "stand_ins"}


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers of groups and tasks at one moment.

    Attributes:
        groups: Groups that hold a task.
        paused_groups: Groups that an operator has paused, empty ones too.
        blocked_groups: Groups that a failure has blocked, paused ones too.
        depth: All tasks: `parked`, `waiting`, `running` and `held`.
        parked: Tasks that wait at the gate, not released yet: in line, or until their ETA.
        scheduled: The parked tasks that wait until their ETA, or in a window.
        waiting: Released heads that no worker has begun.
        running: Tasks whose lease a worker holds.
        held: Heads that wait for a retry, a replacement or their turns, or that a pause or a failure stops.
        dead_letters: Dead letters.
    """

    groups: int = 0
    paused_groups: int = 0
    blocked_groups: int = 0
    depth: int = 0
    parked: int = 0
    scheduled: int = 0
    waiting: int = 0
    running: int = 0
    held: int = 0
    dead_letters: int = 0


class Reading(NamedTuple):
    """A partition at one moment.

    Attributes:
        counts: Its numbers.
        totals: By name.
        running: Its running entries.
        leases: Every worker that has a lease, and the time (ms) when it ends. One that is over is there until the
            worker's heads are taken back, with a time at which it was over.
        now: The time of Redis in seconds.
    """

    counts: Counts
    totals: dict[str, int]
    running: list[Flight]
    leases: dict[Quoted, float]
    now: float


def read(ask: Ask, keys: Keys) -> Reading:
    """Read a partition's counts: in three round trips, and some for the runs of many workers and for many flags.

    Args:
        ask: Runs a pipeline of reads.
        keys: Of the partition.
    """
    scored = [(due_score(kind, 0), f"({due_score(kind, 0) + RANGE}") for kind in ("e", "h")]

    def first(pipe: Any) -> None:
        pipe.hlen(keys.entries).hlen(keys.groups).zcard(keys.paused).zlexcount(keys.on_the_way, "-", TENANTS)
        pipe.zlexcount(keys.on_the_way, *TURNS)
        pipe.hget(keys.dead, "count")
        for lowest, highest in (*scored, (CROWD_OF_HEADS, f"({CROWD_OF_HEADS + RANGE}")):
            pipe.zcount(keys.due, lowest, highest)
        pipe.hgetall(keys.stats).time().hscan(keys.flags, 0, count=AT_ONCE)
        pipe.zrangebyscore(keys.due, 0, f"({RANGE}", withscores=True)
        pipe.zrangebyscore(keys.due, due_score("v", 0), "+inf", start=0, num=AT_ONCE, withscores=True)

    *numbers, stored, (seconds, us), (cursor, flags), leased, others = ask("counts", first)
    entries, groups, paused, waiting, turns, dead_letters, scheduled, ended, crowd = (
        int(number or 0) for number in numbers
    )
    flags |= _other_flags(ask, keys, int(cursor))
    leases = {Quoted(member.decode()[2:]): due_ms(score) for member, score in leased}
    for member, score in _reclaimed(ask, keys, others).items():
        leases.setdefault(Quoted(member.decode()[2:]), ended_before(due_ms(score)))
    flagged: dict[Quoted, str] = {}
    for flag in flags:
        letter, _, name = flag.decode().partition(" ")
        flagged[Quoted(name)] = flagged.get(Quoted(name), "") + letter
    named = _groups_of_runs(ask, keys, list(leases))
    states, places = _states(ask, keys, {*flagged, *named}, list(flagged))
    running = [
        flight
        for name in named
        for flight in states[name].flights
        if flight.state == "running" and flight.owner in named[name]
    ]
    empty = stopped = blocked = 0
    for name, length in places.items():
        state = states[name]
        empty += bool(state.flags) and not state.depth(length)
        stops = f"pb{HALTED}" if "b" in state.flags else "p"
        halted = [flight for flight in state.flights if flight.state == "held" and flight.stop in stops]
        stopped += sum(not stands_in(flight.id) for flight in halted)
        blocked += "b" in state.flags
    held = ended + crowd + stopped + turns
    tasks = entries - int(stored.get(b"stand_ins", 0))
    counted = Counts(
        groups=max(groups - empty, 0),
        paused_groups=paused,
        blocked_groups=blocked,
        depth=tasks,
        parked=max(tasks - waiting - len(running) - held, 0),
        scheduled=scheduled,
        waiting=waiting,
        running=len(running),
        held=held,
        dead_letters=dead_letters,
    )
    return Reading(counted, totals(stored, entries), running, leases, seconds + us / 1e6)


def totals(stored: Mapping[bytes, bytes], entries: int) -> dict[str, int]:
    """Return the totals from those that the scripts add up and the number of entries.

    A task that was parked is an entry, or has ended, or left the gate in another way; so nothing is counted when it is
    parked, but its stand-ins, which are entries and no tasks.
    """
    known = {name.decode(): int(value) for name, value in stored.items()}
    found = {name: known.get(name, 0) for name in TOTALS}
    ended = known.get("tasks_finished", 0)
    gone = ended + known.get("tasks_removed", 0) - found["tasks_redriven"]
    found["tasks_parked"] = max(entries - known.get("stand_ins", 0) + gone, 0)
    found["runs_finished"] = ended + known.get("runs_continued", 0) + known.get("runs_failed", 0)
    return found


def _other_flags(ask: Ask, keys: Keys, cursor: int) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    while cursor:
        cursor, page = ask("flags", partial(_scan, keys.flags, cursor))[0]
        found |= page
    return found


def _scan(key: str, cursor: int, pipe: Any) -> None:
    pipe.hscan(key, cursor, count=AT_ONCE)


def lease_of(owner: Quoted) -> str:
    """Return the member of `due` that is the lease of a worker."""
    return f"w {owner}"


def loss_of(owner: Quoted) -> str:
    """Return the member of `due` for a worker whose lease is over, and whose heads are about to be taken back."""
    return f"v {owner}"


def ended_before(due: float) -> float:
    """Return a time (ms) at which a lease was over, given the time at which its worker's loss is due."""
    return due - CLAIM_MS


def _reclaimed(ask: Ask, keys: Keys, page: list[tuple[bytes, float]]) -> dict[bytes, float]:
    """Return the members of `due` for workers whose heads are about to be taken back, given the first page."""
    found: dict[bytes, float] = {}
    size = AT_ONCE
    while True:
        found |= {member: score for member, score in page if member.startswith(b"v ")}
        if len(page) < size or page[-1][1] >= CROWD_OF_HEADS:
            return found
        lowest = page[-1][1]
        size = AT_ONCE if lowest > page[0][1] else 2 * size  # no page may end where it began
        page = ask("owners", partial(_range, keys.due, lowest, size))[0]


def _range(key: str, lowest: float, size: int, pipe: Any) -> None:
    pipe.zrangebyscore(key, lowest, "+inf", start=0, num=size, withscores=True)


def _groups_of_runs(ask: Ask, keys: Keys, owners: list[Quoted]) -> dict[Quoted, set[Quoted]]:
    """Return the groups that workers run entries of, each with these workers."""

    def second(pipe: Any) -> None:
        for owner in owners:
            pipe.hgetall(keys.runs(owner))

    found: dict[Quoted, set[Quoted]] = {}
    for owner, runs in zip(owners, ask("runs", second) if owners else (), strict=True):
        for lane, said in runs.items():
            words = said.decode().split(" ")
            if lane.isdigit() and len(words) == 4:
                found.setdefault(Quoted(words[1]), set()).add(owner)
    found.pop(Quoted("-"), None)  # of a call that began no run
    return found


def _states(
    ask: Ask, keys: Keys, names: Iterable[Quoted], lines: list[Quoted]
) -> tuple[dict[Quoted, StoredGroup], dict[Quoted, int]]:
    """Return groups by name, and the lengths of some lines."""
    every = list(names)

    def third(pipe: Any) -> None:
        for start in range(0, len(every), AT_ONCE):
            pipe.hmget(keys.groups, every[start : start + AT_ONCE])
        for name in lines:
            pipe.llen(keys.line(name))

    replies = ask("states", third) if every else []
    pages = len(replies) - len(lines)
    texts = [text for page in replies[:pages] for text in page]
    states = {name: StoredGroup.parse(name, text) for name, text in zip(every, texts, strict=True)}
    return states, dict(zip(lines, map(int, replies[pages:]), strict=True))


def total(parts: Iterable[Counts]) -> Counts:
    """Return the sum of the partitions' counts."""
    return Counts(*map(sum, zip(*map(astuple, parts), strict=True)))
