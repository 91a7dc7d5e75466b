"""The reader of groups: it runs pipelines of a few commands for each, never a scan of the database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from celery import Celery

from celery_groupfifo.gate.gate import Gate
from celery_groupfifo.gate.keys import Keys, Quoted, due_ms, due_score, entry_names, task_of, unquote
from celery_groupfifo.gate.packing import pack
from celery_groupfifo.gate.places import find_place
from celery_groupfifo.gate.records import FLAG_LETTERS, LIMITED, Flight, Limits, StoredEntry, StoredGroup, in_order
from celery_groupfifo.gate.releaser import ELSEWHERE
from celery_groupfifo.gate.stream import pack_each
from celery_groupfifo.groups import content, leases
from celery_groupfifo.groups.holds import with_holds
from celery_groupfifo.groups.pace import SCRIPT, Pace
from celery_groupfifo.groups.survey import EVERYTHING, STATES_IN_FLIGHT, Look, Surveyed, oldest_since, state_of, survey
from celery_groupfifo.groups.view import Flag, Group, Limit, Running, moment

#: Flags that operators and failures set on a group, the strongest first.
FLAGS: tuple[Flag, ...] = tuple(FLAG_LETTERS.values())
#: Places of a line, that are not empty, per round trip.
PLACES = 100
#: Scheduled tasks of the gate, the soonest first, that are searched for those of a group.
SCHEDULED = 1000
#: Places that one call looks at, during which Redis serves no other client.
WALKED = 1600
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

    def ask(self, name: str, build: Callable[[Any], object], keys: Keys | None = None) -> list[Any]:
        """Run a pipeline of reads, see `Store.read`."""
        with self._paced():
            return self.gate.store.read(name, build, keys)

    def run(self, name: str, keys: Keys, more: Sequence[str], args: Sequence[Any]) -> Any:
        """Run a script that only reads, see `Store.run`."""
        with self._paced(SCRIPT):
            return self.gate.store.run(name, keys, more, args)

    def _paced(self, most: float = 0.0) -> AbstractContextManager[None]:
        return self._pace.call(most=most) if self._pace is not None else nullcontext()

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

    def scan(self, command: str, key: str, count: int, match: str | None = None) -> Iterator[list[tuple[str, Any]]]:
        """Yield the pages of a hash (`hscan`) or a sorted set (`zscan`): a changed item may be in two pages or none."""
        cursor = -1
        while cursor:
            cursor, page = self.one(command, key, max(cursor, 0), match=match, count=count)
            pairs = page.items() if isinstance(page, dict) else page
            yield [(name.decode(), value) for name, value in pairs]

    def survey(self, keys: Keys, take: Callable[[Iterator[Surveyed]], T], look: Look = EVERYTHING) -> T:
        """Read a little of every group of a partition, and return what `take` makes of it.

        Args:
            keys: The partition.
            take: Called with the groups, again when the connection was lost meanwhile. A changed group may come twice
                or not at all.
            look: What it needs of their lines.
        """
        store = self.gate.store.at(keys)

        def call() -> T:
            with store.stream() as stream:
                return take(survey(stream, keys, look))

        with self._paced():
            return store.ask("groups", call)

    def chain(self, name: str, keys: Keys, first: Arguments, then: Callable[[Any], Arguments | None]) -> Iterator[Any]:
        """Yield the replies of a script that is called again and again; within the call of an `ask`.

        Args:
            name: Of the script.
            keys: Of the partition.
            first: The script's own keys and arguments.
            then: Returns those of the next call, given a reply; it goes out before the reply is yielded. None: no more.
        """
        following: Arguments | None = first
        with self.gate.store.at(keys).ahead([name]) as calls:
            calls.send(name, [*keys.base, *first[0]], [self.gate.store.clock, keys.tag, *first[1]])
            while following is not None:
                reply = calls.read()
                following = then(reply)
                if following is not None:
                    more, args = following
                    calls.send(name, [*keys.base, *more], [self.gate.store.clock, keys.tag, *args])
                yield reply

    def now(self, keys: Keys | None = None) -> float:
        """Return the time of Redis in ms; on a cluster that of a partition's node, or of the first one."""
        if self.gate.store.clock:
            return int(self.gate.store.clock) / 1000
        ((seconds, us),) = self.ask("time", lambda pipe: pipe.time(), keys)
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
        if not names:
            return []
        texts, lengths, lines = self._lines(keys, names)
        now = self.now(keys)
        states = {name: StoredGroup.parse(name, text) for name, text in zip(names, texts, strict=True)}
        flights = [flight for state in states.values() for flight in state.flights]
        due = self.due(keys, [member for flight in flights for member in _members_of(flight)])
        said, limits = self._said(keys, states), self._limits(keys, states)
        tasks = self._tasks(keys, flights) if details else {}
        firsts = {} if details else self._firsts(keys, dict(zip(names, lines, strict=True)))
        found = []
        for (name, state), length, line in zip(states.items(), lengths, lines, strict=True):
            depth, flags = state.depth(length), said.get(name, {})
            if not depth and not flags and name not in limits:
                continue
            mine, failed = in_order(state.flights), flags.get("blocked", {}).get("entry")
            mine = [each for each in mine if each.id == failed] + [each for each in mine if each.id != failed]
            head = mine[0].id if mine else firsts.get(name)
            if length and head is None:
                head = self._first(keys, name)
            found.append(_group(name, depth, flags, mine, head, (line, length), (due, tasks), now, limits.get(name)))
        return with_holds(found, flights, partial(self.texts, keys))

    def _lines(self, keys: Keys, names: Sequence[Quoted]) -> list[list[Any]]:
        """Return the states of groups, and the lengths and the first places of their lines."""
        store, lines = self.gate.store.at(keys), [keys.line(name) for name in names]

        def call() -> list[list[Any]]:
            with store.stream() as stream:
                stream.send(
                    pack(["HMGET", keys.groups, *names]), pack_each("LLEN", lines), pack_each("LINDEX", lines, "0")
                )
                return [*stream.read(), stream.read(len(names)), stream.read(len(names))]

        with self._paced():
            return store.ask("groups", call)

    def stored_groups(self, keys: Keys, names: Iterable[Quoted]) -> dict[Quoted, StoredGroup]:
        """Return the states of groups, with their entries under way, by name."""
        every = list(dict.fromkeys(names))
        texts = self.many("hmget", keys.groups, every)
        return {name: StoredGroup.parse(name, text) for name, text in zip(every, texts, strict=True)}

    def due(self, keys: Keys, members: Sequence[str]) -> dict[str, float]:
        """Return the times (ms) of members of `due`, of those that are there."""
        every = list(dict.fromkeys(members))
        scores = zip(every, self.many("zmscore", keys.due, every), strict=True)
        return {member: due_ms(score) for member, score in scores if score is not None}

    def _said(self, keys: Keys, states: dict[Quoted, StoredGroup]) -> dict[Quoted, dict[Flag, dict[str, Any]]]:
        """Return what is said about the flags of groups, for each group that has any."""
        letters = [(name, letter) for name, state in states.items() for letter in FLAG_LETTERS if letter in state.flags]
        texts = self.many("hmget", keys.flags, [f"{letter} {name}" for name, letter in letters])
        found: dict[Quoted, dict[Flag, dict[str, Any]]] = {}
        for (name, letter), text in zip(letters, texts, strict=True):
            found.setdefault(name, {})[FLAG_LETTERS[letter]] = _flag(text or b"")
        return found

    def _limits(self, keys: Keys, states: dict[Quoted, StoredGroup]) -> dict[Quoted, Limit]:
        """Return the limits that operators have set, for each group that has any."""
        names = [name for name, state in states.items() if LIMITED in state.flags]
        texts = self.many("hmget", keys.flags, [f"{LIMITED} {name}" for name in names])
        return {name: _limit(text) for name, text in zip(names, texts, strict=True) if text}

    def _tasks(self, keys: Keys, flights: Sequence[Flight]) -> dict[str, str]:
        """Return the names of tasks by the entry's name."""
        ids = [flight.id for flight in flights]
        entries = zip(ids, map(content.read, (text or b"" for text in self.texts(keys, ids))), strict=True)
        return {id: entry.task if entry else "" for id, entry in entries}

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
        return find_place(self.run, keys, name, us, id)

    def scheduled(self, keys: Keys, group: Quoted) -> Iterator[tuple[str, float]]:
        """Yield the name and the ETA (ms) of entries of a group whose ETA has not come, the soonest first.

        They are searched for among the soonest `SCHEDULED` ones of the gate.
        """
        soonest = self.one(
            "zrangebyscore", keys.due, due_score("e", 0), "+inf", start=0, num=SCHEDULED, withscores=True
        )
        mine = f"e {group} ".encode()
        for member, score in soonest:
            if member.startswith(mine):
                yield member[len(mine) :].decode(), due_ms(score)

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
        """Return name and text of the entry of a task that has a place in a group, quoted; None when there is none.

        The entry of a task with several keys names one of its groups.
        """
        names = entry_names(task_id)
        texts = {name: text for name, text in zip(names, self.texts(keys, names), strict=True) if text}
        entries = {name: entry for name, text in texts.items() if (entry := StoredEntry.parse(text)) is not None}
        mine = next((name for name, entry in entries.items() if entry.group == group), next(iter(entries), None))
        return None if mine is None else (mine, texts[mine])

    def texts(self, keys: Keys, ids: Sequence[str]) -> list[bytes | None]:
        """Return the stored entries of ids."""
        return list(self.one("hmget", keys.entries, ids)) if ids else []


