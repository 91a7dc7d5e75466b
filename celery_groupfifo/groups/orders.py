"""The order values of tasks that wait in their windows, and the check of them, a part of `verify`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from celery_groupfifo.gate.keys import Keys, Quoted, due_score, task_of, unquote
from celery_groupfifo.gate.records import StoredOrder
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.state import StoredState
from celery_groupfifo.groups.view import Breach
from celery_groupfifo.sending.order import shown_value

#: Fields of a hash that are read at a time.
CHUNK = 500
#: Letter of a group that has, or had, such tasks, see lua/lib/group.lua.
SORTED = "w"


class OrderFinding(NamedTuple):
    """A breach, and the commands of its repair, given a pipeline and the time (ms)."""

    breach: Breach
    mend: Callable[[Any, int], object]
    evidence: str


def order_values(reader: Reader, keys: Keys, names: Sequence[str]) -> list[str | None]:
    """Return the order value of each entry, as a number; None of one that waits in no window."""
    texts = reader.one("hmget", keys.begins, [f"o {name}" for name in names]) if names else []
    stored = [StoredOrder.parse(text) for text in texts]
    return [None if order is None else shown_value(order.value) for order in stored]


def order_findings(reader: Reader, keys: Keys, state: StoredState) -> Iterator[OrderFinding]:
    """Yield what is wrong with order values and marks; see lua/lib/window.lua."""
    known = set[str]()
    for page in reader.scan("hscan", keys.begins, CHUNK):
        for field, text in page:
            if field.startswith("o "):
                yield from _value_findings(keys, state, field, StoredOrder.parse(text), known)
            elif field.startswith("m ") and field not in state.due:
                what, repair = "The mark of its order is kept, and nobody forgets it.", "The next sweep does."
                breach = Breach("mark", unquote(field[2:]), "", what, repair)
                yield OrderFinding(breach, _make_due(keys, field), field)
    for member in state.due:
        if member.startswith("s ") and member not in known:
            _, group, _, _, name = member.split(" ")
            what, repair = "It stands among those that wait to be sorted, and has no order value.", "It is taken out."
            breach = Breach("order", unquote(group), task_of(name), what, repair)
            yield OrderFinding(breach, _leave(keys, member), member)


def _value_findings(
    keys: Keys, state: StoredState, field: str, order: StoredOrder | None, known: set[str]
) -> Iterator[OrderFinding]:
    name = field[2:]
    group = state.delayed.get(name)
    if group is None or order is None:
        what, repair = "It has an order value, and waits in no window.", "The value is forgotten."
        breach = Breach("order", unquote(group or ""), task_of(name), what, repair)
        yield OrderFinding(breach, lambda pipe, now: pipe.hdel(keys.begins, field), field)
        return
    member = order.member(group, name)
    known.add(member)
    if member not in state.due:
        what, repair = "It does not stand among those that wait to be sorted.", "It is sorted in."
        breach = Breach("order", unquote(group), task_of(name), what, repair)
        yield OrderFinding(breach, _make_due(keys, member), field)


def unmarked(state: StoredState) -> Iterator[Quoted]:
    """Yield groups with tasks that wait to be sorted, and whose state does not say so."""
    sorted_in = {Quoted(member.split(" ")[1]) for member in state.due if member.startswith("s ")}
    for group in sorted_in:
        stored = state.stored.get(group)
        if stored is not None and not stored.unreadable and SORTED not in stored.flags:
            yield group


def _make_due(keys: Keys, member: str) -> Callable[[Any, int], object]:
    return lambda pipe, now: pipe.zadd(keys.due, {member: due_score(member, 0 if member[0] == "s" else now)}, nx=True)


def _leave(keys: Keys, member: str) -> Callable[[Any, int], object]:
    return lambda pipe, now: pipe.zrem(keys.due, member)
