"""The check of the stored state for inconsistencies, and their repair.

The gate goes on meanwhile: entries come and go while it is read. So a finding is checked twice more, and only an
unchanged one is a breach. A repair is a single harmless write, mostly a member of `due`: the next sweep finds it, and
handles it as any other, in one atomic step.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from celery_groupfifo.gate.keys import Keys, Quoted, due_score, task_of, unquote
from celery_groupfifo.gate.records import COMPANY, FLAG_LETTERS, FOLLOWS, HALTED, LIMITED, Flight, StoredGroup
from celery_groupfifo.groups import state as stored_state
from celery_groupfifo.groups.leases import members_of
from celery_groupfifo.groups.orders import SORTED, order_findings, unmarked
from celery_groupfifo.groups.reader import Reader, hold_of
from celery_groupfifo.groups.state import Line, StoredState
from celery_groupfifo.groups.verify_identities import stale_identities
from celery_groupfifo.groups.verify_letters import letter_breaches
from celery_groupfifo.groups.verify_partitions import partition_breaches
from celery_groupfifo.groups.verify_plain import unusual_lines
from celery_groupfifo.groups.verify_several import several_findings
from celery_groupfifo.groups.verify_turns import turn_breaches
from celery_groupfifo.groups.view import Breach

#: Seconds between two looks.
PAUSE = 0.3
LOOKS = 3

Repair = Callable[[Reader], object]


class Finding(NamedTuple):
    """A breach in one look, with its repair; it counts when it is found again with the same evidence."""

    breach: Breach
    repair: Repair | None = None
    evidence: frozenset[str] = frozenset()


def verify(reader: Reader, repair: bool) -> list[Breach]:
    """Check, and repair if asked to, see `Groups.verify`."""
    found: list[Breach] = []
    for keys in reader.partitions:
        findings = _look(reader, keys)
        for _ in range(LOOKS - 1):
            if findings:
                time.sleep(PAUSE)
                again = _look(reader, keys)
                findings = {known: again[known] for known in findings if known in again}
        for (breach, _), mend in findings.items():
            if repair and mend is not None:
                mend(reader)
            found.append(replace(breach, repaired=repair and mend is not None))
    return found


def _look(reader: Reader, keys: Keys) -> dict[tuple[Breach, frozenset[str]], Repair | None]:
    state = reader.gate.store.at(keys).ask("verify", lambda: stored_state.read(reader, keys))
    findings = [*_findings(keys, state), *map(Finding, letter_breaches(reader, keys))]
    findings += map(Finding, partition_breaches(reader, keys, state.lines))
    for breach, member, adds in turn_breaches(reader, keys, state):
        findings.append(Finding(breach, _mend_turn(keys, member, adds), frozenset({member})))
    stale = stale_identities(reader, keys)
    findings += [Finding(breach, _forget_identity(keys, field), frozenset({field})) for breach, field in stale]
    orders = order_findings(reader, keys, state)
    findings += [Finding(breach, _write(mend), frozenset({known})) for breach, mend, known in orders]
    findings += [_unmarked(keys, group, state.stored[group]) for group in unmarked(state)]
    for breach, forgotten, members in several_findings(reader, keys, state):
        mends = [_forget_identity(keys, field) for field in forgotten]
        mends += [_make_due(keys, member) for member in members]
        findings.append(Finding(breach, _all(mends), frozenset((*forgotten, *members))))
    return {(breach, evidence): mend for breach, mend, evidence in findings}


def _findings(keys: Keys, state: StoredState) -> Iterator[Finding]:
    orphans: dict[Quoted, list[str]] = defaultdict(list)
    for id, text in state.parked.items():
        orphans[Quoted(text.partition(" ")[2])].append(id)
    for id in state.unreadable:
        what = "Its entry can't be read: it goes to the dead letters when its turn comes."
        yield Finding(Breach("unreadable", "", task_of(id), what, ""))
    for group, line in unusual_lines(state, orphans):
        stored = state.stored.get(group, StoredGroup())
        for flight in stored.flights:
            yield from _flight_findings(keys, state, stored, flight)
        yield from _over_concurrency(keys, state, group, stored)
        yield from _lonely_followers(keys, group, stored)
        yield from _flag_findings(keys, state, group, stored)
        yield from _group_findings(keys, state, group, stored, line)
        yield from _count_findings(keys, state, group, stored, line, orphans.get(group, []))
    for group, ids in orphans.items():
        for id in ids:
            what, mended = "It stands in no line and has no ETA.", "It joins the tail of its line."
            yield Finding(
                Breach("orphan", unquote(group), task_of(id), what, mended), _make_due(keys, f"e {group} {id}")
            )
    yield from _lonely_tickets(keys, state)
    for name in sorted(state.cut_off.keys()):
        member = f"d {state.cut_off[name]} {name.rpartition(':')[2]}"
        if member not in state.due:
            what = "A part of its line is cut off, and nobody cancels its tasks."
            mended = "The next sweep cancels them."
            yield Finding(Breach("cut_off", unquote(state.cut_off[name]), "", what, mended), _make_due(keys, member))


# -- repairs ---------------------------------------------------------------


def _write(build: Callable[[Any, int], object]) -> Repair:
    """Return a repair by commands, given the time in ms."""

    def mend(reader: Reader) -> None:
        now = int(reader.now())
        reader.ask("repair", lambda pipe: build(pipe, now))

    return mend


def _make_due(keys: Keys, member: str) -> Repair:
    """Return a repair by the next sweep, unless the member is in `due` already."""
    return _write(lambda pipe, now: pipe.zadd(keys.due, {member: due_score(member, now)}, nx=True))


def _forget(key: str, member: str) -> Repair:
    return _write(lambda pipe, now: pipe.zrem(key, member))


def _mend_turn(keys: Keys, member: str, adds: bool) -> Repair:
    """Return the repair of a member of a tenant; the next sweep looks at the tenant's row."""
    line = "f " + " ".join(member.split(" ")[1:3])

    def build(pipe: Any, now: int) -> None:
        if member[0] == "\x7f":
            pipe.zadd(keys.on_the_way, {member: 0}) if adds else pipe.zrem(keys.on_the_way, member)
        pipe.zadd(keys.due, {line: due_score(line, now)})

    return _write(build)


