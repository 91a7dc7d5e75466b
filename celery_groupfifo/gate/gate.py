"""The gate: the operations on ordered groups, in the words of docs/how-it-works.md.

Each method is one script, plus what only a client can do: bring a ticket to a broker that is not the gate's own Redis.
Each call may be repeated after a lost reply.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from celery import Celery

from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.gate.keys import Keys, Keyspace, Quoted, entry_names, quote
from celery_groupfifo.gate.model import Entry, Failure, Finish, Finished, Lists, Number, Ticket, accepted
from celery_groupfifo.gate.recovery import BATCH, Recovery
from celery_groupfifo.gate.releaser import Releaser, Send, releaser_of
from celery_groupfifo.gate.server import RedisServer
from celery_groupfifo.gate.servers import gate_server
from celery_groupfifo.gate.store import ScriptArguments, Store
from celery_groupfifo.settings import Settings, read_settings

#: Time that a producer's last number is remembered: longer than any caller repeats a call.
PRODUCER_KEEP_MS = 600_000

_NO_CALLS: Mapping[Ticket, str] = MappingProxyType({})


class Gate(Recovery):
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
        self._producers: deque[Number] = deque()

    # -- producers ---------------------------------------------------------

    def number(self) -> Number:
        """Return the number of the next park: the same for every repetition of it."""
        return self.numbers(1)[0]

    def numbers(self, many: int) -> list[Number]:
        """Return numbers for parks in one round trip."""
        try:
            first = self._producers.popleft()
        except IndexError:
            first = Number(uuid4().hex, 1)
        return [Number(first.producer, first.value + i) for i in range(many)]

    def park(self, entry: Entry, number: Number, replaces: bool = False, producer: Any = None) -> bool:
        """Let an entry join the line of its group.

        Args:
            entry: To park.
            number: From `number()`.
            replaces: It goes on for the running entry of the same id.
            producer: See `publish`.

        Returns:
            False when the id is parked or running already; nothing was done then.

        Raises:
            GateUnavailable: It may or may not be parked; call again with the same number.
            GroupDraining: The group takes no new entries.
        """
        keys = self.keyspace.of_group(entry.group)
        reply = self.store.run("park", keys, *self._park_call(keys, entry, number, replaces))
        self._producers.append(Number(number.producer, number.value + 1))
        answer = self._parked(reply, entry, producer)
        if isinstance(answer, GroupFifoError):
            raise answer
        return answer

    def park_all(
        self, entries: Sequence[Entry], numbers: Sequence[Number], producer: Any = None
    ) -> list[bool | GroupFifoError]:
        """Park many entries in one round trip, in order.

        Args:
            entries: To park.
            numbers: As many, from `numbers()`.
            producer: See `publish`.

        Returns:
            For each entry the answer of `park`, or its error.

        Raises:
            GateUnavailable: Some may be parked; call again with the same numbers.
        """
        calls = []
        for entry, number in zip(entries, numbers, strict=True):
            keys = self.keyspace.of_group(entry.group)
            calls.append((keys, *self._park_call(keys, entry, number, False)))
        replies = self.store.run_all("park", calls)
        if numbers:
            self._producers.append(Number(numbers[-1].producer, numbers[-1].value + 1))
        pairs = zip(replies, entries, strict=True)
        return [self._parked(reply, entry, producer) for reply, entry in pairs]

    def _park_call(self, keys: Keys, entry: Entry, number: Number, replaces: bool) -> tuple[list[str], list[Any]]:
        more = [keys.line(entry.group), keys.group(entry.group), keys.producer(number.producer), keys.wake]
        if entry.list_key is not None:
            more.append(entry.list_key)
        return more, [
            entry.quoted_id,
            entry.group,
            entry.queue,
            entry.cut,
            entry.message,
            entry.delay,
            number.value,
            PRODUCER_KEEP_MS,
            int(replaces),
        ]

    def _parked(self, reply: Any, entry: Entry, producer: Any) -> bool | GroupFifoError:
        if isinstance(reply, GroupFifoError):
            return reply
        self.publish(reply[1:], producer)
        return accepted(int(reply[0]), entry)

    def revoke(self, task_id: str, note: str = "", group: Quoted | None = None) -> bytes | None:
        """Take out the entries of a task that do not run yet; their groups go on.

        Args:
            task_id: Of the task.
            note: For the audit, once an entry is taken out; empty: no entry.
            group: Only entries of this group, quoted; None: of any.

        Returns:
            The message of the entry, without its tickets; None when there is none, or it runs.
        """
        message = None
        for keys in self.keyspace.partitions:
            for name, entry in self.store.entries(keys, entry_names(task_id)).items():
                if group in (None, entry.group) and self._revoke(keys, name, entry.group, note):
                    message = message or entry.whole()
        return message

    def _revoke(self, keys: Keys, name: str, group: Quoted, note: str) -> bool:
        number = self.number()
        more = [keys.line(group), keys.group(group), keys.producer(number.producer), keys.audit]
        args: list[Any] = [name, group, number.value, PRODUCER_KEEP_MS, note]
        code, *rest = self.store.run("revoke", keys, more, args)
        self._producers.append(Number(number.producer, number.value + 1))
        self.publish(rest)
        return int(code) == 1

    # -- workers -----------------------------------------------------------

    def begin(self, ticket: Ticket, owner: Quoted, call: str = "") -> Ticket | None:
        """Take the lease for a ticket that was received.

        Args:
            ticket: As it came.
            owner: The worker.
            call: Name of the call, from `call_name`, the same for every repetition; empty: a new one.

        Returns:
            The ticket with the fence of its run, the same for every repetition; None when the ticket is stale.
        """
        return self.granted(ticket, self.store.run("begin", *self.begin_call(ticket, owner, call or self.call_name())))

    def begin_call(self, ticket: Ticket, owner: Quoted, call: str) -> ScriptArguments:
        """Return the call of a begin for the outbox, which sends many without waiting for their answers."""
        return self._keys(ticket), [], [ticket.entry, ticket.release, owner, call, self.settings.ttl_ms]

    def granted(self, ticket: Ticket, reply: Sequence[Any]) -> Ticket | None:
        """Read a begin's answer from the script's reply; see `begin`."""
        return ticket.begun(int(reply[1])) if reply[0] else None

    def finish(self, call: Finish) -> Finished:
        """Give the lease back, release the group's next head, and take the worker's next task.

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
        keys, group = self._keys(call.ticket), quote(call.key)
        more = [keys.line(group), keys.group(group), keys.calls(call.owner)]
        args: list[Any] = [call.ticket.entry, group, call.ticket.fence, call.owner, call.caller, call.call]
        args += [self.settings.ttl_ms, call.take, self.keep_ms, len(call.lists), *(name for name, _ in call.lists)]
        if call.continuation is not None:
            entry = call.continuation
            args += [entry.queue, entry.cut, entry.message, entry.delay]
        return "finish", (keys, more + [key for _, key in call.lists], args)

    def _fail_call(self, call: Finish, failure: Failure) -> ScriptArguments:
        keys, group = self._keys(call.ticket), quote(call.key)
        more = [keys.line(group), keys.group(group), keys.calls(call.owner)]
        more += [keys.cancelled(group, call.ticket.fence), *(key for _, key in call.lists)]
        args: list[Any] = [call.ticket.entry, group, call.ticket.fence, call.caller, call.call, self.keep_ms]
        args += [failure.policy, failure.error, failure.flag(call.ticket.id), len(call.lists)]
        return keys, more, args + [name for name, _ in call.lists]

    def finished(self, reply: Sequence[Any]) -> Finished:
        """Read a finish's answer from the script's reply, and publish the tickets that the script could not push."""
        code, taken, fence, due, *rest = reply
        self.publish(rest)
        return Finished(code == 0, taken or None, int(fence), None if due < 0 else due / 1000, code == 2)

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
            args += [ticket.entry, ticket.fence, int(lost)]
        return self._keys(runs[0][0]), [key for _, key in lists], args

    def renew(self, owner: Quoted, tickets: Iterable[Ticket], calls: Mapping[Ticket, str] = _NO_CALLS) -> list[Ticket]:
        """Renew all leases of a worker in one heartbeat.

        Args:
            owner: The worker.
            tickets: Of its runs.
            calls: For each ticket without a fence the name of the call that begins it: the lease may have been granted,
                and the answer not have come.

        Returns:
            The tickets whose lease is lost.
        """
        lost: list[Ticket] = []
        every = list(tickets)
        for keys in self.keyspace.partitions:
            mine = [ticket for ticket in every if ticket.tag == keys.tag]
            args: list[Any] = [self.settings.ttl_ms, self.keep_ms]
            for ticket in mine:
                args += [ticket.entry, ticket.fence or calls.get(ticket, "")]
            reply = self.store.run("renew", keys, [keys.calls(owner)], args)
            lost += [mine[place] for place in reply]
        return lost

    def forget(self, owner: Quoted) -> None:
        """Forget the last calls of a worker that has ended and repeats none."""
        for keys in self.keyspace.partitions:
            self.store.forget(keys.calls(owner))

    def lease(self, ticket: Ticket) -> float | None:
        """Return the seconds left of a lease; None when it is lost."""
        left = self.store.run("lease", self._keys(ticket), [], [ticket.entry, ticket.fence])
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
    store = Store(server.connections(timeout or settings.timeout, name), server.shown, patient)
    keyspace = Keyspace(server.prefix, settings.namespace, settings.partitions)
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
