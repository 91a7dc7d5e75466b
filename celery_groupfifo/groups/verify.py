"""The check of the stored state for inconsistencies, and their repair.

The gate goes on meanwhile: entries come and go while it is read. So a finding is checked twice more, and only an
unchanged one is a breach. A repair is a single harmless write, mostly a member of `due`: the next sweep finds it, and
handles it as any other, in one atomic step.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from celery_groupfifo.gate.keys import Keys, Quoted, due_score, quote, task_of, unquote
from celery_groupfifo.gate.records import Flight
from celery_groupfifo.groups.reader import Arguments, Reader, Surveyed
from celery_groupfifo.groups.view import Breach

#: Seconds between two looks.
PAUSE = 0.3
LOOKS = 3
#: Keys, records or places per round trip.
CHUNK = 500
#: Entries per call, during which Redis serves no other client: of the first call, of any, and bytes of their messages.
#: Nobody knows how long the messages are before some were read, so the first calls read few.
FIRST, CENSUS, BYTES = 10, 200, 1_000_000
#: Groups per call, and their places.
GROUPS, PLACES = 100, 500

Repair = Callable[[Any, int], None]
"""Puts the commands of a repair into a pipeline, given the time in ms."""


@dataclass(frozen=True, slots=True)
class _Recall:
    """The one repair that takes a script; names are quoted."""

    group: Quoted
    id: str


@dataclass(slots=True)
class _Entry:
    us: str
    group: Quoted
    flight: Flight | None
    kinds: str


@dataclass(slots=True)
class _State:
    """The state of a partition, as read once; names are quoted.

    Attributes:
        entries: Those in flight, and unreadable ones.
        parked: "<time> <group>" of each other entry, until its place is found. Texts, as tuples cost the collector of
            garbage as much time as everything else.
        counts: Entries of each group.
        fields: Of each group's hash.
        lines: Of each group, whether places are in its line, and whether entries stand there.
    """

    entries: dict[str, _Entry] = field(default_factory=dict)
    parked: dict[str, str] = field(default_factory=dict)
    counts: Counter[Quoted] = field(default_factory=Counter)
    depth: dict[Quoted, int] = field(default_factory=dict)
    paused: set[Quoted] = field(default_factory=set)
    fields: dict[Quoted, set[str]] = field(default_factory=dict)
    lines: dict[Quoted, tuple[bool, bool]] = field(default_factory=dict)
    records: dict[str, Flight | None] = field(default_factory=dict)
    due: set[str] = field(default_factory=set)


def verify(reader: Reader, repair: bool) -> list[Breach]:
    """Check, and repair if asked to, see `Groups.verify`."""
    found: list[Breach] = []
    for keys in reader.partitions:
        breaches = dict(_look(reader, keys))
        for _ in range(LOOKS - 1):
            if breaches:
                time.sleep(PAUSE)
                again = dict(_look(reader, keys))
                breaches = {breach: again[breach] for breach in breaches if breach in again}
        for breach, mend in breaches.items():
            if repair and mend is not None:
                _mend(reader, keys, mend)
            found.append(replace(breach, repaired=repair and mend is not None))
    return found


def _mend(reader: Reader, keys: Keys, mend: Repair | _Recall) -> None:
    if isinstance(mend, _Recall):
        more = [keys.line(mend.group), keys.group(mend.group)]
        reader.gate.store.run("recall", keys, more, [mend.id, reader.gate.settings.concurrency])
    else:
        now = int(reader.now())
        reader.ask("repair", lambda pipe: mend(pipe, now))


def _look(reader: Reader, keys: Keys) -> Iterator[tuple[Breach, Repair | _Recall | None]]:
    state = reader.gate.store.ask("verify", lambda: _read(reader, keys))
    state.counts.update(Quoted(text.partition(" ")[2]) for text in state.parked.values())
    for id, entry in state.entries.items():
        yield from _entry_breaches(keys, state, id, entry)
    for id, text in state.parked.items():
        yield from _orphans(keys, state, id, Quoted(text.partition(" ")[2]))
    for group in state.fields:
        yield from _group_breaches(keys, state, group, state.counts[group])
        yield from _over_concurrency(state, group, reader.gate.settings.concurrency)
    for id, record in state.records.items():
        if id not in state.entries:
            yield from _lonely_record(keys, state, id, record)


def _make_due(keys: Keys, member: str) -> Repair:
    """Return a repair by the next sweep, unless the member is in `due` already."""
    return lambda pipe, now: pipe.zadd(keys.due, {member: due_score(member, now)}, nx=True)


# -- reading ---------------------------------------------------------------


def _read(reader: Reader, keys: Keys) -> _State:
    state = _State()
    _read_entries(reader, keys, state)
    state.records = {id: Flight.parse(id, text) for id, text in _scan(reader, "hscan", keys.flight)}
    state.depth = reader.survey(keys, [], _depths)
    state.paused = {Quoted(name) for name, _ in _scan(reader, "zscan", keys.paused)}
    state.due = {name for name, _ in _scan(reader, "zscan", keys.due)}
    for member in state.due:
        if member.startswith("d "):  # taken out of its line, to be cancelled
            _, group, fence = member.split(" ")
            for page in reader.places(keys.cancelled(Quoted(group), fence)):
                _stands(state, Quoted(group), [item.decode() for item in page])
    named = {record.group for record in state.records.values() if record}
    names = set(state.depth) | state.paused | named | {group for group in state.counts if group}
    names |= {Quoted(text.partition(" ")[2]) for text in state.parked.values()}
    names |= set(_left(reader, keys))
    _read_groups(reader, keys, state, sorted(names))
    return state


def _read_entries(reader: Reader, keys: Keys, state: _State) -> None:
    limit = FIRST

    def then(page: list[Any]) -> Arguments | None:
        nonlocal limit
        if entries := (len(page) - 3) // 5 + len(page[2].splitlines()):
            limit = max(1, min(CENSUS, 2 * limit, entries * BYTES // max(page[1], 1)))
        return None if page[0] == b"0" else ([], [page[0], limit])

    for page in reader.chain("census", keys, ([], ["0", limit]), then):
        parked, *words = [word.decode(errors="replace") for word in page[2:]]
        if parked:
            state.parked.update(line.split("\t") for line in parked.split("\n"))
        for id, us, name, text, kinds in zip(*[iter(words)] * 5, strict=True):
            state.entries[id] = _Entry(us, Quoted(name), Flight.parse(id, text.encode()), kinds)
    for id in state.parked.keys() & state.entries.keys():  # it was read twice, and has gone out in between
        del state.parked[id]
    state.counts.update(entry.group for entry in state.entries.values())


def _depths(pages: Iterator[Surveyed]) -> dict[Quoted, int]:
    return {Quoted(name): int(depth) for page in pages for name, depth in zip(page.names, page.depths, strict=True)}


def _read_groups(reader: Reader, keys: Keys, state: _State, names: list[Quoted]) -> None:
    done = 0

    def asked() -> Arguments:
        return [key for name in names[done : done + GROUPS] for key in (keys.line(name), keys.group(name))], bounds

    def then(reply: list[Any]) -> Arguments | None:
        nonlocal done
        done += reply[0]
        return asked() if done < len(names) else None

    bounds, place = [CHUNK, PLACES], 0
    for count, text in reader.chain("lines", keys, asked(), then) if names else ():
        groups = json.loads(text.decode(errors="replace"))
        for name, (fields, items) in zip(names[place : place + count], groups, strict=True):
            state.fields[name] = set(fields)
            stand, start = _stands(state, name, items), CHUNK
            state.lines[name] = bool(items), stand
            while len(items) == CHUNK:
                items = [item.decode() for item in reader.one("lrange", keys.line(name), start, start + CHUNK - 1)]
                stand = _stands(state, name, items) or stand
                state.lines[name], start = (True, stand), start + CHUNK
        place += count


def _stands(state: _State, group: Quoted, items: Iterable[str]) -> bool:
    """Note the places of a group's entries, and return whether any entry stands at one."""
    parked, found, count = state.parked, False, 0
    for item in items:
        us, _, id = item.partition(" ")
        known = parked.pop(id, None)
        if known == f"{us} {group}":
            count += 1
        elif known is not None:
            parked[id] = known
            found = found or known.startswith(f"{us} ")
        elif not found and (entry := state.entries.get(id)) is not None:
            found = entry.us == us
    state.counts[group] += count
    return found or count > 0


