"""The stored state of a partition, as read once for `verify`: entries, groups, lines, and what names them.

Each is read in pages, so that no call keeps Redis long.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from celery_groupfifo.gate.keys import Keys, Quoted, quote, stands_in
from celery_groupfifo.gate.records import Flight, StoredGroup
from celery_groupfifo.gate.stream import pack_each
from celery_groupfifo.groups.reader import Arguments, Reader

#: Keys, records or places per round trip.
CHUNK = 500
#: Entries per call, during which Redis serves no other client: of the first call, of any, and bytes of their messages.
#: Nobody knows how long the messages are before some were read, so the first calls read few.
FIRST, CENSUS, BYTES = 10, 100, 500_000
#: Groups whose lines are asked for together, each by a command of its own.
GROUPS = 100
#: Workers per round trip.
WORKERS = 100


@dataclass(slots=True)
class Line:
    """The places of a line, or of the parts that are cut off it.

    Attributes:
        places: True when it has any.
        standing: Entries that stand there.
        empty: Places whose entry was revoked.
        twice: Places of entries that are somewhere else, too.
    """

    places: bool = False
    standing: int = 0
    empty: int = 0
    twice: list[str] = field(default_factory=list)


@dataclass(slots=True)
class StoredState:
    """The state of a partition; names are quoted.

    Attributes:
        began: Time of the reading, in µs.
        parked: "<parked µs> <group>" of the entries that were found nowhere. Texts, as tuples cost the collector of
            garbage as much time as everything else.
        flying: The same of those under way.
        unreadable: Entries that can't be read.
        stand_ins: Entries of tasks with several keys in their other groups.
        stored: Groups that have a state.
        due: The members of `due`.
        delayed: Entries whose ETA has not come, each with its group.
        counts: Of these, for each group.
        flags: Fields of `flags`.
        on_the_way: The members of `on_the_way`.
        turns: Those of tenants among them, see lua/lib/fair.lua.
        paused: The index of paused groups.
        runs: "<group> <entry>" of the runs of each worker.
        lines: Of groups.
        cut_off: Lists that are cut off, each with its group, and what stands in those of a group.
    """

    began: int = 0
    parked: dict[str, str] = field(default_factory=dict)
    flying: dict[str, str] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    stand_ins: set[str] = field(default_factory=set)
    stored: dict[Quoted, StoredGroup] = field(default_factory=dict)
    due: set[str] = field(default_factory=set)
    delayed: dict[str, Quoted] = field(default_factory=dict)
    counts: Counter[Quoted] = field(default_factory=Counter)
    flags: set[str] = field(default_factory=set)
    on_the_way: set[str] = field(default_factory=set)
    turns: set[str] = field(default_factory=set)
    paused: set[Quoted] = field(default_factory=set)
    runs: dict[Quoted, set[str]] = field(default_factory=dict)
    lines: dict[Quoted, Line] = field(default_factory=dict)
    cut_off: dict[str, Quoted] = field(default_factory=dict)
    parts: dict[Quoted, Line] = field(default_factory=dict)

    def knows(self, id: str) -> bool:
        """Return whether there is an entry under way of this name."""
        return id in self.flying or id in self.unreadable


def read(reader: Reader, keys: Keys) -> StoredState:
    """Read the state: entries first, so that one that moves meanwhile is found where it came to."""
    state = StoredState(began=int(reader.now(keys) * 1000))
    _read_entries(reader, keys, state)
    for name, text in _scan(reader, keys, "HSCAN", keys.groups):
        state.stored[Quoted(name)] = StoredGroup.parse(Quoted(name), text)
    state.due = {name for name, _ in _scan(reader, keys, "ZSCAN", keys.due)}
    for name, _ in _scan(reader, keys, "ZSCAN", keys.on_the_way):
        (state.turns if name.startswith("\x7f") else state.on_the_way).add(name)
    state.flags = {name for name, _ in _scan(reader, keys, "HSCAN", keys.flags)}
    state.paused = {Quoted(name) for name, _ in _scan(reader, keys, "ZSCAN", keys.paused)}
    flights = [flight for stored in state.stored.values() for flight in stored.flights]
    unreadable = [word for stored in state.stored.values() for text in stored.unreadable for word in text.split(" ")]
    for id in (*(flight.id for flight in flights), *unreadable):
        if (known := state.parked.pop(id, None)) is not None:
            state.flying[id] = known
    _read_runs(reader, keys, state, flights)
    for member in state.due:
        kind, name, *rest = member.split(" ")
        if kind == "e" and rest:
            state.delayed[rest[0]] = Quoted(name)
        elif kind == "d" and rest:
            state.cut_off[keys.cut_off(Quoted(name), rest[0])] = Quoted(name)
    names = state.stored.keys() | state.paused | {Quoted(text.partition(" ")[2]) for text in state.parked.values()}
    names |= {Quoted(flag.partition(" ")[2]) for flag in state.flags}
    names |= set(_left(reader, keys, state))
    for key, name in state.cut_off.items():
        part = state.parts.setdefault(name, Line())
        for page in reader.places(key):
            _take_places(state, name, part, page)
    _read_lines(reader, keys, state, sorted(names))
    for id, name in state.delayed.items():
        if state.parked.get(id, "").endswith(f" {name}"):
            del state.parked[id]
            state.counts[name] += 1
    return state


def _read_entries(reader: Reader, keys: Keys, state: StoredState) -> None:
    limit = FIRST

    def then(page: list[Any]) -> Arguments | None:
        nonlocal limit
        if entries := len(page) - 3 + len(page[2].splitlines()):
            limit = max(1, min(CENSUS, 2 * limit, entries * BYTES // max(page[1], 1)))
        return None if page[0] == b"0" else ([], [page[0], limit])

    for page in reader.chain("census", keys, ([], ["0", limit]), then):
        parked, *unreadable = [word.decode(errors="replace") for word in page[2:]]
        if parked:
            state.parked.update(line.split("\t") for line in parked.split("\n"))
            if stands_in(parked):
                state.stand_ins.update(id for line in parked.split("\n") if stands_in(id := line.partition("\t")[0]))
        state.unreadable.update(unreadable)


def _read_runs(reader: Reader, keys: Keys, state: StoredState, flights: Iterable[Flight]) -> None:
    owners = {flight.owner for flight in flights if flight.state == "running"}
    every = sorted(owners | {Quoted(member[2:]) for member in state.due if member[0] in "wv"})
    for start in range(0, len(every), WORKERS):
        some = every[start : start + WORKERS]

        def build(pipe: Any, some: list[Quoted] = some) -> None:
            for owner in some:
                pipe.hgetall(keys.runs(owner))

        for owner, lanes in zip(some, reader.ask("runs", build), strict=True):
            words = (said.decode().split(" ") for lane, said in lanes.items() if lane.isdigit())
            state.runs[owner] = {" ".join(known[1:3]) for known in words if len(known) == 4}


def _read_lines(reader: Reader, keys: Keys, state: StoredState, names: list[Quoted]) -> None:
    parts = [names[start : start + GROUPS] for start in range(0, len(names), GROUPS)]
    with reader.gate.store.at(keys).stream() as stream:
        for number in range(len(parts) + 1):
            if number < len(parts):  # asked for before the answers about the part before are read
                lines = [keys.line(name) for name in parts[number]]
                stream.send(pack_each("LRANGE", lines, "0", str(CHUNK - 1)))
            if number:
                before = parts[number - 1]
                for name, items in zip(before, stream.read(len(before)), strict=True):
                    _read_line(reader, keys, state, name, items)


def _read_line(reader: Reader, keys: Keys, state: StoredState, name: Quoted, items: list[bytes]) -> None:
    """Note a line, given its first places."""
    line = state.lines[name] = Line()
    start = 0
    while items:
        _take_places(state, name, line, items)
        start += CHUNK
        items = reader.one("lrange", keys.line(name), start, start + CHUNK - 1) if len(items) == CHUNK else []


def _take_places(state: StoredState, group: Quoted, line: Line, items: list[bytes]) -> None:
    """Note the places of a group's entries."""
    take, delayed, mine = state.parked.pop, state.delayed, f" {group}"
    line.places = line.places or bool(items)
    try:
        texts = [item.decode() for item in items]
    except UnicodeDecodeError:
        texts = [item.decode(errors="replace") for item in items]
    for item in texts:
        us, _, id = item.partition(" ")
        known = take(id, None)
        if known == us + mine:
            line.standing += 1
            if id in delayed:
                line.twice.append(item)
        else:
            _take_other(state, group, line, item, known)


