"""A client that plays many senders and workers at once, so that the servers of a gate are busy.

For each task it parks one and ends one that runs, and the end takes the next one. Calls go out many at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from select import select
from time import perf_counter
from typing import Any, Literal, NamedTuple

import redis
from celery import Celery

from benchmarks.scenarios.base import Metrics
from benchmarks.scenarios.watch import server_seconds
from celery_groupfifo.gate.gate import Gate, build_gate
from celery_groupfifo.gate.keys import quote, unquote
from celery_groupfifo.gate.model import Entry, Finish, Lists, Number, Ticket
from celery_groupfifo.gate.packing import ScriptArguments
from celery_groupfifo.gate.parks import park_call
from celery_groupfifo.gate.pipelined import Pipelined
from celery_groupfifo.gate.records import ticket_of
from celery_groupfifo.gate.releaser import ELSEWHERE

#: Tasks that wait in each group, and rounds of a run, of which the best one counts.
WAITING, ROUNDS = 5, 5
#: Bytes of a message's body, and sweeps of each partition that find nothing.
BODY, SWEEPS = 300, 100
QUEUE = "celery"
_FRONT = '"exchange": "", "routing_key": "celery"}, "priority": 0}, '
_REST = '"id": "%s", "task": "shop.send_message", "retries": 0}, "body": "' + "b" * BODY + '"}'
_OWNER = quote("bench")


class Game(NamedTuple):
    """The load that a player makes.

    Attributes:
        groups: With `WAITING` tasks behind each one's head.
        running: Tasks that run at a time; the heads of the other groups wait.
        together: Tasks that are parked and ended in one write: two calls for each.
        partitions: Of the gate.
        take: The next task of an end: `own`, of its own group, as on a broker that is not the gate's Redis; `lists`,
            the next one in the queue, as on the gate's own Redis.
    """

    groups: int
    running: int
    together: int
    partitions: int = 1
    take: Literal["own", "lists"] = "own"


class Servers(NamedTuple):
    """The servers of a gate: its URL, a client of each server, and the server's number by partition."""

    url: str
    clients: Sequence[redis.Redis]
    of: Mapping[str, int]


class _Call(NamedTuple):
    """A call of a script."""

    script: str
    arguments: ScriptArguments