def _scan(reader: Reader, command: str, key: str) -> Iterable[tuple[str, Any]]:
    return [pair for page in reader.scan(command, key, CHUNK) for pair in page]


def _left(reader: Reader, keys: Keys) -> Iterator[Quoted]:
    """Yield groups that have a key of their own. Empty ones are in no index, so this walks over all keys."""
    stem = keys.group(quote(""))
    front, size = stem.removesuffix("g:"), len(stem)  # as long as that of the lines
    cursor, match = -1, re.sub(r"([*?\[\]\\])", r"\\\1", front) + "[gw]:*"
    while cursor:
        cursor, page = reader.one("scan", max(cursor, 0), match=match, count=CHUNK)
        yield from (Quoted(name.decode()[size:]) for name in page)


# -- invariants ------------------------------------------------------------


def _entry_breaches(keys: Keys, state: _State, id: str, entry: _Entry) -> Iterator[tuple[Breach, Repair | None]]:
    def breach(name: str, what: str, repair: str = "") -> Breach:
        return Breach(name, unquote(entry.group), task_of(id), what, repair)

    flight = entry.flight
    if _unreadable(state, id):
        repair = "It goes to the dead letters, and its group goes on."
        yield breach("record", "It is under way, but its record can't be read.", repair), _make_due(keys, f"c {id}")
    elif flight is None and id in state.records:
        return  # taken out or begun in between: the next reading will tell
    elif not entry.us:
        yield breach("unreadable", "Its entry can't be read: it goes to the dead letters when its turn comes."), None
    elif flight is not None:
        yield from _flight_breaches(keys, state, flight, entry.kinds, breach)


