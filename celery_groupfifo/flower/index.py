"""The index of all groups of a gate, with few data of each, so that a page can sort, search and filter over them.

Redis has no order by age or state and no search, so a few small values of every group are read, see `Reader.survey`.
The few groups on a page are read again for it, see data.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from celery_groupfifo.gate.keys import Keys, Quoted, due_score, unquote
from celery_groupfifo.gate.records import Flight
from celery_groupfifo.groups.listing import STATES
from celery_groupfifo.groups.reader import FLAGS, STATES_IN_FLIGHT, Reader, Surveyed

#: States of groups by the letters of flags and of entries in flight, the strongest first.
_LETTERS = {state[0]: state for state in (*FLAGS, *STATES_IN_FLIGHT.values())}


@dataclass(slots=True)
class Row:
    """A group in the index.

    Attributes:
        at: Number of its partition.
        name: Of the group, quoted.
        key: As the user gave it.
        depth: All of its tasks at the gate.
        state: See `Group.state`.
        since: Time when its oldest task in line was parked, or its head came into its state; ms of Redis, 0: unknown.
        running: Its entries that run, the oldest first.
    """

    at: int
    name: Quoted
    key: str
    depth: int
    state: str = "held"
    since: int = 0
    running: tuple[Flight, ...] = ()

    @property
    def worker(self) -> str:
        """Return the worker of its first run; empty when none runs."""
        return self.running[0].worker if self.running else ""


@dataclass(frozen=True, slots=True)
class Index:
    """The groups of a gate at about one moment.

    Attributes:
        rows: One per group, in the order of their keys.
        now: Time of the reading, ms of Redis.
        states: Number of groups in each state.
        tasks: Parked and in flight.
        in_flight: Entries in flight.
        running: Entries that run.
        oldest: The longest waiting time of a group, in seconds.
    """

    rows: list[Row]
    now: float
    states: dict[str, int]
    tasks: int
    in_flight: int
    running: int
    oldest: float | None

    def select(self, search: str = "", state: str = "") -> list[Row]:
        """Return groups in a state whose key, running task's id or worker contains a text, in any letter case."""
        wanted = search.casefold()
        rows: Iterable[Row] = self.rows
        if state:
            rows = (row for row in rows if row.state == state)
        return [row for row in rows if not wanted or _holds(row, wanted)]


def _holds(row: Row, wanted: str) -> bool:
    if wanted in row.key.casefold():
        return True
    return any(wanted in run.task_id.casefold() or wanted in run.worker.casefold() for run in row.running)


#: The orders of a table. An unknown age comes last when the oldest come first.
ORDERS: dict[str, Callable[[Row], Any]] = {
    "key": lambda row: row.key,
    "state": lambda row: STATES.index(row.state) if row.state in STATES else len(STATES),
    "depth": lambda row: row.depth,
    "worker": lambda row: row.worker,
    "age": lambda row: -row.since if row.since else float("-inf"),
}


def read_index(reader: Reader) -> Index:
    """Read all groups.

    Args:
        reader: Of the gate.

    Raises:
        GateUnavailable: Redis can't be reached.
    """
    now = reader.now()
    rows: list[Row] = []
    in_flight = running = 0
    for at, keys in enumerate(reader.partitions):
        found, flying = reader.survey(keys, ["ages", "states"], partial(_rows, at))
        _take_paused(reader, keys, found, at)
        running += _take_runs(reader, keys, found)
        rows += found.values()
        in_flight += flying
    rows.sort(key=lambda row: row.key)
    since = min((row.since for row in rows if row.since), default=None)
    oldest = None if since is None else max(now - since, 0) / 1000
    states = dict(Counter(row.state for row in rows))
    return Index(rows, now, states, sum(row.depth for row in rows), in_flight, running, oldest)


def _rows(at: int, pages: Iterator[Surveyed]) -> tuple[dict[str, Row], int]:
    """Return the rows of a partition by their groups, and the number of entries in flight."""
    rows, flying = {}, 0
    for page in pages:
        ages, words = page.words
        for name, depth, parked, flags, since, count in zip(
            page.names, page.depths, ages, words[::3], words[1::3], words[2::3], strict=True
        ):
            flying += int(count)
            at_ms = int(parked) or int(since)
            rows[name] = Row(at, Quoted(name), unquote(name), int(depth), _state(flags, parked != "0"), at_ms)
    return rows, flying


def _state(flags: str, in_line: bool) -> str:
    """Return the state of a group from its letters, see lua/states.lua."""
    for letter, state in _LETTERS.items():
        if letter in flags:
            return state
    # In line and nothing in flight: the next sweep lets it go on. Not in line: an ETA has not come.
    return "waiting" if in_line else "held"


def _take_paused(reader: Reader, keys: Keys, rows: dict[str, Row], at: int) -> None:
    """Add paused groups that are empty."""
    for page in reader.by_score(keys.paused, 0, "+inf"):
        for name in page:
            if name not in rows:
                rows[name] = Row(at, Quoted(name), unquote(name), 0, "paused")


def _take_runs(reader: Reader, keys: Keys, rows: dict[str, Row]) -> int:
    """Add the entries that run, which have a lease, and return their number."""
    runs: dict[str, dict[str, Flight]] = {}
    for page in reader.by_score(keys.due, due_score("l", 0), f"({due_score('h', 0)}"):
        ids = [member[2:] for member in page]
        for id, text in zip(ids, reader.many("hmget", keys.flight, ids), strict=True):
            flight = Flight.parse(id, text)
            if flight is not None and flight.state == "running" and flight.group in rows:
                runs.setdefault(flight.group, {})[id] = flight
    for name, flights in runs.items():
        rows[name].running = tuple(sorted(flights.values(), key=lambda flight: flight.fence))
    return sum(len(flights) for flights in runs.values())


__all__ = ["ORDERS", "Index", "Row", "read_index"]