class Player:
    """A client that sends tasks and ends them.

    Args:
        servers: Of the gate; they are empty.
        game: To play.

    Attributes:
        app: Of the gate.
    """

    def __init__(self, servers: Servers, game: Game) -> None:
        self._servers, self._game, self._stack = servers, game, ExitStack()
        self.app = Celery("bench", broker="memory://", set_as_current=False)
        self.app.conf.update(groupfifo_url=servers.url, groupfifo_partitions=game.partitions)
        self._gate: Gate = build_gate(self.app, "groupfifo-bench")
        self._stack.callback(self.app.close)
        self._stack.callback(self._gate.store.close)
        self._lines: dict[int, Pipelined] = {}
        for keys in self._gate.keyspace.partitions:
            if (server := servers.of[keys.tag]) not in self._lines:
                line = Pipelined.open(self._gate.store.at(keys), ("park", "begin", "finish"))
                self._lines[server] = line
                self._stack.callback(line.close)
        self._lists: Lists = [(quote(QUEUE), QUEUE)] if game.take == "lists" else []
        self._numbers = count(1)
        groups = [f"customer-{number}" for number in range(game.groups)]
        parked = self._ask([self._park(group) for group in groups])
        heads: Any = servers.clients[0].rpop(QUEUE, game.running) if self._lists else [reply[2] for reply in parked]
        self._runs = self._begin(heads[: game.running])
        for _ in range(WAITING):
            self._ask([self._park(group) for group in groups])

    def close(self) -> None:
        """Close the connections."""
        self._stack.close()

    def play(self, tasks: int) -> Metrics:
        """Park and end so many tasks.

        Returns:
            `cpu_us`, the CPU time of all servers per task; `busiest`, the share of it that the busiest server has;
            `calls`, of scripts per second on the clock.
        """
        before, began, done = self._cpu(), perf_counter(), 0
        while done < tasks:
            runs, self._runs = self._runs[: self._game.together], self._runs[self._game.together :]
            pairs = [(self._park(unquote(run.group)), self._end(run)) for run in runs]
            answers = self._ask([call for pair in pairs for call in pair])
            self._runs += [self._next(run, reply) for run, reply in zip(runs, answers[1::2], strict=True)]
            done += len(runs)
        seconds = perf_counter() - began
        spent = [after - each for after, each in zip(self._cpu(), before, strict=True)]
        return {
            "cpu_us": sum(spent) * 1e6 / done,
            "busiest": max(spent) / sum(spent),
            "calls": 2 * done / seconds,
        }

    def sweep(self) -> float:
        """Sweep each partition often. Returns the CPU time of a sweep in microseconds."""
        before = self._cpu()
        for _ in range(SWEEPS):
            for keys in self._gate.keyspace.partitions:
                self._gate.sweep(keys, (), _OWNER)
        return (sum(self._cpu()) - sum(before)) * 1e6 / SWEEPS / self._game.partitions

    def _cpu(self) -> list[float]:
        return [server_seconds(client) for client in self._servers.clients]

    def _park(self, group: str) -> _Call:
        id = f"task-{next(self._numbers):032d}"
        queue, list_key = (quote(QUEUE), QUEUE) if self._lists else (f"{ELSEWHERE}{QUEUE}", None)
        entry = Entry(id, group, queue, list_key, len(_FRONT), (_FRONT + _REST % id).encode())
        keys = self._gate.keyspace.of_group(entry.group)
        return _Call("park", (keys, *park_call(keys, entry, Number(f"p-{group}", next(self._numbers)), False)))

    def _begin(self, released: Sequence[bytes]) -> list[Ticket]:
        tickets = [ticket_of(message) for message in released]
        assert all(tickets)
        held = [ticket._replace(lane=str(lane)) for lane, ticket in enumerate(tickets) if ticket]
        gate = self._gate
        replies = self._ask([_Call("begin", gate.begin_call(ticket, _OWNER, gate.call_name())) for ticket in held])
        begun = [gate.granted(ticket, reply) for ticket, reply in zip(held, replies, strict=True)]
        return [ticket for ticket in begun if ticket]

    def _end(self, run: Ticket) -> _Call:
        call = Finish(run, _OWNER, self._game.take, self._lists, self._gate.call_name(), extends=False)
        return _Call(*self._gate.finish_call(call))

    def _next(self, run: Ticket, reply: Any) -> Ticket:
        answer = self._gate.finished(reply)
        ticket = ticket_of(answer.taken or b"")
        assert not answer.stale and ticket is not None
        return ticket._replace(fence=answer.fence, lane=run.lane)

    def _ask(self, calls: Sequence[_Call]) -> list[Any]:
        """Make calls, those of a server in one write; return the answers in the order of the calls."""
        places: dict[int, list[int]] = {server: [] for server in self._lines}
        written: dict[int, list[bytes]] = {server: [] for server in self._lines}
        for place, (script, arguments) in enumerate(calls):
            keys = arguments[0]
            places[self._servers.of[keys.tag]].append(place)
            written[self._servers.of[keys.tag]].append(self._gate.store.command(script, arguments))
        answers: list[Any] = [None] * len(calls)
        unsent = {line for server, line in self._lines.items() if not line.send([b"".join(written[server])])}
        found: dict[int, list[Any]] = {server: [] for server in self._lines}
        while any(len(found[server]) < len(places[server]) for server in self._lines):
            readable, writable, _ = select(list(self._lines.values()), list(unsent), [])
            unsent -= {line for line in writable if line.flush()}
            for server, line in self._lines.items():
                found[server] += line.read() if line in readable else ()
        for server, replies in found.items():
            for place, reply in zip(places[server], replies, strict=True):
                if isinstance(reply, Exception):
                    raise reply
                answers[place] = reply
        return answers
