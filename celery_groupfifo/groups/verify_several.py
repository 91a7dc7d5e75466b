"""The check of tasks with several keys, a part of `verify`: their places belong together; see lua/lib/stand_in.lua."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from celery_groupfifo.gate.keys import Keys, Quoted, task_of, unquote
from celery_groupfifo.gate.records import AWAITS, Flight
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.state import StoredState
from celery_groupfifo.groups.verify_identities import known_entries
from celery_groupfifo.groups.view import Breach

#: Fields of a hash that are read at a time.
CHUNK = 500
#: Stands for a task that was taken out, and whose own place is left behind.
GONE = "!"


class SeveralFinding(NamedTuple):
    """A breach, and its repair.

    Attributes:
        breach: The breach.
        forgotten: Fields that are removed.
        members: Of `due`, that a sweep is to look at.
    """

    breach: Breach
    forgotten: tuple[str, ...] = ()
    members: tuple[str, ...] = ()


def several_findings(reader: Reader, keys: Keys, state: StoredState) -> Iterator[SeveralFinding]:
    """Yield the breaches of places that do not belong to a task, or that a task waits for in vain.

    Args:
        reader: Reads the gate.
        keys: Of the partition.
        state: The partition, as it was read.
    """
    flights = {flight.id: flight for stored in state.stored.values() for flight in stored.flights}
    tasks: set[str] = set()
    for page in reader.scan("hscan", keys.begins, CHUNK):
        mine = {field[2:]: text.decode().split(" ") for field, text in page if field.startswith("k ")}
        tasks |= mine.keys()
        for name, known in zip(mine, known_entries(reader, keys, list(mine)), strict=True):
            places = [(f"{name};k{number}", Quoted(group)) for number, group in enumerate(mine[name], 1)]
            if not known:
                yield _gone(name, places, flights)
            elif mine[name] != [GONE]:
                yield from _waits(state, name, places, flights)
    for id in sorted(state.stand_ins):
        if id.rpartition(";k")[0] not in tasks:
            yield from _lonely(flights.get(id), id)


def _gone(name: str, places: list[tuple[str, Quoted]], flights: dict[str, Flight]) -> SeveralFinding:
    """Return the breach of places whose task is gone."""
    what, repair = "It is gone, and its places in other groups are kept.", "The next sweep removes them."
    members = [f"h {group} {id}" for id, group in places if id in flights]
    breach = Breach("elsewhere", "", task_of(name), what, repair)
    return SeveralFinding(breach, (f"k {name}",), (*members, *(f"a {group}" for _, group in places)))


def _waits(
    state: StoredState, name: str, places: list[tuple[str, Quoted]], flights: dict[str, Flight]
) -> Iterator[SeveralFinding]:
    """Yield the breach of a task that waits for its places in vain."""
    flight = flights.get(name)
    if flight is None or not _is_first(flight) or f"h {flight.group} {name}" in state.due:
        return
    if any(id in state.stand_ins and not _is_first(flights.get(id)) for id, _ in places):
        return
    lost = [unquote(group) for id, group in places if id not in state.stand_ins]
    what = f"It waits for its place in {lost[0]!r}, which is gone." if lost else "It is the first of all its groups."
    breach = Breach("waits", unquote(flight.group), task_of(name), what, "It goes out now.")
    yield SeveralFinding(breach, (), (f"h {flight.group} {name}",))


def _is_first(flight: Flight | None) -> bool:
    return flight is not None and flight.stop == AWAITS


def _lonely(flight: Flight | None, id: str) -> Iterator[SeveralFinding]:
    """Yield the breach of a stand-in without a task: one in line is removed when its turn comes."""
    breach = Breach("stand_in", "", task_of(id), "It is gone, and a stand-in of it is kept.", "")
    if flight is None:
        yield SeveralFinding(breach)
    else:
        repair = "The next sweep removes it."
        at = Breach(breach.name, unquote(flight.group), breach.task_id, breach.what, repair)
        yield SeveralFinding(at, (), (f"h {flight.group} {id}",))
