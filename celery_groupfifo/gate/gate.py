"""The gate: the operations on ordered groups, in the words of docs/how-it-works.md.

Each method is one script, plus what only a client can do: bring a ticket to a broker that is not the gate's own Redis.
Each call may be repeated after a lost reply.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from celery import Celery

from celery_groupfifo.gate.batches import Batches
from celery_groupfifo.gate.cluster_store import store_of
from celery_groupfifo.gate.cutting import Cutting
from celery_groupfifo.gate.keys import Keys, Keyspace, Quoted
from celery_groupfifo.gate.model import Failure, Finish, Finished, Lists, Ticket
from celery_groupfifo.gate.packing import ScriptArguments
from celery_groupfifo.gate.parking import Accepting
from celery_groupfifo.gate.records import whole_end
from celery_groupfifo.gate.recovery import BATCH
from celery_groupfifo.gate.releaser import Releaser, Send, releaser_of
from celery_groupfifo.gate.server import RedisServer
from celery_groupfifo.gate.servers import gate_server
from celery_groupfifo.gate.store import Store
from celery_groupfifo.printing import escaping
from celery_groupfifo.settings import Settings, read_settings
from celery_groupfifo.windows import NO_BREAKER

logger = escaping(logging.getLogger(__name__))

#: Words of the answer to a run's end, see lua/finish.lua; INVITES is added, also in the answer to a begin.
BLOCKED, HELD, INVITES = 2, 3, 4

_NO_CALLS: Mapping[Ticket, str] = MappingProxyType({})


class Gate(Batches, Accepting, Cutting):
    """The gate of one app.

    Args:
        store: Its scripts.
        keyspace: Its keys.
        settings: Of the app.
        releaser: Brings tickets to the broker.
        server: The gate's Redis.
    """

    def __init__(
        self, store: Store, keyspace: Keyspace, settings: Settings, releaser: Releaser, server: RedisServer
    ) -> None:
        super().__init__(store, keyspace, settings, releaser)
        self.server = server

    # -- workers -----------------------------------------------------------

    def begin(self, ticket: Ticket, owner: Quoted, call: str = "") -> Ticket | None:
        """Begin the run of a ticket that was received.

        Args:
            ticket: As it came, and with a lane of the worker that no other run is in.
            owner: The worker.
            call: Name of the call, from `call_name`, the same for every repetition; empty: a new one.

        Returns:
            The ticket with the fence of its run, the same for every repetition; None when the ticket is stale.
        """
        arguments = self.begin_call(ticket, owner, call or self.call_name())
        return self.granted(ticket, self.store.run("begin", *arguments))

    def begin_call(self, ticket: Ticket, owner: Quoted, call: str) -> ScriptArguments:
        """Return the call of a begin for the outbox, which sends many without waiting for their answers."""
        keys = self._keys(ticket)
        args: list[Any] = [ticket.entry, ticket.group, ticket.release, owner, ticket.lane, call, self.settings.ttl_ms]
        return keys, [keys.runs(owner)], args

    def granted(self, ticket: Ticket, reply: Sequence[Any]) -> Ticket | None:
        """Read a begin's answer from the script's reply; see `begin`."""
        return ticket.begun(int(reply[1])) if reply[0] else None

    def invited(self, ticket: Ticket, reply: Sequence[Any]) -> list[str]:
        """Return the members of `due` for `advance_call` after a begin, by its answer: other tasks go out."""
        own = [f"a {ticket.group}"] if reply[0] >= INVITES else []
        return own + [member.decode() for member in reply[2:]]

    def finish(self, call: Finish) -> Finished:
        """End a run, release the group's next head, and take the worker's next task.

        After a final failure the group's policy decides instead, and no task is taken.

        Raises:
            GateUnavailable: It may or may not be done; call again with the very same `call`.
        """
        script, arguments = self.finish_call(call)
        return self.finished(self.store.run(script, *arguments))

    def finish_call(self, call: Finish) -> tuple[str, ScriptArguments]:
        """Return the script for the end of a run, and its call; `finished` reads the answer."""
        if call.failure is not None and call.continuation is None:
            return "fail", self._fail_call(call, call.failure)
        keys, ticket = self._keys(call.ticket), call.ticket
        more = [keys.line(ticket.group), keys.runs(call.owner)]
        run, queues = f"{ticket.release} {ticket.fence} - - {ticket.lost}", " ".join(name for name, _ in call.lists)
        take = f"{call.take}{'+' * call.extends} {self.settings.ttl_ms}"
        args: list[Any] = [ticket.entry, ticket.group, run, f"{call.owner} {call.call}", ticket.lane, take, queues]
        if call.continuation is not None:
            entry = call.continuation
            args += [entry.queue, entry.cut, entry.message, entry.delay, *([1] if entry.rejoins else ())]
        return "finish", (keys, more + [key for _, key in call.lists], args)

    def _fail_call(self, call: Finish, failure: Failure) -> ScriptArguments:
        keys, ticket = self._keys(call.ticket), call.ticket
        more = [keys.line(ticket.group), keys.runs(call.owner), keys.cut_off(ticket.group, ticket.fence)]
        more += [keys.failures(ticket.group), *(key for _, key in call.lists)]
        for other in failure.others:
            more += [keys.line(other), keys.cut_off(other, ticket.fence), keys.failures(other)]
        args: list[Any] = [ticket.entry, ticket.group, ticket.fence, call.owner, ticket.lane, call.call]
        args += [self.settings.ttl_ms, failure.policy, failure.why, failure.flag(ticket.id)]
        args += [failure.lasts, *(failure.breaker or NO_BREAKER), len(call.lists)]
        args += [name for name, _ in call.lists]
        return keys, more, [*args, len(failure.others), *failure.others] if failure.others else args

    def finished(self, reply: Sequence[Any]) -> Finished:
        """Read a finish's answer from the script's reply, and publish the tickets that the script could not push."""
        code, taken, fence, due, *rest = whole_end(reply)
        self.publish(rest)
        seconds, invites = None if due < 0 else due / 1000, code >= INVITES
        code %= INVITES
        if code == HELD:
            return Finished(False, taken or None, int(fence), held=seconds, invites=invites)
        return Finished(code == 0, taken or None, int(fence), seconds, code == BLOCKED, invites=invites)

    def surrender(self, runs: Iterable[tuple[Ticket, bool]], lists: Lists = ()) -> None:
        """Give heads back: their tickets go out again at once.

        Args:
            runs: Tickets, each with True when a worker was lost with it.
            lists: The broker's lists that the caller knows.
        """
        every = list(runs)
        for keys in self.keyspace.partitions:
            mine = [(ticket, lost) for ticket, lost in every if ticket.tag == keys.tag]
            for start in range(0, len(mine), BATCH):
                call = self.surrender_call(mine[start : start + BATCH], lists)
                self.publish(self.store.run("surrender", *call)[1:])

    def surrender_call(self, runs: Sequence[tuple[Ticket, bool]], lists: Lists = ()) -> ScriptArguments:
        """Return the call that surrenders heads of one partition, at most `BATCH`; see `surrender`."""
        args: list[Any] = [len(lists), *(name for name, _ in lists)]
        for ticket, lost in runs:
            args += [ticket.group, ticket.entry, ticket.fence, int(lost)]
        return self._keys(runs[0][0]), [key for _, key in lists], args

    def renew(
        self,
        owner: Quoted,
        runs: Iterable[Ticket],
        calls: Mapping[Ticket, str] = _NO_CALLS,
        partitions: Sequence[Keys] | None = None,
    ) -> list[Ticket]:
        """Renew the lease of a worker in one heartbeat; runs that it has forgotten go back to their groups.

        Args:
            owner: The worker.
            runs: Tickets of all its runs, with their lanes.
            calls: For each ticket without a fence the name of the call that begins it: the run may have begun, and the
                answer not have come.
            partitions: Those of the runs; None: all.

        Returns:
            The tickets of runs that the worker has lost.
        """
        lost: list[Ticket] = []
        every = list(runs)
        for keys in self.keyspace.partitions if partitions is None else partitions:
            mine = [ticket for ticket in every if ticket.tag == keys.tag]
            args: list[Any] = [owner, self.settings.ttl_ms]
            for ticket in mine:
                args += [ticket.lane, ticket.group, ticket.entry, ticket.fence or calls.get(ticket, "")]
            many, *rest = self.store.run("renew", keys, [keys.runs(owner)], args)
            lost += [mine[place] for place in rest[:many]]
            words = [word.decode() for word in rest[many:]]
            for group, name, fence in zip(words[::3], words[1::3], words[2::3], strict=True):
                forgotten = Ticket(keys.tag, 0, 0, 0, name, Quoted(group), int(fence))
                logger.warning("Task %s was forgotten by its worker, and goes back to its group.", forgotten.id)
                self.surrender([(forgotten, True)])
        return lost

    def lease(self, ticket: Ticket) -> float | None:
        """Return the seconds left of the lease that a run has its group under; None when the run has lost it."""
        left = self.store.run("lease", self._keys(ticket), [], [ticket.entry, ticket.group, ticket.fence])
        return None if left < 0 else left / 1000


def build_gate(
    app: Celery, name: str = "groupfifo", timeout: float | None = None, patient: bool = True, send: Send | None = None
) -> Gate:
    """Build a new gate for `app`, with connections of its own.

    Args:
        app: The app whose settings count.
        name: Of the connections, shown by `CLIENT LIST`.
        timeout: Seconds to wait for an answer; None: derived from the lease.
        patient: Repeat a call after a time-out, too; see `Store`.
        send: Takes the tickets that are not for the gate's Redis; see `KombuReleaser`.

    Raises:
        InvalidSetting: A setting is wrong, or no Redis is known.
    """
    settings = read_settings(app.conf)
    server = gate_server(app, settings)
    keyspace = Keyspace(server.prefix, settings.namespace, settings.partitions, settings.partitions_before or 0)
    store = store_of(server, keyspace, timeout or settings.timeout, name, patient)
    return Gate(store, keyspace, settings, releaser_of(app, store, server, send), server)


_ATTRIBUTE = "_groupfifo_gates"


def gate_of(app: Celery, name: str = "groupfifo", **options: Any) -> Gate:
    """Return the gate of `app` in this process; built at first use, and again in a forked child.

    Args:
        app: The app whose settings count.
        name: Of its connections; each name has a gate of its own.
        **options: For `build_gate`, at first use.
    """
    known: dict[str, Gate]
    pid, known = app.__dict__.get(_ATTRIBUTE) or (0, {})
    if pid != os.getpid():
        known = {}
        app.__dict__[_ATTRIBUTE] = (os.getpid(), known)
    if name not in known:
        known[name] = build_gate(app, name, **options)
    return known[name]
