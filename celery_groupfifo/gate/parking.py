"""The calls of a gate that park and revoke tasks, and the partition of a group."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from celery_groupfifo.errors import GateUnavailable, GroupFifoError, NotReplicated
from celery_groupfifo.gate.growing import arrival, behind_home, has_left, home_word, is_split
from celery_groupfifo.gate.insert import Inserting
from celery_groupfifo.gate.keys import Keys, Keyspace, Quoted, entry_names
from celery_groupfifo.gate.model import Entry, Number
from celery_groupfifo.gate.numbers import Numbers
from celery_groupfifo.gate.packing import ScriptArguments
from celery_groupfifo.gate.parks import (
    DROPPED,
    KEEP_MS,
    KNOWN,
    duplicate_of,
    exchange_call,
    exchanged,
    numbers_for,
    park_call,
    read_park,
    run_parks,
    script_of,
    words_of,
)
from celery_groupfifo.gate.places import run_revoke
from celery_groupfifo.gate.releaser import Releaser
from celery_groupfifo.gate.replicas import accept, accept_all
from celery_groupfifo.gate.store import Store
from celery_groupfifo.settings import Settings


class Accepting(Inserting):
    """The part of a gate that producers use."""

    def __init__(self, store: Store, keyspace: Keyspace, settings: Settings, releaser: Releaser) -> None:
        super().__init__(store, keyspace, settings, releaser)
        self._numbers = Numbers()

    def number(self) -> Number:
        """Return the number of the next park: the same for every repetition of it."""
        return self.numbers(1)[0]

    def numbers(self, many: int) -> list[Number]:
        """Return numbers for parks in one round trip."""
        return self._numbers.take(many)

    def numbers_of(self, entries: Sequence[Entry]) -> list[Number]:
        """Return numbers for the parks of entries in one round trip, see `numbers_for`."""
        return numbers_for(entries, self.numbers(len(entries)))

    def park(self, entry: Entry, number: Number, replaces: bool = False, producer: Any = None) -> bool:
        """Let an entry join the line of its group.

        Args:
            entry: To park.
            number: From `number()`.
            replaces: It goes on for the running entry of the same id.
            producer: See `publish`.

        Returns:
            False when it is a duplicate, or the entry itself is `dropped`; nothing else was done then.

        Raises:
            GateUnavailable: It may or may not be parked; call again with the same number.
            NotReplicated: It is parked, and may be lost in a failover.
            GroupDraining: The group takes no new entries.
            GroupFull: It takes no more entries.
        """
        keys = self.keyspace.of_group(entry.group)
        call: ScriptArguments = (keys, *park_call(keys, entry, number, replaces))
        answer, few = accept(self.store, self.settings.wait_replicas, script_of(entry), call)
        if has_left(answer):
            keys, script, call = self._arriving(entry, number, replaces, answer)
            answer, few = accept(self.store, self.settings.wait_replicas, script, call)
        reply = words_of(answer)
        if reply[0] == KNOWN and entry.exchanges:
            answered, few = self._exchange(keys, entry, number, reply)
            if answered is None:
                return self.park(entry, number, replaces, producer)
            reply = answered
        if reply[0] != DROPPED and few is None:  # else the number is for the repetition
            self._numbers.give_back(number)
        answer = self._parked(reply, entry, producer)
        if isinstance(answer, GroupFifoError):
            raise answer
        if few is not None:
            raise few
        return answer

    def park_all(
        self, entries: Sequence[Entry], numbers: Sequence[Number], producer: Any = None
    ) -> list[bool | GroupFifoError]:
        """Park many entries in one round trip, in order.

        Args:
            entries: To park.
            numbers: As many, from `numbers_of()`.
            producer: See `publish`.

        Returns:
            For each entry the answer of `park`, or its error.

        Raises:
            GateUnavailable: Some may be parked; call again with the same numbers.
            NotReplicated: They are, and may be lost in a failover.
        """
        calls = []
        for entry, number in zip(entries, numbers, strict=True):
            keys = self.keyspace.of_group(entry.group)
            calls.append((keys, *park_call(keys, entry, number, False)))
        run_all = partial(accept_all, self.store, self.settings.wait_replicas)
        replies, few = run_parks(run_all, entries, calls)
        if moved := [at for at, reply in enumerate(replies) if has_left(reply)]:
            arriving = [self._arriving(entries[at], _of_arrival(numbers[at]), False, replies[at]) for at in moved]
            theirs, error = run_parks(
                run_all, [entries[at] for at in moved], [call for *_, call in arriving], behind_home("")
            )
            few = error or few
            for at, reply in zip(moved, theirs, strict=True):
                replies[at] = reply
        used = [number for number, entry in zip(numbers, entries, strict=True) if not (entry.drops or entry.exchanges)]
        if used and few is None:
            self._numbers.give_back(used[-1])
        pairs = zip(replies, entries, strict=True)
        answers = [self._parked(reply, entry, producer) for reply, entry in pairs]
        for at, entry in enumerate(entries):
            if answers[at] is False and entry.exchanges and not entry.dropped:
                answers[at] = self._park_again(entry, numbers[at], producer)
        if few is not None:
            raise few
        return answers

    def _arriving(
        self, entry: Entry, number: Number, replaces: bool, reply: Sequence[Any]
    ) -> tuple[Keys, str, ScriptArguments]:
        """Return the new partition of a group that has left its old one, and the script and call of a park there."""
        keys = self.keyspace.after(entry.group)
        more, args = park_call(keys, entry, number, replaces)
        return keys, behind_home(script_of(entry)), (keys, more, [arrival(reply[1]), *args])

    def home(self, group: Quoted) -> Keys:
        """Return the partition of a group; while their number grows, the old one is asked.

        Raises:
            GateUnavailable: It can't be reached.
        """
        keys = self.keyspace.of_group(group)
        if not keys.leaves(group):
            return keys
        self.store.at(keys).look_again(keys)  # a process that has made no call since may not have heard of it
        if not keys.base.asks:
            return keys
        reply = self.store.run("home", keys, [], [home_word(keys, [group])])
        return self.keyspace.after(group) if has_left(reply) else keys

    def _park_again(self, entry: Entry, number: Number, producer: Any) -> bool | GroupFifoError:
        """Park an entry by itself that may replace another one."""
        try:
            return self.park(entry, number, producer=producer)
        except GateUnavailable:
            raise  # the caller repeats them all
        except GroupFifoError as error:
            return error

    def _exchange(
        self, keys: Keys, entry: Entry, number: Number, reply: Sequence[Any]
    ) -> tuple[list[Any] | None, NotReplicated | None]:
        """Give the message of an entry to the parked one that it is a duplicate of.

        Returns:
            The answer of its park, or None: park it again, as the other one has gone on meanwhile; and see `accept`.
        """
        old = duplicate_of(entry, reply)
        if old.stays:
            return old.refusal, None
        call = keys, *exchange_call(keys, entry, number, old)
        said, few = accept(self.store, self.settings.wait_replicas, "exchange", call)
        return exchanged(said, entry, old), few

    def _parked(self, reply: Any, entry: Entry, producer: Any) -> bool | GroupFifoError:
        if isinstance(reply, GroupFifoError):
            return reply
        if is_split(reply):
            return GateUnavailable(
                f"Task {entry.id} was not parked: of its groups {list(entry.keys)!r} some have left for their new "
                "partition already, as groupfifo_partitions grows, and others still hold something. Call again when "
                "these have run empty."
            )
        answer, tickets = read_park(reply, entry)
        self.publish(tickets, producer)
        return answer

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
        more = [keys.line(group), keys.producer(number.producer), keys.audit, keys.wake]
        code, *rest = run_revoke(self.store.run, keys, more, [name, group, number.value, KEEP_MS, note])
        self._numbers.give_back(number)
        self.publish(rest)
        return int(code) == 1


def _of_arrival(number: Number) -> Number:
    """Return the number of a park in a group's new partition: of many in one round trip, that of another producer.

    The new partition may be the old one of other groups, and know a higher number of this round trip already.
    """
    return number._replace(producer=f"{number.producer};n") if number.first else number
