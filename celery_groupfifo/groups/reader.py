"""The reader of groups: it runs pipelines of a few commands for each, never a scan of the database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from celery import Celery

from celery_groupfifo.gate.gate import Gate
from celery_groupfifo.gate.keys import Keys, Quoted, due_ms, due_score, entry_names, task_of, unquote
from celery_groupfifo.gate.records import Flight, StoredEntry
from celery_groupfifo.gate.releaser import ELSEWHERE
from celery_groupfifo.groups import content
from celery_groupfifo.groups.pace import Pace
from celery_groupfifo.groups.view import Group, Running, moment

#: Flags that operators and failures set on a group, the strongest first: each is a field of the group's hash.
FLAGS = ("paused", "blocked", "draining")
#: Places of a line, that are not empty, per round trip.
PLACES = 100
#: Scheduled tasks of the gate, the soonest first, that are searched for those of a group.
SCHEDULED = 1000
#: Places that one call looks at, during which Redis serves no other client: those whose entry is looked for, and those
#: that are only compared.
WALKED, PASSED = 1500, 2000
#: Groups per call of a survey.
SURVEYED = 200
#: Groups, or fields and members, that one command reads.
AT_ONCE = 500

T = TypeVar("T")
Arguments = tuple[Sequence[str], Sequence[Any]]
"""A script's own keys and arguments, after those that every script has."""


@dataclass(frozen=True, slots=True)
class EntryInLine:
    """An entry at its place in line; `id` is its name, see keys.py."""

    number: int
    us: str
    id: str
    text: bytes


class Surveyed(NamedTuple):
    """A page of groups: their names, their depths, and the words of each script."""

    names: Sequence[str]
    depths: Sequence[str]
    words: Sequence[Sequence[str]]


