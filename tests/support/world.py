"""A gate on a real server, with a clock and a broker that a test holds in its hands."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import redis
from celery import Celery

from celery_groupfifo.gate import counts
from celery_groupfifo.gate.cutting import Gone
from celery_groupfifo.gate.gate import Gate, build_gate
from celery_groupfifo.gate.keys import Keys, Quoted, quote
from celery_groupfifo.gate.model import Bound, Dedup, Entry, Failure, Finish, Finished, Lists, Number, Swept, Ticket
from celery_groupfifo.gate.records import Flight, StoredGroup, StoredLetter, message_of
from celery_groupfifo.gate.route import Route
from celery_groupfifo.sending.order import sortable
from celery_groupfifo.windows import NO_BREAKER, Breaker
from tests.support.stored import all_stored, stored, stored_fields, stored_if_any

#: A time like those of Redis: releases and fences are drawn from it and have 16 digits.
START_MS = 1_800_000_000_000
TTL_MS = 30_000

_FRONT = b'{"properties": {"delivery_tag": "'
_NO_CALLS: Mapping[Ticket, str] = {}
PLAIN = b'{"body": "", "headers": {"task": "plain"}, "properties": {"delivery_tag": "d1"}}'


def make_entry(
    gate: Gate,
    id: str,
    key: str = "g",
    queue: str = "q",
    delay: int = 0,
    body: str = "",
    priority: int = 0,
    bound: Bound | None = None,
    dedup: Dedup | None = None,
    limits: str = "",
    reserves: bool = False,
    order: int | None = None,
    others: Sequence[str] = (),
    fair: str = "",
) -> Entry:
    """An entry whose message is JSON once its tickets are in, as those of the publish side are."""
    info = json.dumps({"exchange": "", "routing_key": queue})[1:]
    front = f'{info}, "priority": {priority}}}, '.encode()
    rest = json.dumps({"id": id, "task": "t"})[1:] + ", " + json.dumps({"body": body})[1:]
    place = gate.releaser.destination(Route("", queue, priority))
    message = front + rest.encode()
    place_of = place.queue, place.list_key
    entry = Entry(id, key, *place_of, len(front), message, delay, bound=bound, dedup=dedup, limits=limits)
    entry.reserves, entry.others = reserves, tuple(others)
    entry.fair = fair
    if order is not None:
        entry.order = sortable(order, "t")
    return entry


def ticket_of(message: bytes) -> Ticket:
    """The ticket of a message; both of its copies must be the same."""
    payload = json.loads(message)
    ticket = Ticket.parse(payload["headers"]["groupfifo"])
    assert ticket is not None, message
    assert payload["properties"]["delivery_tag"] == payload["headers"]["groupfifo"]
    return ticket


def lane_of(ticket: Ticket) -> str:
    """The lane that a ticket begins in: each has one of its own."""
    return str(ticket.release)


class TestGate(Gate):
    """A gate that knows the fences of the runs that it has begun, so that a test may show the ticket that came in.

    Attributes:
        fences: Fence and lane, by ticket; None: every ticket has to bring its own.
    """

    __test__ = False
    fences: dict[Ticket, tuple[int, str]] | None

    @classmethod
    def of(cls, gate: Gate) -> TestGate:
        """The same gate, which knows fences from now on."""
        known = cls(gate.store, gate.keyspace, gate.settings, gate.releaser, gate.server)
        known.fences = {}
        return known

    def with_fence(self, ticket: Ticket) -> Ticket:
        """The ticket as a worker holds it."""
        held = ticket if ticket.lane else ticket._replace(lane=lane_of(ticket))
        if held.fence or self.fences is None:
            return held
        fence, lane = self.fences.get(ticket._replace(fence=0, lane=""), (0, held.lane))
        return ticket._replace(fence=fence, lane=lane)

    def _note(self, ticket: Ticket, fence: int, lane: str) -> None:
        if self.fences is not None:
            self.fences[ticket._replace(fence=0, lane="")] = fence, lane

    def granted(self, ticket: Ticket, reply: Sequence[Any]) -> Ticket | None:
        begun = super().granted(ticket, reply)
        if begun is not None:
            self._note(ticket, begun.fence, ticket.lane)
        return begun

    def finish(self, call: Finish) -> Finished:
        done = super().finish(call)
        if done.taken:
            self._note(ticket_of(done.taken), done.fence, self.with_fence(call.ticket).lane)
        return done

    def finish_call(self, call: Finish) -> Any:
        return super().finish_call(replace(call, ticket=self.with_fence(call.ticket)))

    def surrender_call(self, runs: Sequence[tuple[Ticket, bool]], lists: Lists = ()) -> Any:
        return super().surrender_call([(self.with_fence(ticket), lost) for ticket, lost in runs], lists)

    def renew(
        self,
        owner: Quoted,
        runs: Iterable[Ticket],
        calls: Mapping[Ticket, str] = _NO_CALLS,
        partitions: Sequence[Keys] | None = None,
    ) -> list[Ticket]:
        shown = {self.with_fence(ticket): ticket for ticket in runs}
        names = {self.with_fence(ticket): call for ticket, call in calls.items()}
        return [shown[ticket] for ticket in super().renew(owner, shown, names, partitions)]

    def lease(self, ticket: Ticket) -> float | None:
        return super().lease(self.with_fence(ticket))


@dataclass
class SweptWorld(Swept):
    """A sweep; `cancelled` has id and message of tasks that were cut off, and are told and ended now."""

    cancelled: list[tuple[str, bytes]] = field(default_factory=list)

    def told(self, gone: Sequence[Gone]) -> None:
        self.cancelled += [(id, message_of(text)) for id, text in gone]


class World:
    """One gate, the lists of its broker, and the time.

    Args:
        url: Of an empty database.
        app: Its app; a new one on that database unless given.
        timeout: Seconds that the gate waits for an answer; None: as ever.
    """

    def __init__(self, url: str, app: Celery | None = None, timeout: float | None = None) -> None:
        self.url = url
        self.app = app or Celery("gate-tests", broker=url, set_as_current=False)
        self.gate = TestGate.of(build_gate(self.app, timeout=timeout))
        self.redis: redis.Redis = redis.Redis.from_url(url)
        self.now = START_MS
        self.tick(0)

    def close(self) -> None:
        """Let go of the server."""
        self.redis.close()
        self.gate.store.close()
        self.app.close()

    @property
    def keys(self) -> Keys:
        """The keys of the only partition."""
        return self.gate.keyspace.partitions[0]

    def tick(self, ms: int) -> None:
        """Let time go by."""
        self.now += ms
        self.gate.store.clock = str(self.now * 1000)

    # -- the gate ----------------------------------------------------------

    def park(self, id: str, key: str = "g", queue: str = "q", **more: Any) -> bool:
        """Park a new entry."""
        return self.gate.park(make_entry(self.gate, id, key, queue, **more), self.gate.number())

    def begin(self, ticket: Ticket, owner: str = "w1", call: str = "") -> Ticket | None:
        """Begin a ticket; the same with its fence."""
        return self.gate.begin(ticket if ticket.lane else ticket._replace(lane=lane_of(ticket)), quote(owner), call)

    def finish(self, ticket: Ticket, key: str = "g", owner: str = "w1", **more: Any) -> Finished:
        """Finish a run."""
        return self.gate.finish(self.finishing(ticket, key, owner, **more))

    def finishing(
        self, ticket: Ticket, key: str = "g", owner: str = "w1", take: str = "none", lists: Lists = (), **more: Any
    ) -> Finish:
        """A finish that can be repeated."""
        assert ticket.group == quote(key), "its own group"
        return Finish(ticket, quote(owner), take, lists, call=self.gate.call_name(), **more)

    def failing(
        self,
        ticket: Ticket,
        key: str = "g",
        policy: str = "block",
        lasts: int = 0,
        breaker: Breaker = NO_BREAKER,
        others: Sequence[str] = (),
        **more: Any,
    ) -> Finish:
        """A finish after a final failure; it can be repeated."""
        known, groups = breaker if breaker.most else None, tuple(map(quote, others))
        failure = Failure(policy, "shop.send", "ValueError: boom", "w1@host", "", lasts, known, groups)
        return self.finishing(ticket, key, failure=failure, **more)

    def fail(
        self,
        ticket: Ticket,
        key: str = "g",
        policy: str = "block",
        lasts: int = 0,
        breaker: Breaker = NO_BREAKER,
        others: Sequence[str] = (),
        **more: Any,
    ) -> Finished:
        """Finish a run that has failed for good; a block may last for so many ms."""
        return self.gate.finish(self.failing(ticket, key, policy, lasts, breaker, others, **more))

    def hold(self, ticket: Ticket, delay: int, key: str = "g", queue: str = "q", **more: Any) -> Finished:
        """Finish a run that goes on later."""
        return self.gate.finish(self.holding(ticket, delay, key, queue, **more))

    def holding(
        self,
        ticket: Ticket,
        delay: int,
        key: str = "g",
        queue: str = "q",
        body: str = "",
        rejoins: bool = False,
        **more: Any,
    ) -> Finish:
        """A finish with a continuation; it can be repeated."""
        entry = make_entry(self.gate, ticket.id, key, queue, delay, body)
        entry.rejoins = rejoins
        return self.finishing(ticket, key, continuation=entry, **more)

    def replace(self, id: str, key: str = "g", queue: str = "q", **more: Any) -> bool:
        """Park what goes on for a run under its id, while it still runs."""
        return self.gate.park(make_entry(self.gate, id, key, queue, **more), self.gate.number(), replaces=True)

    def insert(self, id: str, ticket: Ticket, number: int, key: str = "g", queue: str = "q", **more: Any) -> bool:
        """Insert a part behind a run; number: among its parts, from 1."""
        place = Number(f"run-{ticket.fence}", number)
        return self.gate.insert(make_entry(self.gate, id, key, queue, **more), ticket, place)

    def sweep(self, lists: Lists = (), owner: str = "w1") -> SweptWorld:
        """Sweep all partitions, and end what is cut off; what is due next is that of the first one."""
        every = SweptWorld(None, 0)
        for keys in reversed(self.gate.keyspace.partitions):
            swept = self.gate.sweep(keys, lists, quote(owner))
            every.next_due = swept.next_due
            every.reclaimed += swept.reclaimed
            every.named += swept.named
            for part in swept.cut_off:
                self.gate.cancel_rest(part, every.told)
        return every

    def rerelease(self, **more: int) -> int:
        """Look for lost tickets in all queues; how many heads were released again."""
        heads = [(keys, head) for keys in self.gate.keyspace.partitions for head in self.gate.every_head(keys)]
        return sum(self.gate.rerelease(keys, head.queue, quote("w1"), **more) for keys, head in heads)

    def run(self, id: str, key: str = "g", queue: str = "q") -> Ticket:
        """Park an entry that becomes the head at once, receive it and begin it."""
        assert self.park(id, key, queue)
        ticket = self.receive(queue)
        begun = self.begin(ticket)
        assert ticket.id == id and begun is not None
        return begun

    def idle_sweeps(self, ms: int) -> None:
        """Sweep as a living fleet does, for so long."""
        for _ in range(0, ms, 1000):
            self.sweep()
            self.tick(1000)

    def invite(self, ticket: Ticket, *queues: str) -> None:
        """Do what a worker does when a begin's answer invites another entry of its group."""
        keys, more, args = self.gate.advance_call(ticket, self.lists(*queues))
        self.gate.publish(self.gate.store.run("advance", keys, more, args)[2:])

    # -- the broker --------------------------------------------------------

    def lists(self, *queues: str) -> Lists:
        """The lists that a worker of these queues consumes."""
        return [(quote(queue), queue) for queue in queues]

    def pop(self, queue: str = "q") -> bytes | None:
        """Take the message that a consumer of the queue gets next."""
        message = self.redis.rpop(queue)
        return None if message is None else stored(message)

    def receive(self, queue: str = "q") -> Ticket:
        """The ticket that a consumer of the queue gets next."""
        message = self.pop(queue)
        assert message is not None, f"nothing waits in {queue}"
        return ticket_of(message)

    def queued(self, queue: str = "q") -> list[str]:
        """The ids of the tickets in a queue, the next one first."""
        return [ticket_of(message).id for message in all_stored(self.redis.lrange(queue, 0, -1))][::-1]

    # -- what is left ------------------------------------------------------

    def waiting(self, key: str = "g") -> list[str]:
        """The parked ids of a group, in order, places of revoked ones left out."""
        found = []
        for item in all_stored(self.redis.lrange(self.keys.line(quote(key)), 0, -1)):
            us, id = item.split(b" ", 1)
            text = self.redis.hget(self.keys.entries, id)
            if text is not None and stored(text).startswith(us + b" "):
                found.append(id.decode())
        return found

    def depth(self, key: str = "g") -> int:
        """All entries of a group."""
        return self.group(key).depth(self.redis.llen(self.keys.line(quote(key))))

    def group(self, key: str = "g") -> StoredGroup:
        """The stored state of a group."""
        return StoredGroup.parse(quote(key), stored_if_any(self.redis.hget(self.keys.groups, quote(key))))

    def flight(self, key: str = "g") -> Flight | None:
        """The record of the first entry of a group that is under way."""
        return next(iter(self.group(key).flights), None)

    def stat(self, name: str) -> int:
        """One of the totals."""
        return counts.totals(
            stored_fields(self.redis.hgetall(self.keys.stats)), self.redis.hlen(self.keys.entries)
        ).get(name, 0)

    def dead(self) -> list[tuple[list[str], bytes]]:
        """The dead letters, newest first: group, entry and error or cause of each, and its text.

        Every field of the hash has to be what the letters make it: chains, counts and the index by entry.
        """
        held = {stored(name).decode(): stored(value) for name, value in self.redis.hgetall(self.keys.dead).items()}
        expected: dict[str, str] = {}
        found, numbers = [], sorted((field[2:] for field in held if field.startswith("n ")), reverse=True)
        chains: dict[str, list[str]] = {}
        for number in numbers:
            _, _, group, name = held[f"n {number}"].decode().split(" ", 3)
            letter = StoredLetter.parse(held.pop(f"l {number}"))
            said = letter.why.get("exception") or letter.why["cause"]
            found.append(([group, name, said], letter.front + held.pop(f"m {number}", b"")))
            expected[f"i {name}"] = f"{number} {expected.get(f'i {name}', '')}".rstrip()
            for chain in ("", f" {group}"):
                chains.setdefault(chain, []).append(number)
        for chain, places in chains.items():
            expected |= {f"newest{chain}": places[0], f"oldest{chain}": places[-1], f"count{chain}": str(len(places))}
            for newer, number, older in zip(["0", *places], places, [*places[1:], "0"], strict=False):
                who = held[f"n {number}"].decode().split(" ", 2)[2]
                expected["g " + number if chain else "n " + number] = f"{older} {newer}" + ("" if chain else f" {who}")
        assert {field: value.decode() for field, value in held.items()} == expected
        return found

    def identities(self) -> dict[str, str]:
        """The stored identities and other places of entries, see lua/lib/identity.lua and lua/lib/stand_in.lua."""
        held = {
            stored(name).decode(): stored(text).decode() for name, text in self.redis.hgetall(self.keys.begins).items()
        }
        return {name: text for name, text in held.items() if name.startswith(("i ", "n ", "k "))}

    def orders(self) -> dict[str, str]:
        """The stored order values and marks, see lua/lib/window.lua."""
        held = {
            stored(name).decode(): stored(text).decode() for name, text in self.redis.hgetall(self.keys.begins).items()
        }
        return {name: text for name, text in held.items() if name.startswith(("o ", "m "))}

    def residue(self) -> dict[str, Any]:
        """Return the keys that are left of groups: none when all of them have ended."""
        left: dict[str, Any] = {**self.identities(), **self.orders()}
        stem = f"{{{self.keys.tag}}}:"
        for key in self.redis.scan_iter(match="*", count=1000):
            if key.startswith(f"{stem}w:".encode()):
                left[key.decode()] = self.redis.type(key)
        for key in self.keys.base[:5]:
            if self.redis.exists(key):
                left[key] = self.redis.type(key)
        if not [member for member in self.redis.zrange(self.keys.due, 0, -1) if member[:2] not in (b"w ", b"v ")]:
            left.pop(self.keys.due, None)  # workers have leases without tasks, too
        return left