def _forget_identity(keys: Keys, field: str) -> Repair:
    return _write(lambda pipe, now: pipe.hdel(keys.begins, field))


def _leave_line(keys: Keys, group: Quoted, item: str) -> Repair:
    return _write(lambda pipe, now: pipe.lrem(keys.line(group), 0, item))


def _correct(keys: Keys, group: Quoted, word: str, seen: object, right: object) -> Repair:
    """Return the correction of a word in the group's state, see lua/mend.lua."""
    return lambda reader: reader.gate.store.run("mend", keys, [], [group, word, str(seen), str(right)])


def _recall(keys: Keys, flight: Flight) -> Repair:
    args = [flight.id, flight.group]
    return lambda reader: reader.gate.store.run("recall", keys, [keys.line(flight.group)], [*args, 1])


def _all(mends: list[Repair]) -> Repair:
    return lambda reader: [mend(reader) for mend in mends]


# -- invariants ------------------------------------------------------------


def _flight_findings(keys: Keys, state: StoredState, stored: StoredGroup, flight: Flight) -> Iterator[Finding]:
    group, id = flight.group, flight.id

    def finding(name: str, what: str, repair: str = "", mend: Repair | None = None) -> Finding:
        return Finding(Breach(name, unquote(group), flight.task_id, what, repair), mend)

    if not state.knows(id):
        yield from _lonely_record(keys, flight)
    elif not state.flying.get(id, f" {group}").endswith(f" {group}"):
        yield finding("group", "It is under way in a group that is not its own.")
    if id in state.delayed and state.delayed[id] == group:
        remove = _forget(keys.due, f"e {group} {id}")
        yield finding("twice", "It is under way, and waits for its ETA, too.", "It waits for no ETA.", remove)
    if flight.state == "running":
        yield from _run_findings(keys, state, flight)
    elif flight.state == "released":
        member = f"{flight.queue} {flight.release} {group}"
        if member not in state.on_the_way and f"r {group} {id}" not in state.due:
            what, repair = "It is released, but its ticket is not known.", "It is released again."
            yield finding("ticket", what, repair, _make_due(keys, f"r {group} {id}"))
    elif flight.stop in ("-", LIMITED, "b" not in stored.flags and HALTED) and hold_of(flight) not in state.due:
        what, repair = "It is held without a time at which it goes out.", "It goes out now."
        yield finding("hold", what, repair, _make_due(keys, hold_of(flight)))
    if flight.stop == "p" and "p" not in stored.flags:
        what, repair = "It is stopped by a pause, but its group is not paused.", "Its group is paused: resume it."
        yield finding("stop", what, repair, _set_flag(keys, group, stored, "p", "found stopped without a pause"))
    if flight.stop == "b" and flight.due is not None and hold_of(flight) not in state.due:
        what, repair = "It blocks its group for a time, and nothing ends that.", "The next sweep ends it."
        yield finding("block", what, repair, _make_due(keys, hold_of(flight)))
    if flight.stop == "b" and "b" not in stored.flags:
        what, repair = "It has failed and blocks its group, but the group is not blocked.", "The group is blocked."
        mend = _set_flag(keys, group, stored, "b", "found blocked without a word", task_id=flight.task_id)
        yield finding("halt", what, repair, mend)