class Reader:
    """A reader of a gate.

    Args:
        gate: The gate.
        pace: Limits the time spent on reading; None: no limit.
    """

    def __init__(self, gate: Gate, pace: Pace | None = None) -> None:
        self.gate = gate
        self._pace = pace
        self.partitions: list[Keys] = gate.keyspace.partitions

    def ask(self, name: str, build: Callable[[Any], None]) -> list[Any]:
        """Run a pipeline of reads, see `Store.read`."""
        with self._paced():
            return self.gate.store.read(name, build)

    def run(self, name: str, keys: Keys, more: Sequence[str], args: Sequence[Any]) -> Any:
        """Run a script that only reads, see `Store.run`."""
        with self._paced():
            return self.gate.store.run(name, keys, more, args)

    def _paced(self) -> AbstractContextManager[None]:
        return self._pace.call() if self._pace is not None else nullcontext()

    def one(self, command: str, *args: Any, **options: Any) -> Any:
        """Run one command; see `ask`."""
        return self.ask(command, lambda pipe: getattr(pipe, command)(*args, **options))[0]

    def many(self, command: str, key: str, names: Sequence[str]) -> list[Any]:
        """Read fields (`hmget`) or scores (`zmscore`), however many."""
        found: list[Any] = []
        for start in range(0, len(names), AT_ONCE):
            found += self.one(command, key, names[start : start + AT_ONCE])
        return found

    def places(self, key: str) -> Iterator[list[bytes]]:
        """Yield the pages of a list."""
        start, size = 0, AT_ONCE
        while size == AT_ONCE:
            page = self.one("lrange", key, start, start + AT_ONCE - 1)
            yield page
            start, size = start + AT_ONCE, len(page)

    def by_score(self, key: str, lowest: float, highest: str) -> Iterator[list[str]]:
        """Yield the pages of a range of scores, the lowest first.

        A page begins at the last score of the one before, and not at a rank: a member whose score grows meanwhile comes
        twice, and one that is removed hides no other.
        """
        size = AT_ONCE
        while True:
            page = self.one("zrangebyscore", key, lowest, highest, start=0, num=size, withscores=True)
            yield [member.decode() for member, _ in page]
            if len(page) < size:
                return
            first, lowest = page[0][1], page[-1][1]
            size = AT_ONCE if lowest > first else 2 * size  # no page may end where it began

    def scan(self, command: str, key: str, count: int, match: str | None = None) -> Iterator[list[tuple[str, Any]]]:
        """Yield the pages of a hash (`hscan`) or a sorted set (`zscan`): a changed item may be in two pages or none."""
        cursor = -1
        while cursor:
            cursor, page = self.one(command, key, max(cursor, 0), match=match, count=count)
            pairs = page.items() if isinstance(page, dict) else page
            yield [(name.decode(), value) for name, value in pairs]

    def survey(self, keys: Keys, scripts: Sequence[str], take: Callable[[Iterator[Surveyed]], T]) -> T:
        """Read a little of every group of a partition, and return what `take` makes of the pages.

        Args:
            keys: The partition.
            scripts: "ages", and "states".
            take: Called with the pages, again when the connection was lost meanwhile. A changed group may be in two
                pages or none.
        """
        with self._paced():
            return self.gate.store.ask("groups", lambda: take(self._survey(keys, scripts)))

    def _survey(self, keys: Keys, scripts: Sequence[str]) -> Iterator[Surveyed]:
        own = {"ages": keys.line, "states": keys.group}
        clock = [self.gate.store.clock, keys.tag]
        with self.gate.store.ahead(["groups", *scripts]) as calls:
            calls.send("groups", keys.base, [*clock, 0, SURVEYED])
            before: list[str] | None = None
            more = True
            while more or before is not None:
                words: list[str] | None = None
                if more:
                    cursor, text = calls.read()
                    words, more = text.decode().split(), cursor != b"0"
                    if more:
                        calls.send("groups", keys.base, [*clock, cursor, SURVEYED])
                    for script in scripts:
                        calls.send(script, [*keys.base, *map(own[script], words[::2])], clock)
                if before is not None:
                    yield Surveyed(before[::2], before[1::2], [calls.read().decode().split() for _ in scripts])
                before = words

    def chain(self, name: str, keys: Keys, first: Arguments, then: Callable[[Any], Arguments | None]) -> Iterator[Any]:
        """Yield the replies of a script that is called again and again; within the call of an `ask`.

        Args:
            name: Of the script.
            keys: Of the partition.
            first: The script's own keys and arguments.
            then: Returns those of the next call, given a reply; it goes out before the reply is yielded. None: no more.
        """
        following: Arguments | None = first
        with self.gate.store.ahead([name]) as calls:
            calls.send(name, [*keys.base, *first[0]], [self.gate.store.clock, keys.tag, *first[1]])
            while following is not None:
                reply = calls.read()
                following = then(reply)
                if following is not None:
                    more, args = following
                    calls.send(name, [*keys.base, *more], [self.gate.store.clock, keys.tag, *args])
                yield reply

    def now(self) -> float:
        """Return the time of Redis in ms."""
        if self.gate.store.clock:
            return int(self.gate.store.clock) / 1000
        seconds, us = self.one("time")
        return float(seconds) * 1000 + float(us) / 1000

    # -- groups ------------------------------------------------------------

    def groups(self, keys: Keys, names: Sequence[Quoted], details: bool = False) -> list[Group]:
        """Read groups of one partition; those that hold nothing by now are left out.

        Args:
            keys: The partition.
            names: Of groups.
            details: Read their heads' messages too.
        """
        found = []
        for start in range(0, len(names), AT_ONCE):
            found += self._groups(keys, names[start : start + AT_ONCE], details)
        return found

    def _groups(self, keys: Keys, names: Sequence[Quoted], details: bool) -> list[Group]:
        def first(pipe: Any) -> None:
            for name in names:
                pipe.hgetall(keys.group(name)).llen(keys.line(name))
                pipe.lindex(keys.line(name), 0).zscore(keys.depth, name)

        replies, now = self.ask("groups", first), self.now()
        states: list[dict[bytes, bytes]] = replies[::4]
        ids = [field[2:].decode() for state in states for field in state if field.startswith(b"f ")]
        flights, due, tasks = self._flights(keys, ids, details)
        firsts = {} if details else self._firsts(keys, dict(zip(names, replies[2::4], strict=True)))
        found = []
        for at, name in enumerate(names):
            state, length, line, depth = replies[4 * at : 4 * at + 4]
            flags = {flag: _flag(state[flag.encode()]) for flag in FLAGS if flag.encode() in state}
            if depth is None and not flags:
                continue
            mine = [flights[id] for field in state if (id := field[2:].decode()) in flights]
            mine.sort(key=lambda flight: flight.release)
            head = mine[0].id if mine else firsts.get(name)
            if length and head is None:
                head = self._first(keys, name)
            found.append(_group(name, int(depth or 0), flags, mine, head, (line, length), (due, tasks), now))
        return found

    def _flights(
        self, keys: Keys, ids: Sequence[str], details: bool
    ) -> tuple[dict[str, Flight], dict[str, float | None], dict[str, str]]:
        """Return records by id, times by member of `due`, and names of tasks by id."""
        if not ids:
            return {}, {}, {}
        members = [f"{kind} {id}" for id in ids for kind in ("l", "h")]

        def second(pipe: Any) -> None:
            pipe.hmget(keys.flight, ids).zmscore(keys.due, members)
            if details:
                pipe.hmget(keys.entries, ids)

        texts, scores, *more = self.ask("flights", second)
        flights = {id: flight for id, text in zip(ids, texts, strict=True) if (flight := Flight.parse(id, text))}
        tasks = {}
        for id, text in zip(ids, more[0] if more else [], strict=bool(more)):
            entry = content.read(text or b"")
            tasks[id] = entry.task if entry else ""
        due = {member: None if score is None else due_ms(score) for member, score in zip(members, scores, strict=True)}
        return flights, due, tasks

    def _firsts(self, keys: Keys, lines: dict[str, bytes | None]) -> dict[str, str]:
        """Return the first ids in lines, by group, without places of revoked tasks."""
        ids = {name: item.decode().partition(" ")[2] for name, item in lines.items() if item}

        def build(pipe: Any) -> None:
            for id in ids.values():
                pipe.hexists(keys.entries, id)

        known = self.ask("entries", build) if ids else []
        return {name: id for (name, id), there in zip(ids.items(), known, strict=True) if there}

    def _first(self, keys: Keys, name: Quoted) -> str | None:
        """Return the first id in a line."""
        for place in self.line(keys, name, 0, 1):
            return place.id
        return None

    # -- a line ------------------------------------------------------------

    def line(self, keys: Keys, name: Quoted, start: int, limit: int) -> Iterable[EntryInLine]:
        """Yield the places of a line that are not empty, at most `limit` of them, from a place on."""
        while start >= 0 and limit > 0:
            args = [start, min(limit, PLACES), WALKED]
            start, *found = self.run("line", keys, [keys.line(name)], args)
            for number, us, id, text in found:
                yield EntryInLine(number, us.decode(), id.decode(), text)
            limit -= len(found)

    def place(self, keys: Keys, name: Quoted, us: str, id: str) -> int | None:
        """Return the place of an entry in a line; None when it stands in none."""
        place, below = -1, -1
        while place < 0 and below:
            place, below = self.run("place", keys, [keys.line(name)], [us, id, below, PASSED])
        return place if place >= 0 else None

    def scheduled(self, keys: Keys, group: Quoted) -> Iterator[tuple[str, float]]:
        """Yield the id and the ETA (ms) of tasks of a group whose ETA has not come, the soonest first.

        They are searched for among the soonest `SCHEDULED` ones of the gate.
        """
        soonest = self.one(
            "zrangebyscore", keys.due, due_score("e", 0), "+inf", start=0, num=SCHEDULED, withscores=True
        )
        mine = f"e {group} ".encode()
        for member, score in soonest:
            if member.startswith(mine):
                yield task_of(member[len(mine) :].decode()), due_ms(score)

    def queue_name(self, app: Celery, name: str) -> str:
        """Return the name by which workers know a queue: without the marks of prefix and priority.

        Args:
            app: Of the workers.
            name: Of the queue in the scripts.
        """
        if name.startswith(ELSEWHERE):
            return unquote(name[len(ELSEWHERE) :])
        separator = dict(app.conf.broker_transport_options or {}).get("sep", "\x06\x16")
        return unquote(name).removeprefix(self.gate.server.prefix).split(separator)[0]

    def entry(self, keys: Keys, group: Quoted, task_id: str) -> tuple[str, bytes] | None:
        """Return name and text of the entry of a task in a group, quoted; None when there is none."""
        names = entry_names(task_id)
        for name, text in zip(names, self.texts(keys, names), strict=True):
            entry = StoredEntry.parse(text)
            if text is not None and entry is not None and entry.group == group:
                return name, text
        return None

    def texts(self, keys: Keys, ids: Sequence[str]) -> list[bytes | None]:
        """Return the stored entries of ids."""
        return list(self.one("hmget", keys.entries, ids)) if ids else []