def hold_of(flight: Flight) -> str:
    """Return the member of `due` that ends the hold of a head, or the block of its group."""
    return f"{'b' if flight.stop == 'b' else 'h'} {flight.group} {flight.id}"


def _members_of(flight: Flight) -> tuple[str, ...]:
    return leases.members_of(flight) if flight.state == "running" else (hold_of(flight),)


def _flag(text: bytes) -> dict[str, Any]:
    """Return what is said of a flag; of several tasks that block a group, what is said of the first one."""
    try:
        flag = json.loads(text.partition(b"\n")[0])
    except ValueError:
        flag = None
    return flag if isinstance(flag, dict) else {}


def _group(
    name: str,
    depth: int,
    flags: Mapping[Flag, dict[str, Any]],
    flights: list[Flight],
    head: str | None,
    line: tuple[bytes | None, int],
    more: tuple[dict[str, float], dict[str, str]],
    now: float,
    limit: Limit | None,
) -> Group:
    due, tasks = more
    flag = next((flag for flag in FLAGS if flag in flags), None)
    said = flags[flag] if flag else {}
    own = state_of(flights, "waiting" if line[1] else "held")
    letters = "".join(STATES_IN_FLIGHT[each.state][0] for each in flights)
    parked = int(line[0].partition(b" ")[0]) // 1000 if line[0] else 0
    oldest = oldest_since(letters, parked, min((each.since for each in flights), default=0)) or None
    failed = next((flight for flight in flights if flight.stop == "b"), None)
    at = due.get(hold_of(flights[0])) if flights and not failed else None
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
        breaker=str(said.get("breaker") or "") if said.get("broken") else "",
        blocked_until=None if failed is None or failed.due is None else moment(failed.due),
        last_error=str(flags["blocked"].get("reason") or "") if "blocked" in flags else None,
        limit=limit,
    )


def _limit(text: bytes) -> Limit:
    """Read what an operator has set, see lua/limit.lua."""
    words, _, said = text.partition(b" ")
    limits, flag = Limits.parse(words.decode()), _flag(said)
    since, lasts = flag.get("at_ms"), flag.get("lasts_ms")
    return Limit(
        rate=None if limits.rate is None else str(limits.rate),
        concurrency=limits.concurrency,
        since=None if since is None else moment(since),
        until=moment(since + lasts) if since and lasts else None,
        by=str(flag.get("by") or ""),
        reason=str(flag.get("reason") or ""),
    )


def running_of(flight: Flight, due: dict[str, float], tasks: dict[str, str], now: float) -> Running:
    return Running(
        task_id=flight.task_id,
        task=tasks.get(flight.id, ""),
        worker=flight.worker,
        fence=flight.fence,
        lease_left=(leases.ends_of(flight, due, now) - now) / 1000,
        since=moment(flight.since),
        lost=flight.lost,
    )


__all__ = ["FLAGS", "STATES_IN_FLIGHT", "EntryInLine", "Flight", "Reader", "Surveyed", "oldest_since", "state_of"]