def _run_findings(keys: Keys, state: StoredState, flight: Flight) -> Iterator[Finding]:
    """Yield what would keep a run from being taken back when its worker is lost."""
    owner, run = flight.owner, f"{flight.group} {flight.id}"
    if not set(members_of(flight)) & state.due:
        what, repair = "It runs on a worker without a lease that ends.", "That lease ends now, unless it is renewed."
        breach = Breach("lease", unquote(flight.group), flight.task_id, what, repair)
        yield Finding(breach, _make_due(keys, members_of(flight)[0]))
    if run not in state.runs.get(owner, ()) and flight.stop != FOLLOWS:
        lane, said = str(flight.fence), f"{flight.call} {run} -"  # no worker counts its lanes up to a fence
        runs = keys.runs(owner)
        what, repair = "It runs, but is not among the runs of its worker.", "It is one of them."
        breach = Breach("runs", unquote(flight.group), flight.task_id, what, repair)
        yield Finding(breach, _write(lambda pipe, now: pipe.hsetnx(runs, lane, said).persist(runs)))


def _lonely_record(keys: Keys, flight: Flight) -> Iterator[Finding]:
    """Yield the breach of an entry under way without a message."""
    breach = Breach("message", unquote(flight.group), flight.task_id, "It is under way, but its message is gone.", "")
    if flight.state == "running":
        what = f"{breach.what} It ends normally unless its worker is lost."
        yield Finding(replace(breach, what=what))
    else:
        member = f"{'r' if flight.state == 'released' else 'h'} {flight.group} {flight.id}"
        repair = "It goes to the dead letters, and its group goes on."
        yield Finding(replace(breach, repair=repair), _make_due(keys, member))


def _over_concurrency(keys: Keys, state: StoredState, group: Quoted, stored: StoredGroup) -> Iterator[Finding]:
    """Yield breaches for a group with too many entries under way. Running ones stay; of the others, the oldest.

    A group whose limits allow several may have more than they say by now, as they may change at any time.
    """
    if COMPANY in stored.flags:
        return
    known = [flight for flight in stored.flights if state.knows(flight.id) and flight.stop != FOLLOWS]
    known.sort(key=lambda flight: (flight.state != "running", flight.release))
    for flight in known[1:]:
        breach = Breach("concurrency", unquote(group), flight.task_id, f"It is one of {len(known)} under way.", "")
        if flight.state == "running":
            what = f"{breach.what} It runs, and the group goes on when all have ended, or their workers are lost."
            yield Finding(replace(breach, what=what))
        else:
            repair = "It goes back to the front of its line."
            yield Finding(replace(breach, repair=repair), _recall(keys, flight))


