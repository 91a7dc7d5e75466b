"""The calls of a park and of an exchange, and what their answers mean; see lua/park.lua and lua/exchange.lua."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, NamedTuple
from uuid import uuid4

from celery_groupfifo.errors import DuplicateTask, GroupDraining, GroupFifoError, GroupFull, NotReplicated
from celery_groupfifo.gate.keys import Keys, quote, task_of
from celery_groupfifo.gate.model import Entry, Number
from celery_groupfifo.gate.records import StoredEntry

#: Time that a producer's last number is remembered: longer than any caller repeats a call.
KEEP_MS = 600_000

#: See lua/lib/limits.lua.
NO_LIMITS = "l0/0/0"
#: Words of a park's answer.
DROPPED, KNOWN, DRAINING, FULL = 3, -1, -2, -3
#: The answer to a park whose entry is to replace one that can't be replaced any more.
UNDER_WAY = -4

#: Places of the task that a call is a duplicate of, see lua/lib/claim.lua.
ENDED, ELSEWHERE = "e", "o"


Accepted = tuple[list[Any], NotReplicated | None]
"""The gate's replies, or errors; and the error of too few replicas, or None."""


class Old(NamedTuple):
    """The entry that a call is a duplicate of.

    Attributes:
        name: Its own.
        where: It is; empty: unknown.
    """

    name: str
    where: str

    @property
    def stays(self) -> bool:
        """Return whether it can't get another message."""
        return self.where in (ENDED, ELSEWHERE)

    @property
    def refusal(self) -> list[Any]:
        """Return the answer to the park of a call that is to replace it."""
        return [UNDER_WAY, self.name.encode(), self.where.encode()]


def numbers_for(entries: Sequence[Entry], usual: Sequence[Number]) -> list[Number]:
    """Return the numbers for the parks of entries in one round trip.

    One that may drop or replace another task has a producer of its own: its number must be the producer's last one when
    the gate keeps the dropped task, or the second script runs. Of the others the gate keeps which ones it has refused.

    Args:
        entries: To park.
        usual: As many numbers of one producer.
    """
    return [
        Number(uuid4().hex, 1) if entry.drops or entry.exchanges else number._replace(first=usual[0].value)
        for entry, number in zip(entries, usual, strict=True)
    ]


def script_of(entry: Entry) -> str:
    """Return the script that parks an entry."""
    return "park_several" if entry.others else "park"


def _several_call(keys: Keys, entry: Entry, number: Number, replaces: bool, limits: str) -> tuple[list[str], list[Any]]:
    """Return the keys and arguments of a park in several groups, see lua/park_several.lua."""
    groups = [quote(key) for key in entry.keys]
    more = [keys.producer(number.producer), keys.wake, *map(keys.line, groups)]
    if entry.list_key is not None:
        more.append(entry.list_key)
    args = [entry.quoted_id, entry.queue, entry.cut, entry.message, number.text, KEEP_MS, int(replaces)]
    return more, [*args, entry.bound.most if entry.bound else "", limits, len(groups), *groups]


def park_call(keys: Keys, entry: Entry, number: Number, replaces: bool) -> tuple[list[str], list[Any]]:
    """Return the keys and arguments of a park, by the script that `script_of` names.

    Args:
        keys: Of the group's partition.
        entry: To park.
        number: Of this park.
        replaces: It goes on for the running entry of the same id: then it has no bound, no identity and no order value.
    """
    more = [keys.line(entry.group), keys.producer(number.producer), keys.wake]
    if entry.list_key is not None:
        more.append(entry.list_key)
    waits = entry.reserves and entry.delay > 0 and not replaces  # for its ETA, at its place in line
    limits = stored_words(entry.fair, f"{entry.limits or NO_LIMITS}/+{entry.delay}" if waits else entry.limits)
    if entry.others:
        return _several_call(keys, entry, number, replaces, limits)
    stored = f"{entry.group} {entry.queue} {entry.cut}\n".encode() + entry.message
    args: list[Any] = [entry.quoted_id, entry.group, stored, number.text]
    bound, dedup = (None, None) if replaces else (entry.bound, entry.dedup)
    order, delay = "" if replaces else entry.order, 0 if waits else entry.delay
    if bound or limits or dedup or order or delay or replaces:
        args += [delay, int(replaces)]
    if bound or limits or dedup or order:
        args += [bound.most, int(entry.drops)] if bound else ["", 0]
    if limits or dedup or order:
        args.append(limits)
    if dedup or order:
        args += [*(dedup or ("", 0)), int(entry.is_latest)]
    if order:
        args.append(order)
    return more, args


def run_parks(
    run_all: Callable[[str, Sequence[Any]], Accepted],
    entries: Sequence[Entry],
    calls: Sequence[Any],
    before: str = "",
) -> Accepted:
    """Run the parks of entries in their order: in one round trip, unless some have several keys.

    Args:
        run_all: Runs a script many times, see `replicas.accept_all`.
        entries: To park.
        calls: Of each.
        before: Begin of the names of the scripts; empty: they stand alone.
    """
    if not any(entry.others for entry in entries):
        return run_all(f"{before}park", calls)
    replies, few = list[Any](), None
    for script, some in groupby(zip(entries, calls, strict=True), lambda pair: script_of(pair[0])):
        more, error = run_all(before + script, [call for _, call in some])
        replies, few = replies + more, error or few
    return replies, few


def stored_words(fair: str, limits: str) -> str:
    """Return the words of a stored entry, see lua/lib/keys.lua; empty: it has none."""
    return f"{fair} {limits}" if fair and limits else fair or limits


