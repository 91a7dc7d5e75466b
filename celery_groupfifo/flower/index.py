"""The index of all groups of a gate, with few data of each, so that a page can sort, search and filter over them.

Redis has no order by age or state and no search, so a few small values of every group are read, see `Reader.survey`.
The few groups on a page are read again for it, see data.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from celery_groupfifo.gate import counts
from celery_groupfifo.gate.keys import Keys, Quoted, unquote
from celery_groupfifo.gate.records import Flight
from celery_groupfifo.groups.listing import STATES
from celery_groupfifo.groups.reader import FLAGS, Reader, Surveyed


@dataclass(slots=True)
class Row:
    """A group in the index.

    Attributes:
        at: Number of its partition.
        name: Of the group, quoted.
        key: As the user gave it.
        depth: All of its tasks at the gate.
        state: See `Group.state`.
        since: Time since when its oldest task waits, or its head runs; ms of Redis, 0: unknown.
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

    def select(self, search: str = "", state: str = "", holders: Collection[str] = ()) -> list[Row]:
        """Return groups in a state whose key, running task's id or worker contains a text, in any letter case.

        Args:
            search: The text.
            state: The state; empty: any.
            holders: Keys of groups that match the text as they hold a task with this id.
        """
        wanted = search.casefold()
        rows: Iterable[Row] = self.rows
        if state:
            rows = (row for row in rows if row.state == state)
        return [row for row in rows if not wanted or _holds(row, wanted) or row.key in holders]


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
        found, flying = reader.survey(keys, partial(_rows, at))
        running += _take_runs(reader, keys, found)
        rows += found.values()
        in_flight += flying
    rows.sort(key=lambda row: row.key)
    since = min((row.since for row in rows if row.since), default=None)
    oldest = None if since is None else max(now - since, 0) / 1000
    states = dict(Counter(row.state for row in rows))
    return Index(rows, now, states, sum(row.depth for row in rows), in_flight, running, oldest)


def _rows(at: int, groups: Iterator[Surveyed]) -> tuple[dict[Quoted, Row], int]:
    """Return the rows of a partition by their groups, and the number of entries in flight."""
    rows: dict[Quoted, Row] = {}
    flying = 0
    for group in groups:
        if group.depth or group.state in FLAGS:
            flying += group.flying
            row = Row(at, group.name, unquote(group.name), group.depth, group.state, group.since)
            rows[group.name] = row
    return rows, flying


def _take_runs(reader: Reader, keys: Keys, rows: dict[Quoted, Row]) -> int:
    """Add the entries that run, and return their number."""
    runs: dict[Quoted, list[Flight]] = {}
    for flight in counts.read(reader.ask, keys).running:
        if flight.group in rows:
            runs.setdefault(flight.group, []).append(flight)
    for name, flights in runs.items():
        rows[name].running = tuple(sorted(flights, key=lambda flight: flight.fence))
    return sum(map(len, runs.values()))


__all__ = ["ORDERS", "Index", "Row", "read_index"]
