"""The tasks with several keys, as people see them: for what they wait, and what they are in their other groups."""

from __future__ import annotations

from collections.abc import Sequence

from celery_groupfifo.gate.keys import Keys, Quoted, stands_in, task_of, unquote
from celery_groupfifo.gate.records import AWAITS, HALTED, Flight, StoredEntry
from celery_groupfifo.groups import content
from celery_groupfifo.groups.reader import EntryInLine, Reader
from celery_groupfifo.groups.view import count


def task_texts(reader: Reader, keys: Keys, places: Sequence[EntryInLine]) -> list[bytes]:
    """Return the text of each task in a line: of a stand-in, that of its task."""
    names = [place.id.rpartition(";k")[0] for place in places if stands_in(place.id)]
    texts = iter(reader.texts(keys, names) if names else ())
    return [(next(texts) or b"") if stands_in(place.id) else place.text for place in places]


def awaited(reader: Reader, keys: Keys, head: Flight) -> str:
    """Return for what a head waits that has other places: a part of a sentence about its group.

    Args:
        reader: Reads the gate.
        keys: Of the partition.
        head: Held, as its task has other places.
    """
    entry = StoredEntry.parse(reader.texts(keys, [head.id])[0])
    if entry is None:
        return f"holds its head {task_of(head.id)}, whose message is gone: verify names the breach"
    if stands_in(head.id):
        group, _, name = entry.message.decode().partition(" ")
        return _of_stand_in(reader, keys, Quoted(group), name)
    groups = (reader.one("hget", keys.begins, f"k {head.id}") or b"").decode().split()
    waits = []
    for number, group in enumerate(groups, 1):
        if (said := _before(reader, keys, Quoted(group), f"{head.id};k{number}", entry.us)) is not None:
            waits.append(f"{unquote(group)!r}, {said}")
    named = _named(reader, keys, head.id)
    if not waits:
        return f"lets its head {named} go out as soon as any worker sweeps: it is the first of all its groups"
    return f"holds its head {named}: it waits until it is also the first in {' and in '.join(waits)}"


def _before(reader: Reader, keys: Keys, group: Quoted, place: str, us: str) -> str | None:
    """Return what is before a stand-in in its group; None: it is the head."""
    stored = reader.stored_groups(keys, [group])[group]
    mine = next((flight for flight in stored.flights if flight.id == place), None)
    if mine is not None:
        if mine.stop == HALTED:
            return "which another task blocks"
        return None if mine.stop == AWAITS else "which is paused"
    before = len(stored.flights) + (reader.place(keys, group, us, place) or 0)
    return f"where {count(before)} {'is' if before == 1 else 'are'} before it"


def _of_stand_in(reader: Reader, keys: Keys, group: Quoted, name: str) -> str:
    flights = reader.stored_groups(keys, [group])[group].flights
    flight = next((each for each in flights if each.id == name), None)
    stops = {
        "b": "has failed, and blocks it",
        "p": "waits, as that is paused",
        HALTED: "waits, as another one blocks that",
        AWAITS: "waits for its other places",
    }
    if flight is None:
        state = "is not its first one yet"
    elif flight.state == "running":
        state = f"runs there on {flight.worker} under fence {flight.fence}"
    elif flight.state == "released":
        state = "waits for a slot"
    else:
        state = stops.get(flight.stop, "is held there")
    return (
        f"waits for its head {_named(reader, keys, name)}, which belongs to group {unquote(group)!r}, too, and {state}"
    )


def _named(reader: Reader, keys: Keys, name: str) -> str:
    entry = content.read(reader.texts(keys, [name])[0] or b"")
    return f"{entry.task}[{task_of(name)}]" if entry and entry.task else f"task {task_of(name)}"
