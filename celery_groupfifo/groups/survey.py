"""The survey of groups: a few values of each, from a HSCAN over their states and a command or two on each line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from celery_groupfifo.gate.keys import Keys, Quoted
from celery_groupfifo.gate.records import FLAG_LETTERS, STATES, Flight, PlaceInLine, read_front
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
    """Yield all groups of a partition, see `Reader.survey`. While Redis works on a page, the one before is read."""
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
            yield from _surveyed(stream, before, look)
        before = page
    if before is not None:
        yield from _surveyed(stream, before, look)


def _surveyed(stream: Stream, page: _Page, look: Look) -> Iterator[Surveyed]:
    """Yield the groups of a page; the answers about their lines come next."""
    names, texts = page
    lengths = stream.read(len(names)) if look.lengths else None
    firsts = stream.read(len(names)) if look.firsts else [None] * len(names)
    for name, text, first, places in zip(names, texts, firsts, lengths or map(bool, firsts), strict=True):
        letters, others, head = read_front(text)
        state, flying = _read_letters(letters)
        if state is None:  # in line, and the next sweep lets it go on; or an ETA has not come
            state = "waiting" if places else "held"
        parked = PlaceInLine.parked_ms(first) if first else 0
        depth = others + places
        if depth <= 0 and not letters:
            continue  # it has limits, and no entry
        since = oldest_since(letters, parked, head)
        yield Surveyed(Quoted(name), depth if depth > 0 else 0, state, flying, since, letters, head)


#: States of groups by the letters of flags and of entries under way, the strongest first.
_LETTERS: dict[str, State] = {**FLAG_LETTERS, **{letter: STATES_IN_FLIGHT[state] for letter, state in STATES.items()}}


@lru_cache(maxsize=1024)
def _read_letters(letters: str) -> tuple[State | None, int]:
    """Return the state that letters tell, None when they tell none, and the number of entries under way."""
    state = next((state for letter, state in _LETTERS.items() if letter in letters), None)
    return state, sum(letter in STATES for letter in letters)
