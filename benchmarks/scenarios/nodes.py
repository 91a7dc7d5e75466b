"""The CPU time of Redis for a task, alone and on the nodes of a Redis Cluster.

One client plays the workers and the senders: for each task it parks one and ends one that runs, and the end takes the
next one. Calls go out many at a time, on one connection to each node. So a node is busy while it is measured, and the
client limits the calls per second, not Redis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from select import select
from time import perf_counter
from typing import Any, NamedTuple

import redis
from celery import Celery

from benchmarks.bench import LIVE, Bench
from benchmarks.scenarios.base import Metrics
from celery_groupfifo.gate.gate import Gate, build_gate
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Entry, Finish, Number, Ticket
from celery_groupfifo.gate.packing import ScriptArguments
from celery_groupfifo.gate.parks import park_call
from celery_groupfifo.gate.pipelined import Pipelined
from celery_groupfifo.gate.records import ticket_of
from celery_groupfifo.gate.releaser import ELSEWHERE
from tests.support.redis_cluster import RedisCluster, slot_of

GROUPS, PARTITIONS = 300, 12
#: Tasks that wait in each group, and rounds, of which the best one counts.
WAITING, ROUNDS = 5, 5
#: Sweeps of each partition that find nothing.
SWEEPS = 100
_FRONT = '"exchange": "", "routing_key": "celery"}, "priority": 0}, '
_REST = '"id": "%s", "task": "shop.send_message", "retries": 0}, "body": "' + "b" * 300 + '"}'
_OWNER = quote("bench")


class _Call(NamedTuple):
    """A call of a script."""

    script: str
    arguments: ScriptArguments


class _Servers(NamedTuple):
    """The servers of an arm: a URL of the gate, a client of each server, and the server's number by partition."""

    url: str
    clients: Sequence[redis.Redis]
    of: Mapping[str, int]


@dataclass
class Nodes:
    """Tasks of many groups, parked and handed off.

    Attributes:
        count: Tasks of a round.
    """

    count: int
    name: str = "nodes"
    repeatable: bool = True

    @property
    def arms(self) -> Mapping[str, int]:
        """Return the masters of each arm's cluster, see `Scenario`; 0: a server alone."""
        return {"alone": 0, "one node": 1, "three nodes": 3}

    def measure(self, bench: Bench, arm: str) -> Metrics:
        """Measure an arm, see `Scenario`.

        Returns:
            Of the best round: `cpu_us`, the CPU time of all servers per task; `busiest`, the share of it that the
            busiest server has; `calls`, of scripts per second on the clock. And `sweep_us`, the CPU time of a sweep
            that finds nothing, each by itself.
        """
        with _servers(bench, self.arms[arm]) as servers:
            player = _Player(servers)
            rounds = [player.play(self.count) for _ in range(ROUNDS)]
            sweep = player.sweep()
            player.close()
        return {**min(rounds, key=lambda each: each["cpu_us"]), "sweep_us": sweep}

    def close(self, bench: Bench) -> None:
        """Empty the databases, see `Scenario`."""
        bench.clear()


@contextmanager
def _servers(bench: Bench, masters: int) -> Iterator[_Servers]:
    """Run the servers of an arm in this block."""
    tags = [f"groupfifo:{partition}" for partition in range(PARTITIONS)]
    if not masters:
        bench.clear()
        yield _Servers(f"{bench.server.url}/{LIVE}", [bench.client], dict.fromkeys(tags, 0))
        return
    with RedisCluster(masters) as cluster:
        nodes = [cluster.master_of(slot_of(partition)) for partition in range(PARTITIONS)]
        of = {tag: cluster.masters.index(node) for tag, node in zip(tags, nodes, strict=True)}
        yield _Servers(cluster.url, [cluster.client(node) for node in cluster.masters], of)