def _unreadable(state: _State, id: str) -> bool:
    return id in state.entries and id in state.records and state.records[id] is None


def _orphans(keys: Keys, state: _State, id: str, group: Quoted) -> Iterator[tuple[Breach, Repair]]:
    """Yield the breach of an entry whose place was not found."""
    member = f"e {group} {id}"
    if member not in state.due and id not in state.records:  # else it was begun meanwhile: the next look will tell
        what, repair = "It stands in no line and has no ETA.", "It joins the tail of its line."
        yield Breach("orphan", unquote(group), task_of(id), what, repair), _make_due(keys, member)


#: The needs of an entry in flight, by its state: a member of `due` or a ticket of one of these kinds, or a new member
#: of the last kind.
_NEEDS = {
    "running": ("lease", "l", "l", "It runs without a lease that ends.", "Its lease ends now, unless it is renewed."),
    "released": ("ticket", "gr", "r", "It is released, but its ticket is not known.", "It is released again."),
    "held": ("hold", "h", "h", "It is held without a time at which it goes out.", "It goes out now."),
}


def _flight_breaches(
    keys: Keys, state: _State, flight: Flight, kinds: str, breach: Callable[..., Breach]
) -> Iterator[tuple[Breach, Repair | None]]:
    id, group = flight.id, flight.group
    fields = state.fields.get(group, set())
    if f"f {id}" not in fields:
        yield (
            breach("unlinked", "It is under way, but its group does not name it.", "Its name is added to its group."),
            lambda pipe, now: pipe.hset(keys.group(group), f"f {id}", 1),
        )
    stopped = flight.state == "held" and flight.stop != "-"
    name, any_of, kind, what, repair = _NEEDS.get(flight.state, ("", "", "", "", ""))
    if name and not stopped and not set(any_of) & set(kinds):
        yield breach(name, what, repair), _make_due(keys, f"{kind} {id}")
    if flight.stop == "p" and "paused" not in fields:
        flag = '{"reason": "found stopped without a pause", "by": "verify"}'
        yield (
            breach("stop", "It is stopped by a pause, but its group is not paused.", "Its group is paused: resume it."),
            lambda pipe, now: pipe.hset(keys.group(group), "paused", flag).zadd(keys.paused, {group: now}),
        )
    if flight.stop == "b" and "blocked" not in fields:
        said = json.dumps({"reason": "found blocked without a word", "by": "verify", "task_id": flight.task_id})
        yield (
            breach(
                "halt", "It has failed and blocks its group, but the group is not blocked.", "The group is blocked."
            ),
            lambda pipe, now: pipe.hset(keys.group(group), "blocked", said),
        )