def _lonely_followers(keys: Keys, group: Quoted, stored: StoredGroup) -> Iterator[Finding]:
    """Yield the breach of a group whose entries under way all follow another one: a batch without its first task."""
    if stored.flights and all(flight.stop == FOLLOWS for flight in stored.flights) and "p" not in stored.flags:
        what, mended = "Its tasks under way follow one that is not there.", "The first of them goes out."
        breach = Breach("batch", unquote(group), stored.flights[0].task_id, what, mended)
        yield Finding(breach, _make_due(keys, f"a {group}"))


def _group_findings(
    keys: Keys, state: StoredState, group: Quoted, stored: StoredGroup, line: Line
) -> Iterator[Finding]:
    def finding(name: str, what: str, repair: str = "", mend: Repair | None = None) -> Finding:
        return Finding(Breach(name, unquote(group), "", what, repair), mend)

    on = f"a {group}"
    if stored.unreadable:
        what = "It is under way, but its record can't be read."
        repair = "It goes to the dead letters, and its group goes on."
        ids = [id for text in stored.unreadable for id in text.split(" ") if id in state.flying]
        for id in ids or [""]:
            yield Finding(Breach("record", unquote(group), task_of(id), what, repair), _make_due(keys, on))
        return
    known = any(state.knows(flight.id) for flight in stored.flights)
    if line.standing and not stored.flights and not set("pb") & set(stored.flags) and on not in state.due:
        what, repair = "Tasks stand in its line, and nothing of it is under way.", "Its next head goes out."
        yield finding("stuck", what, repair, _make_due(keys, on))
    held = line.standing or known or stored.aside or stored.flights
    if not held and "p" not in stored.flags and on not in state.due:
        if line.places:
            what, repair = "Its line holds places of tasks that are gone.", "The next sweep removes them."
            yield finding("places", what, repair, _make_due(keys, on))
        elif group in state.stored and not set("bdl") & set(stored.flags):
            what, repair = "It holds no task, and is still known.", "The next sweep forgets it."
            yield finding("left", what, repair, _make_due(keys, on))
    for item in line.twice:
        id = item.partition(" ")[2]
        where = "is under way" if id in state.flying else "waits for its ETA"
        breach = Breach("twice", unquote(group), task_of(id), f"It stands in its line, and {where}, too.", "")
        if id in state.flying:
            yield Finding(replace(breach, repair="Its place in line is removed."), _leave_line(keys, group, item))
        else:
            yield Finding(replace(breach, repair="It waits for no ETA."), _forget(keys.due, f"e {group} {id}"))


def _count_findings(
    keys: Keys, state: StoredState, group: Quoted, stored: StoredGroup, line: Line, orphans: list[str]
) -> Iterator[Finding]:
    """Yield wrong numbers in a group's state. A repaired orphan is one that waits for its ETA."""
    if stored.unreadable:
        return
    part = state.parts.get(group, Line())
    aside = state.counts[group] + part.standing + len(orphans)
    if stored.aside != aside:
        what = f"It counts {stored.aside} tasks that wait for an ETA or are cut off, but has {aside}."
        breach = Breach("aside", unquote(group), "", what, "The number is corrected.")
        yield Finding(breach, _correct(keys, group, "aside", stored.aside, aside), frozenset(orphans))
    if stored.empty != line.empty and (group in state.stored or line.standing):
        what = f"It counts {stored.empty} empty places in its line, which has {line.empty}."
        breach = Breach("empty", unquote(group), "", what, "The number is corrected.")
        yield Finding(breach, _correct(keys, group, "empty", stored.empty, line.empty))
    parts = sum(name == group for name in state.cut_off.values()) if "c" in stored.flags or state.cut_off else 0
    if stored.flags.count("c") != parts:
        right = stored.flags.replace("c", "") + parts * "c"
        what = f"It counts {stored.flags.count('c')} parts that are cut off its line, but has {parts}."
        breach = Breach("parts", unquote(group), "", what, "The number is corrected.")
        yield Finding(breach, _correct(keys, group, "flags", stored.flags or "-", right or "-"))


# -- flags -----------------------------------------------------------------


