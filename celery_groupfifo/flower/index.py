"""The index of all groups of a gate, with few data of each, so that a page can sort, search and filter over them.

Redis has no order by age or state and no search, so four small values of every group are read in long round trips. The
few groups on a page are read again for it, see data.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from celery_groupfifo.gate.keys import Keys, Quoted, unquote
from celery_groupfifo.gate.records import Flight
from celery_groupfifo.groups.listing import STATES
from celery_groupfifo.groups.reader import FLAGS, Reader, state_of

#: Groups per call.
CHUNK = 2000


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
        flights: Its entries in flight.
    """

    at: int
    name: Quoted
    key: str
    depth: int
    state: str = "held"
    since: float = 0
    flights: list[Flight] = field(default_factory=list)

    @property
    def running(self) -> list[Flight]:
        """Return the entries that run."""
        return [flight for flight in self.flights if flight.state == "running"]

    @property
    def worker(self) -> str:
        """Return the worker of its first run; empty when none runs."""
        running = self.running
        return running[0].worker if running else ""


@dataclass(frozen=True, slots=True)
class Index:
    """The groups of a gate at about one moment.

    Attributes:
        rows: One per group.
        now: Time of the reading, ms of Redis.
        states: Number of groups in each state.
    """

    rows: list[Row]
    now: float
    states: dict[str, int]

    def select(self, search: str = "", state: str = "") -> list[Row]:
        """Return groups in a state whose key, running task's id or worker contains a text, in any letter case."""
        wanted = search.casefold()
        rows: Iterable[Row] = self.rows
        if state:
            rows = (row for row in rows if row.state == state)
        return [row for row in rows if not wanted or _holds(row, wanted)]

    @property
    def oldest(self) -> float | None:
        """Return the longest waiting time of a group, in seconds."""
        since = min((row.since for row in self.rows if row.since), default=None)
        return None if since is None else max(self.now - since, 0) / 1000


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
    for at, keys in enumerate(reader.partitions):
        found = {row.name: row for row in _groups(reader, at, keys)}
        _take_flights(reader, keys, found)
        _take_flags(reader, keys, found, at)
        rows += found.values()
    return Index(rows, now, dict(Counter(row.state for row in rows)))


def _groups(reader: Reader, at: int, keys: Keys) -> Iterator[Row]:
    for page in reader.scan("zscan", keys.depth, CHUNK):
        names = [name for name, _ in page]
        if names:
            lines = [keys.line(Quoted(name)) for name in names]
            ages = reader.gate.store.run("ages", keys, lines, [len(names), *names])
            for (name, depth), since in zip(page, ages, strict=True):
                # In line and nothing in flight: the next sweep lets it go on. Not in line: an ETA has not come.
                yield Row(at, Quoted(name), unquote(name), int(depth), "waiting" if since else "held", since)


def _take_flights(reader: Reader, keys: Keys, rows: dict[Quoted, Row]) -> None:
    for page in reader.scan("hscan", keys.flight, CHUNK):
        for id, text in page:
            flight = Flight.parse(id, text)
            if flight is not None and flight.group in rows:
                rows[flight.group].flights.append(flight)
    for row in rows.values():
        if row.flights:
            row.flights.sort(key=lambda flight: flight.release)
            row.state = state_of(row.flights, row.state)
            row.since = row.since or row.flights[0].since


def _take_flags(reader: Reader, keys: Keys, rows: dict[Quoted, Row], at: int) -> None:
    """Set the states from flags of operators and failures; a paused group is listed while it is empty, too."""
    for name in (Quoted(each.decode()) for each in reader.one("zrange", keys.paused, 0, -1)):
        rows.setdefault(name, Row(at, name, unquote(name), 0, "paused")).state = "paused"
    names = list(rows)
    for start in range(0, len(names), CHUNK):
        chunk = names[start : start + CHUNK]

        def build(pipe: Any, chunk: list[Quoted] = chunk) -> None:
            for name in chunk:
                pipe.hmget(keys.group(name), FLAGS)

        for name, flags in zip(chunk, reader.ask("flags", build), strict=True):
            state = next((flag for flag, text in zip(FLAGS, flags, strict=True) if text is not None), None)
            if state is not None:
                rows[name].state = state


__all__ = ["ORDERS", "Index", "Row", "read_index"]