class _Player:
    """A client that sends tasks and ends them.

    Args:
        servers: Of the gate.
    """

    def __init__(self, servers: _Servers) -> None:
        self._servers, self._stack = servers, ExitStack()
        app = Celery("bench", broker="memory://", set_as_current=False)
        app.conf.update(groupfifo_url=servers.url, groupfifo_partitions=PARTITIONS)
        self._gate: Gate = build_gate(app, "groupfifo-bench")
        self._stack.callback(app.close)
        self._stack.callback(self._gate.store.close)
        self._lines: dict[int, Pipelined] = {}
        for keys in self._gate.keyspace.partitions:
            if (server := servers.of[keys.tag]) not in self._lines:
                line = Pipelined.open(self._gate.store.at(keys), ("park", "begin", "finish"))
                self._lines[server] = line
                self._stack.callback(line.close)
        self._numbers = count(1)
        self._groups = [f"customer-{number}" for number in range(GROUPS)]
        self._runs = self._begin(self._ask([self._park(group) for group in self._groups]))
        for _ in range(WAITING):
            self._ask([self._park(group) for group in self._groups])

    def close(self) -> None:
        """Close the connections."""
        self._stack.close()

    def play(self, tasks: int) -> Metrics:
        """Park and end so many tasks. Returns the figures, see `Nodes.measure`."""
        before, began, done = self._cpu(), perf_counter(), 0
        while done < tasks:
            ends = [self._end(run) for run in self._runs]
            answers = self._ask(
                [call for pair in zip(map(self._park, self._groups), ends, strict=True) for call in pair]
            )
            self._runs = [self._next(run, reply) for run, reply in zip(self._runs, answers[1::2], strict=True)]
            done += len(self._runs)
        seconds = perf_counter() - began
        spent = [after - each for after, each in zip(self._cpu(), before, strict=True)]
        return {
            "cpu_us": sum(spent) * 1e6 / done,
            "busiest": max(spent) / sum(spent),
            "calls": 2 * done / seconds,
        }

    def sweep(self) -> float:
        """Sweep each partition often. Returns the CPU time of a sweep in microseconds, see `Nodes.measure`."""
        before = self._cpu()
        for _ in range(SWEEPS):
            for keys in self._gate.keyspace.partitions:
                self._gate.sweep(keys, (), _OWNER)
        return (sum(self._cpu()) - sum(before)) * 1e6 / SWEEPS / PARTITIONS

    def _cpu(self) -> list[float]:
        found = []
        for client in self._servers.clients:
            cpu = client.info("cpu")
            found.append(float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"]))
        return found

    def _park(self, group: str) -> _Call:
        id = f"task-{next(self._numbers):032d}"
        entry = Entry(id, group, f"{ELSEWHERE}celery", None, len(_FRONT), (_FRONT + _REST % id).encode())
        keys = self._gate.keyspace.of_group(entry.group)
        return _Call("park", (keys, *park_call(keys, entry, Number(f"p-{group}", next(self._numbers)), False)))

    def _begin(self, parked: Sequence[Any]) -> list[Ticket]:
        tickets = [ticket_of(reply[2]) for reply in parked]
        assert all(tickets)
        held = [ticket._replace(lane=str(lane)) for lane, ticket in enumerate(tickets) if ticket]
        gate = self._gate
        replies = self._ask([_Call("begin", gate.begin_call(ticket, _OWNER, gate.call_name())) for ticket in held])
        begun = [gate.granted(ticket, reply) for ticket, reply in zip(held, replies, strict=True)]
        return [ticket for ticket in begun if ticket]

    def _end(self, run: Ticket) -> _Call:
        call = Finish(run, _OWNER, "own", (), self._gate.call_name(), extends=False)
        return _Call(*self._gate.finish_call(call))

    def _next(self, run: Ticket, reply: Any) -> Ticket:
        code, message, fence, *_ = reply
        ticket = ticket_of(message)
        assert code == 1 and ticket is not None
        return ticket._replace(fence=int(fence), lane=run.lane)

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