#: The stored states of entries in flight, the strongest first, and their names in views, of the entry and its group.
STATES_IN_FLIGHT = {"running": "running", "released": "waiting", "held": "held"}


def state_of(flights: Iterable[Flight], without: str) -> str:
    """Return the state of a group that has no flag, by its entries in flight; `without` one of these."""
    states = {flight.state for flight in flights}
    return next((name for state, name in STATES_IN_FLIGHT.items() if state in states), without)


def _flag(text: bytes) -> dict[str, Any]:
    try:
        flag = json.loads(text)
    except ValueError:
        flag = None
    return flag if isinstance(flag, dict) else {}


def _group(
    name: str,
    depth: int,
    flags: dict[str, dict[str, Any]],
    flights: list[Flight],
    head: str | None,
    line: tuple[bytes | None, int],
    more: tuple[dict[str, float | None], dict[str, str]],
    now: float,
) -> Group:
    due, tasks = more
    flag = next((flag for flag in FLAGS if flag in flags), None)
    said = flags.get(flag or "", {})
    own = state_of(flights, "waiting" if line[1] else "held")
    oldest = int(line[0].partition(b" ")[0]) / 1000 if line[0] else flights[0].since if flights else None
    at = due.get(f"h {flights[0].id}") if flights else None
    return Group(
        key=unquote(name),
        state=flag or own,
        depth=depth,
        head=None if head is None else task_of(head),
        running=tuple(running_of(each, due, tasks, now) for each in flights if each.state == "running"),
        oldest_age=None if oldest is None else max(now - oldest, 0) / 1000,
        reason=str(said.get("reason") or ""),
        by=str(said.get("by") or ""),
        since=moment(said["at_ms"]) if isinstance(said.get("at_ms"), int | float) else None,
        queue=unquote(flights[0].queue) if flights else "",
        due=None if at is None else moment(at),
        last_error=str(said.get("reason") or "") if flag == "blocked" else None,
    )


def running_of(flight: Flight, due: dict[str, float | None], tasks: dict[str, str], now: float) -> Running:
    return Running(
        task_id=flight.task_id,
        task=tasks.get(flight.id, ""),
        worker=flight.worker,
        fence=flight.fence,
        lease_left=((due.get(f"l {flight.id}") or now) - now) / 1000,
        since=moment(flight.since),
        lost=flight.lost,
    )


__all__ = ["FLAGS", "STATES_IN_FLIGHT", "EntryInLine", "Flight", "Reader", "state_of"]
