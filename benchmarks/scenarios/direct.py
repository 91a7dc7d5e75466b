"""The gate without workers: for states that only a gate can be in, and for the time of single scripts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from select import select
from typing import Any

from celery import Celery

from benchmarks.bench import LIVE, Bench
from benchmarks.producer import SECOND
from celery_groupfifo.gate.gate import build_gate
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import HEADER, KEY_HEADER, Entry, Finish, Ticket
from celery_groupfifo.gate.packing import ScriptArguments
from celery_groupfifo.gate.pipelined import Pipelined

QUEUE = "celery"
#: First number of the groups that wait beside the measured ones.
HELD = 5 * SECOND
_AN_HOUR_MS = 3_600_000
_OWNER = quote("bench")


class DirectGate:
    """A client of the gate that plays one worker."""

    def __init__(self, bench: Bench) -> None:
        app = Celery("bench", broker=f"{bench.server.url}/{LIVE}", set_as_current=False)
        self._client: Any = bench.client
        self.gate = build_gate(app, "groupfifo-bench")
        self._lists = [(quote(QUEUE), QUEUE)]
        self._lanes = map(str, count())
        self._line = Pipelined.open(self.gate.store, ("begin", "finish"))

    def receive(self, most: int) -> list[tuple[Ticket, str]]:
        """Pop up to so many tickets from the queue, each with the key of its group."""
        return [_ticket(message) for message in self._client.rpop(QUEUE, most) or ()]

    def begin(self, received: Sequence[tuple[Ticket, str]]) -> list[tuple[Ticket, str]]:
        """Begin tickets, in one write as a worker's finishes go out; see `Gate`. Returns them with their fences."""
        held = [(ticket._replace(lane=next(self._lanes)), key) for ticket, key in received]
        calls = [self.gate.begin_call(ticket, _OWNER, self.gate.call_name()) for ticket, _ in held]
        runs = []
        for (ticket, key), reply in zip(held, self._ask([("begin", call) for call in calls]), strict=True):
            begun = self.gate.granted(ticket, reply)
            assert begun is not None
            runs.append((begun, key))
        return runs

    def finish(self, runs: Sequence[tuple[Ticket, str]], take: bool = False) -> list[tuple[Ticket, str]]:
        """Finish runs in one write; see `Gate`. Returns the tickets that were taken."""
        calls = [
            Finish(ticket, _OWNER, "lists" if take else "none", self._lists, self.gate.call_name(), extends=False)
            for ticket, _ in runs
        ]
        answers = [self.gate.finished(reply) for reply in self._ask([self.gate.finish_call(call) for call in calls])]
        assert not any(answer.stale for answer in answers)
        pairs = zip(runs, answers, strict=True)
        return [_run(answer.taken, answer.fence, run.lane) for (run, _), answer in pairs if answer.taken is not None]

    def _ask(self, calls: Sequence[tuple[str, ScriptArguments]]) -> list[Any]:
        sent = self._line.send([self.gate.store.command(script, call) for script, call in calls])
        answers: list[Any] = []
        while len(answers) < len(calls):
            readable, writable, _ = select([self._line], [] if sent else [self._line], [])
            sent = sent or bool(writable and self._line.flush())
            answers += self._line.read() if readable else ()
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def hold(self, ticket: Ticket, key: str) -> None:
        """End the run of a task that was begun, with a retry in an hour."""
        text = self._client.hget(self.gate.keyspace.partitions[0].entries, ticket.entry)
        front, _, message = text.partition(b"\n")
        cut = int(front.split(b" ")[3])
        entry = Entry(ticket.id, key, quote(QUEUE), QUEUE, cut, message, _AN_HOUR_MS)
        call = Finish(ticket, _OWNER, call=self.gate.call_name(), continuation=entry)
        assert not self.gate.finish(call).stale


def hold_groups(bench: Bench, config: str, count: int) -> None:
    """Bring groups into the state of waiting for a retry, with two more tasks parked behind each."""
    if not count:
        return
    request = {"tasks": ["noop"], "count": 3 * count, "groups": count, "base": HELD}
    bench.producer("grouped", config).ask("fill", **request)
    gate = DirectGate(bench)
    for received in gate.receive(count):
        ((ticket, key),) = gate.begin([received])
        gate.hold(ticket, key)


def _ticket(message: bytes) -> tuple[Ticket, str]:
    headers = json.loads(message)["headers"]
    ticket = Ticket.parse(headers[HEADER])
    assert ticket is not None
    return ticket, headers[KEY_HEADER]


def _run(message: bytes, fence: int, lane: str) -> tuple[Ticket, str]:
    ticket, key = _ticket(message)
    return ticket._replace(fence=fence, lane=lane), key