def duplicate_of(entry: Entry, reply: Sequence[Any]) -> Old:
    """Return what an entry is a duplicate of, by the answer to its park."""
    return Old(*(word.decode() for word in reply[1:])) if len(reply) > 1 else Old(entry.quoted_id, "")


def exchange_call(keys: Keys, entry: Entry, number: Number, old: Old) -> tuple[list[str], list[Any]]:
    """Return the keys and arguments of an exchange.

    Args:
        keys: Of the group's partition.
        entry: Its message.
        number: Of this call.
        old: The parked entry.
    """
    args = [entry.quoted_id, entry.group, entry.queue, entry.cut, entry.message, number.value, KEEP_MS]
    args += [stored_words(entry.fair, entry.limits), old.name]
    return [keys.line(entry.group), keys.producer(number.producer)], [*args, *(entry.dedup or ())]


def exchanged(reply: Sequence[Any], entry: Entry, old: Old) -> list[Any] | None:
    """Read the answer to an exchange.

    Returns:
        The answer of the entry's park; None: park it again, as the old one has gone on meanwhile.
    """
    code, *rest = reply
    if code == 0 or (code == -1 and entry.is_latest):
        return None
    if code == 1 and rest:
        return [DROPPED, *rest]
    if code == 1:
        return [KNOWN, old.name.encode(), old.where.encode()]
    return [UNDER_WAY] if code == -2 else old.refusal


def words_of(reply: Any) -> Sequence[Any]:
    """Return the words of a park's answer; the usual one is a number."""
    return [reply] if isinstance(reply, int) else reply


def read_park(reply: Any, entry: Entry) -> tuple[bool | GroupFifoError, Sequence[Any]]:
    """Read the answer to a park, and note in the entry what it has cost.

    Args:
        reply: Of the script.
        entry: That was sent.

    Returns:
        The answer, see `Gate.park`, and the tickets to publish.
    """
    code, *rest = words_of(reply)
    where, key, entry.existing = "", entry.key, None
    if entry.others and code in (DRAINING, FULL):
        key, rest = entry.keys[rest[0] - 1], []
    if code == DROPPED:
        name, text, *rest = rest
        stored = StoredEntry.parse(text)
        entry.dropped = task_of(name.decode()), stored.whole() if stored else text
        entry.reason = "revoked" if entry.drops else f"replaced by task {entry.id}"
    elif code in (KNOWN, UNDER_WAY):
        old, rest = duplicate_of(entry, reply), []
        where = old.where
        if task_of(old.name) != entry.id:
            entry.existing = task_of(old.name)
        if entry.existing and entry.awaited and entry.on_duplicate == "return_existing":
            entry.dropped, entry.reason = (entry.id, _whole(entry)), f"a duplicate of task {entry.existing}"
    elif code == FULL and entry.bound and entry.bound.overflow == "drop_new":
        entry.dropped = entry.id, _whole(entry)
    return accepted(int(code), entry, where, key), rest


def _whole(entry: Entry) -> bytes:
    return StoredEntry("", entry.group, "", entry.cut, entry.message).whole()


def accepted(code: int, entry: Entry, where: str = "", key: str = "") -> bool | GroupFifoError:
    """Read the first word of a park's answer, see lua/park.lua: False for a duplicate.

    Args:
        code: The word.
        entry: That was sent.
        where: The task is that it is a duplicate of, see lua/lib/claim.lua; empty: unknown.
        key: Of the group that is draining or full.
    """
    if code == -1 and entry.on_duplicate == "raise":
        return DuplicateTask(
            f"{_duplicate(entry, where)}, and its group_on_duplicate is 'raise': use another "
            f"{_identity(entry)}, or 'return_existing' for the result of the task that is there."
        )
    if code == UNDER_WAY:
        return DuplicateTask(_not_replaced(entry, where))
    if code == DRAINING:
        return GroupDraining(
            f"Task {entry.id} was not parked: group {key!r} is draining. It takes new tasks again when its last "
            "one has ended, or when it is resumed."
        )
    if code == FULL and entry.bound is not None and entry.bound.overflow != "drop_new":
        why = ", and none that is in line can make room" if entry.drops else ""
        return GroupFull(
            f"Task {entry.id} was not parked: group {key!r} has as many parked tasks as group_max_depth="
            f"{entry.bound.most} allows{why}. Send it later, or with a higher group_max_depth, or with another "
            "group_overflow: 'drop_new' or 'drop_oldest' makes a task REVOKED instead."
        )
    return code > 0


def _identity(entry: Entry) -> str:
    return "task_id" if entry.dedup is None or entry.dedup.identity.startswith(";") else "group_dedup_key"


def _duplicate(entry: Entry, where: str) -> str:
    found = f"Task {entry.id} of group {entry.key!r} is "
    state = "has ended, but counts for its group_dedup_for" if where == "e" else "is parked or running already"
    if entry.existing is not None:
        return f"{found}a duplicate of task {entry.existing}, which {state}"
    return found + ("parked or running already" if where != "e" else "a duplicate of itself: it has ended, but counts")


def _not_replaced(entry: Entry, where: str) -> str:
    way_out = f"Use another {_identity(entry)}, or group_on_duplicate='return_existing' for its result."
    if where == "e":
        return f"{_duplicate(entry, where)}: it can't be replaced any more. {way_out}"
    found = entry.existing or entry.id
    return (
        f"Task {found} of group {entry.key!r} can't be replaced: it is the head of its group already, has several "
        f"keys, or is in another group. {way_out}"
    )