def _set_flag(keys: Keys, group: Quoted, stored: StoredGroup, letter: str, reason: str, **more: str) -> Repair:
    said = json.dumps({"reason": reason, "by": "verify", **more})

    def build(pipe: Any, now: int) -> None:
        pipe.hsetnx(keys.flags, f"{letter} {group}", said)
        if letter == "p":
            pipe.zadd(keys.paused, {group: now})

    if letter in stored.flags:
        return _write(build)
    return _all([_write(build), _correct(keys, group, "flags", stored.flags or "-", stored.flags + letter)])


def _clear_flag(keys: Keys, group: Quoted, stored: StoredGroup, letter: str) -> Repair:
    forget = _write(lambda pipe, now: pipe.hdel(keys.flags, f"{letter} {group}"))
    if letter not in stored.flags:
        return forget
    right = stored.flags.replace(letter, "") or "-"
    return _all([forget, _correct(keys, group, "flags", stored.flags, right)])


def _flag_findings(keys: Keys, state: StoredState, group: Quoted, stored: StoredGroup) -> Iterator[Finding]:
    def finding(name: str, what: str, repair: str = "", mend: Repair | None = None) -> Finding:
        return Finding(Breach(name, unquote(group), "", what, repair), mend)

    if stored.unreadable:
        return
    for letter, flag in (*FLAG_LETTERS.items(), (LIMITED, "limited")):
        said, has = f"{letter} {group}" in state.flags, letter in stored.flags
        if has and not said and letter == LIMITED:
            mend = _clear_flag(keys, group, stored, letter)
            yield finding("reason", "It is limited, and nobody has said how.", "The limits of its tasks count.", mend)
        elif has and not said:
            mend = _set_flag(keys, group, stored, letter, "found without a reason")
            yield finding("reason", f"It is {flag}, and nobody has said so.", "The reason says that.", mend)
        elif said and not has:
            mend = _clear_flag(keys, group, stored, letter)
            yield finding("reason", f"Somebody has said why it is {flag}, but it is not.", "That is removed.", mend)
    line = state.lines[group]
    holds = line.standing or stored.aside or any(state.knows(flight.id) for flight in stored.flights)
    for letter in "db":
        if letter in stored.flags and not holds and f"a {group}" not in state.due:
            mend = _clear_flag(keys, group, stored, letter)
            what = f"It is {FLAG_LETTERS[letter]}, and holds no task."
            yield finding("flag", what, "The flag is removed: it takes tasks again.", mend)
    if "b" in stored.flags and holds and not any(flight.stop == "b" for flight in stored.flights):
        mend = _clear_flag(keys, group, stored, "b")
        yield finding("blocked", "It is blocked, and no task of it has failed.", "The flag is removed.", mend)
    if ("p" in stored.flags) != (group in state.paused):
        paused = "p" in stored.flags

        def list_again(pipe: Any, now: int) -> None:
            pipe.zadd(keys.paused, {group: now}) if paused else pipe.zrem(keys.paused, group)

        at = "paused, but not listed so" if paused else "listed as paused, but is not"
        yield finding("paused_list", f"It is {at}.", "The list is set right.", _write(list_again))


def _unmarked(keys: Keys, group: Quoted, stored: StoredGroup) -> Finding:
    what, repair = "Tasks of it wait to be sorted, and its state does not say so.", "It says so."
    mend = _correct(keys, group, "flags", stored.flags or "-", stored.flags + SORTED)
    return Finding(Breach("order", unquote(group), "", what, repair), mend)


def _lonely_tickets(keys: Keys, state: StoredState) -> Iterator[Finding]:
    """Yield tickets that no head waits for."""
    known = {
        f"{flight.queue} {flight.release} {group}"
        for group, stored in state.stored.items()
        for flight in stored.flights
        if flight.state == "released"
    }
    for member in state.on_the_way - known:
        key = unquote(member.rpartition(" ")[2])
        breach = Breach("heads", key, "", "A ticket is on its way that is of no head.", "It is forgotten.")
        yield Finding(breach, _forget(keys.on_the_way, member), frozenset([member]))