def _group_breaches(keys: Keys, state: _State, group: Quoted, count: int) -> Iterator[tuple[Breach, Repair | None]]:
    def breach(name: str, what: str, repair: str = "") -> Breach:
        return Breach(name, unquote(group), "", what, repair)

    fields, depth = state.fields[group], state.depth.get(group, 0)
    if depth != count:

        def count_again(pipe: Any, now: int) -> None:
            pipe.zadd(keys.depth, {group: count}) if count else pipe.zrem(keys.depth, group)

        what = f"Its depth is {depth}, but it has {count} entries."
        yield breach("depth", what, f"Its depth becomes {count}."), count_again
    flying = [field[2:] for field in fields if field.startswith("f ")]
    standing = state.lines[group][1]
    if standing and not flying and not {"paused", "blocked"} & fields and f"a {group}" not in state.due:
        yield (
            breach("stuck", "Tasks stand in its line, and nothing of it is under way.", "Its next head goes out."),
            _make_due(keys, f"a {group}"),
        )
    for id in flying:
        if state.records.get(id) is None and not _unreadable(state, id) and f"x {group} {id}" not in state.due:
            yield (
                replace(
                    breach(
                        "dangling",
                        "Its group names it as under way, but it is not.",
                        "Its name is removed from its group.",
                    ),
                    task_id=task_of(id),
                ),
                _make_due(keys, f"x {group} {id}"),
            )
    if "blocked" in fields and count and not any(_blocks(state, id) for id in flying):

        def unblock(pipe: Any, now: int) -> None:
            pipe.hdel(keys.group(group), "blocked").zadd(keys.due, {f"a {group}": due_score("a", now)})

        yield breach("blocked", "It is blocked, and no task of it has failed.", "The flag is removed."), unblock
    if ("paused" in fields) != (group in state.paused):
        at = "paused, but not listed so" if "paused" in fields else "listed as paused, but is not"

        def list_again(pipe: Any, now: int) -> None:
            pipe.zadd(keys.paused, {group: now}) if "paused" in fields else pipe.zrem(keys.paused, group)

        yield breach("paused_list", f"It is {at}.", "The list is set right."), list_again
    if not count and not depth and not flying:
        yield from _left_over(keys, state, group, breach)


def _blocks(state: _State, id: str) -> bool:
    record = state.records.get(id)
    return record is not None and record.stop == "b"


def _over_concurrency(state: _State, group: Quoted, limit: int) -> Iterator[tuple[Breach, Repair | _Recall | None]]:
    """Yield breaches for a group with too many entries under way. Running ones stay; of the others, the oldest."""
    ids = [field[2:] for field in state.fields[group] if field.startswith("f ")]
    records = [record for id in ids if id in state.entries and (record := state.records.get(id))]
    records.sort(key=lambda record: (record.state != "running", record.release))
    for record in records[limit:]:
        breach = Breach("concurrency", unquote(group), record.task_id, f"It is one of {len(records)} under way.", "")
        if record.state == "running":
            what = f"{breach.what} It runs, and the group goes on when all have ended, or their workers are lost."
            yield replace(breach, what=what), None
        else:
            yield replace(breach, repair="It goes back to the front of its line."), _Recall(group, record.id)


def _left_over(
    keys: Keys, state: _State, group: Quoted, breach: Callable[..., Breach]
) -> Iterator[tuple[Breach, Repair | None]]:
    """Yield the leftovers of an empty group. A pause is no leftover: it lasts until `resume`."""
    for flag in sorted(state.fields[group] & {"draining", "blocked"}):
        yield (
            breach("flag", f"It is {flag}, and holds no task.", "The flag is removed: it takes tasks again."),
            lambda pipe, now, flag=flag: pipe.hdel(keys.group(group), flag),  # type: ignore[misc]
        )
    if state.lines[group][0] and f"a {group}" not in state.due and "paused" not in state.fields[group]:
        yield (
            breach("places", "Its line holds places of tasks that are gone.", "The next sweep removes them."),
            _make_due(keys, f"a {group}"),
        )


def _lonely_record(keys: Keys, state: _State, id: str, record: Flight | None) -> Iterator[tuple[Breach, Repair | None]]:
    """Yield the breach of a record in flight without a message."""
    group = record.group if record else quote("")
    breach = Breach("message", unquote(group), task_of(id), "It is under way, but its message is gone.", "")
    if record is None or f"f {id}" not in state.fields.get(group, ()):
        yield replace(breach, repair="Its record is removed."), lambda pipe, now: pipe.hdel(keys.flight, id)
    elif record.state == "running":
        yield replace(breach, what=breach.what + " It ends normally unless its worker is lost."), None
    else:
        member = f"{'r' if record.state == 'released' else 'h'} {id}"
        mended = replace(breach, repair="It goes to the dead letters, and its group goes on.")
        yield mended, lambda pipe, now: pipe.zadd(keys.due, {member: due_score(member, now)})
