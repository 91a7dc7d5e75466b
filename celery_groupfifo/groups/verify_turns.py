"""The check of turns, a part of `verify`: the tickets and the rows of tenants, see lua/lib/fair.lua."""

from __future__ import annotations

from collections.abc import Iterator

from celery_groupfifo.gate.keys import Keys, unquote
from celery_groupfifo.gate.records import FAIRLY, TURN, Fair, Flight, StoredEntry
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.state import StoredState
from celery_groupfifo.groups.view import Breach

#: Begin the members of a tenant: those of its tickets, and those of its row.
OUT, ROW = "\x7fo", "\x7fw"
#: Entries that are read at a time.
CHUNK = 500


def turn_breaches(reader: Reader, keys: Keys, state: StoredState) -> Iterator[tuple[Breach, str, bool]]:
    """Yield the breaches of turns, the member of each, and whether its repair adds that member."""
    right = _right(reader, keys, state)
    for member in sorted(state.turns - right.keys()):
        group = unquote(member.split(" ")[4])
        where = "counts for its tenant" if member.startswith(OUT) else "stands in its tenant's row"
        yield Breach("turn", group, "", f"It {where}, and is not there.", "It is forgotten."), member, False
    for member in sorted(right.keys() - state.turns):
        flight = right[member]
        counts = member.startswith(OUT)
        what = (
            "Its ticket does not count for its tenant."
            if counts
            else "It waits for its turn, and is not in its tenant's row."
        )
        repair = "It counts." if counts else "It is in that row."
        yield Breach("turn", unquote(flight.group), flight.task_id, what, repair), member, True
    for line in sorted({" ".join(member.split(" ")[1:3]) for member in state.turns if member.startswith(ROW)}):
        if f"f {line}" not in state.due:
            what = f"Heads of {unquote(line.split(' ')[1])!r} wait for their turns, and nothing looks at them."
            yield Breach("turns", "", "", what, "The next sweep does."), f"f {line}", True


def _right(reader: Reader, keys: Keys, state: StoredState) -> dict[str, Flight]:
    """Return the members that there should be, with their records."""
    flights = [
        flight
        for stored in state.stored.values()
        if FAIRLY in stored.flags
        for flight in stored.flights
        if flight.state == "released" or flight.stop == TURN
    ]
    found = {}
    for start in range(0, len(flights), CHUNK):
        some = flights[start : start + CHUNK]
        for flight, text in zip(some, reader.texts(keys, [flight.id for flight in some]), strict=True):
            entry = StoredEntry.parse(text)
            if entry is not None and (fair := Fair.parse(entry.limits)) is not None:
                kind = OUT if flight.state == "released" else ROW
                words = [kind, flight.queue, fair.key, flight.release, flight.group, flight.id]
                found[" ".join(map(str, words))] = flight
    return found