def _take_other(state: StoredState, group: Quoted, line: Line, item: str, known: str | None) -> None:
    """Note a place whose entry does not wait there; `known` is what is known of an entry that waits elsewhere."""
    us, _, id = item.partition(" ")
    if known is not None:
        state.parked[id] = known
    if known is not None and known.startswith(f"{us} "):
        line.standing += 1  # in another line
    elif id in state.unreadable:
        line.standing += 1
    elif state.flying.get(id) == f"{us} {group}":
        line.twice.append(item)
    elif not us.isdigit() or int(us) <= state.began:  # a younger one was parked meanwhile
        line.empty += 1


def _scan(reader: Reader, keys: Keys, command: str, key: str) -> Iterator[tuple[str, bytes]]:
    with reader.gate.store.at(keys).stream() as stream:
        for items in stream.scan(command, key, CHUNK):
            yield from zip(map(bytes.decode, items[::2]), items[1::2], strict=True)


def _left(reader: Reader, keys: Keys, state: StoredState) -> Iterator[Quoted]:
    """Yield groups that have a line, and note the lists that are cut off. This walks over all keys."""
    line = keys.line(quote(""))
    cut_off = keys.cut_off(quote(""), "").removesuffix(":")
    match = re.sub(r"([*?\[\]\\])", r"\\\1", line.removesuffix("w:")) + "[dw]:*"
    with reader.gate.store.at(keys).stream() as stream:
        for page in stream.scan("SCAN", "", CHUNK, match):
            for name in map(bytes.decode, page):
                if name.startswith(line):
                    yield Quoted(name.removeprefix(line))
                else:
                    state.cut_off[name] = Quoted(name.removeprefix(cut_off).rpartition(":")[0])
