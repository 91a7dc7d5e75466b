"""The survey of groups: a few values of each, from a HSCAN over their states and a command or two on each line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from celery_groupfifo.gate.fronts import read_fronts
from celery_groupfifo.gate.keys import Keys, Quoted
from celery_groupfifo.gate.records import FLAG_LETTERS, STATES, Flight, PlaceInLine
from celery_groupfifo.gate.stream import Stream, pack_each
from celery_groupfifo.groups.view import InFlight, State

#: The stored states of entries in flight, the strongest first, and their names in views, of the entry and its group.
STATES_IN_FLIGHT: dict[str, InFlight] = {"running": "running", "released": "waiting", "held": "held"}


def state_of(flights: Iterable[Flight], without: InFlight) -> InFlight:
    """Return the state of a group that has no flag, by its entries in flight; `without` one of these."""
    states = {flight.state for flight in flights}
    return next((name for state, name in STATES_IN_FLIGHT.items() if state in states), without)


def oldest_since(states: str, parked: int, since: int) -> int:
    """Return since when the oldest task of a group waits (ms); without one, since when its head runs; 0: neither.

    Args:
        states: The letters of its entries under way: `r` runs; any other one waits.
        parked: Time when the first entry in line was parked; 0: none is in line.
        since: Time when its head came into its state; 0: none is under way.
    """
    if parked and since and "r" not in states:
        return min(parked, since)
    return parked or since


class Surveyed(NamedTuple):
    """A few values of a group, see `Reader.survey`.

    Attributes:
        name: Quoted.
        depth: All of its entries; without lengths, see `Look`, not 0 where it has any.
        state: See `Group.state`.
        flying: Entries under way.
        since: Since when it waits (ms), see `oldest_since`; without firsts, its head alone counts.
        letters: Of its flags, and of the states of its entries under way.
        head: Time when its head came into its state (ms); 0: none is under way.
    """

    name: Quoted
    depth: int
    state: State
    flying: int
    since: int
    letters: str = ""
    head: int = 0


#: Groups per HSCAN, during which Redis serves no other client.
PAGE = 400


class Look(NamedTuple):
    """The things that a survey reads of each line: one short command for each.

    Attributes:
        lengths: The number of its places. Without it one place stands for any number of them.
        firsts: Since when its first entry waits.
    """

    lengths: bool = False
    firsts: bool = False


LENGTHS, FIRSTS, EVERYTHING = Look(lengths=True), Look(firsts=True), Look(lengths=True, firsts=True)

_Page = tuple[list[str], list[bytes]]
"""The names of groups, and their texts."""


def survey(stream: Stream, keys: Keys, look: Look) -> Iterator[Surveyed]:
    """Return all groups of a partition, see `Reader.survey`. While Redis works on a page, the one before is read."""
    return chain.from_iterable(_pages(stream, keys, look))


def _pages(stream: Stream, keys: Keys, look: Look) -> Iterator[list[Surveyed]]:
    line = keys.line(Quoted(""))
    before: _Page | None = None
    for items in stream.scan("HSCAN", keys.groups, PAGE):
        page = [name.decode() for name in items[::2]], items[1::2]
        lines = [line + name for name in page[0]]
        if look.lengths:
            stream.send(pack_each("LLEN", lines))
        if look.firsts:
            stream.send(pack_each("LINDEX", lines, "0"))
        if before is not None:
            yield _surveyed(stream, before, look)
        before = page
    if before is not None:
        yield _surveyed(stream, before, look)


#: Makes one of its values, in a third of the time that its own name takes.
_new: Callable[[type[Surveyed], tuple[Any, ...]], Surveyed] = tuple.__new__


def _surveyed(stream: Stream, page: _Page, look: Look) -> list[Surveyed]:
    """Return the groups of a page; the answers about their lines come next."""
    names, texts = page
    lengths: list[int] | None = stream.read(len(names)) if look.lengths else None
    firsts = stream.read(len(names)) if look.firsts else [None] * len(names)
    every = zip(
        names, *read_fronts(texts), PlaceInLine.each_parked_ms(firsts), lengths or map(bool, firsts), strict=True
    )
    found = []
    for name, (letters, others, flying, strongest), head, parked, places in every:
        # Without a letter it is in line, and the next sweep lets it go on; or an ETA has not come.
        state = _STATES[strongest] if strongest else "waiting" if places else "held"
        depth = others + places
        if depth <= 0:
            if not letters:
                continue  # it has limits, and no entry
            depth = 0
        oldest = parked or head
        if parked and head and head < parked and "r" not in letters:
            oldest = head  # see `oldest_since`
        found.append(_new(Surveyed, (name, depth, state, flying, oldest, letters, head)))
    return found


#: States of groups by the letters of flags and of entries under way.
_STATES: dict[str, State] = {**FLAG_LETTERS, **{letter: STATES_IN_FLIGHT[state] for letter, state in STATES.items()}}
