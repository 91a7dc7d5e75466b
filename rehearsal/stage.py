"""The stage: a gate on a real server, whose scripts are given the virtual time, and the judge beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

from celery import Celery

from celery_groupfifo import Groups
from celery_groupfifo.gate.gate import build_gate
from celery_groupfifo.gate.keys import Keys, quote
from celery_groupfifo.gate.model import Entry, Lists, Ticket
from celery_groupfifo.gate.packing import ScriptArguments
from rehearsal.agenda import Agenda
from rehearsal.judge import Judge
from rehearsal.plan import Plan
from rehearsal.wire import Hear, Wire

T = TypeVar("T")

QUEUE = "q"
LISTS: Lists = ((quote(QUEUE), QUEUE),)
#: The scripts that are called in one write with others.
WIRED = ("park", "park_several", "begin", "finish", "fail", "advance", "renew")

_DELIVERY = b'{"properties": {"delivery_tag": "'
# The parts of a message before and behind its second ticket, see sending/message.py.
_FRONT = json.dumps({"exchange": "", "routing_key": QUEUE})[1:] + ', "priority": 0}, '
_BODY = json.dumps([["a text of a customer, as long as such a text may be " * 3], {}, {"chain": None}])


class Stage:
    """The stage of a rehearsal, which its parts share.

    Args:
        plan: Of the day.
        url: Of an empty database of the server.

    Attributes:
        plan: Of the day.
        chance: All chance of the day.
        agenda: The virtual time.
        gate: The gate.
        groups: Actions of operators.
        wire: To the gate.
        judge: Of what happens.
        faulty: False: no call is lost and no worker is killed any more.
    """

    def __init__(self, plan: Plan, url: str) -> None:
        self.plan, self.chance = plan, Random(plan.seed)
        self.agenda, self.judge = Agenda(), Judge(plan.ttl_ms)
        self._app = Celery("rehearsal", broker=url, set_as_current=False)
        self._app.conf.groupfifo_lease_ttl = plan.lease
        self.gate = build_gate(self._app, "groupfifo-rehearsal", timeout=60.0)
        self.groups = Groups(self._app, self.gate)
        self.wire = Wire(self.gate.store, WIRED)
        self.faulty = True
        self._ahead_us = 0

    def close(self) -> None:
        """Let go of the server."""
        self.wire.close()
        self.gate.store.close()
        self._app.close()

    @property
    def keys(self) -> Keys:
        """Return the keys of the only partition."""
        return self.gate.keyspace.partitions[0]

    # -- time --------------------------------------------------------------

    @property
    def us(self) -> int:
        """Return the time by the clock of Redis, in microseconds."""
        return self.agenda.now + self._ahead_us

    @property
    def ms(self) -> int:
        """Return the time by the clock of Redis, in milliseconds."""
        return self.us // 1000

    def jump(self, seconds: float) -> None:
        """Set the clock of Redis ahead."""
        self._ahead_us += int(seconds * 1e6)

    # -- calls -------------------------------------------------------------

    def send(self, script: str, call: ScriptArguments, hear: Hear) -> None:
        """Send a script with the next write; the judge is told of its answer at the time of the call."""
        at, self.gate.store.clock = self.ms, str(self.us)

        def judged(answer: Any) -> None:
            self.judge.ms = at
            hear(answer)

        self.wire.send(self.gate.store.command(script, call), judged)

    def give_back(self, run: Ticket, lost: bool) -> None:
        """Surrender a run.

        Args:
            run: Its ticket, with the fence.
            lost: A worker was lost with it.
        """
        self.directly(lambda: self.gate.surrender([(run, lost)], LISTS))

    def directly(self, call: Callable[[], T]) -> T:
        """Make calls of the gate now, after all that were sent before."""
        self.wire.flush()
        self.judge.ms, self.gate.store.clock = self.ms, str(self.us)
        return call()


def entry_of(id: str, group: str, delay: int = 0, limits: str = "", reserves: bool = False) -> Entry:
    """Return an entry whose message is like that of a real task."""
    rest = f'"id": "{id}", "task": "shop.send_message", "retries": 0}}, "body": {json.dumps(_BODY)}}}'
    text = (_FRONT + rest).encode()
    return Entry(id, group, *LISTS[0], len(_FRONT), text, delay, limits=limits, reserves=reserves)


def ticket_of(message: bytes) -> Ticket:
    """Return the ticket of a message."""
    end = message.index(b'"', len(_DELIVERY))
    ticket = Ticket.parse(message[len(_DELIVERY) : end].decode())
    assert ticket is not None, message
    return ticket
