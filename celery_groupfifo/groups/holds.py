"""Why the heads of groups are held, as the reason that lists show in a few words; `explain` says more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from celery_groupfifo.gate.keys import task_of, unquote
from celery_groupfifo.gate.records import AWAITS, LIMITED, TURN, Fair, Flight, Limits, StoredEntry
from celery_groupfifo.groups import content
from celery_groupfifo.groups.view import Group


def with_holds(
    groups: list[Group], flights: Sequence[Flight], read: Callable[[list[str]], list[bytes | None]]
) -> list[Group]:
    """Return groups with the reasons for which their heads are held, and the tenants for whose turns they wait.

    Args:
        groups: That were read.
        flights: What is under way in them.
        read: Returns the stored entries of names.
    """
    heads = {group.key: group.head for group in groups}
    held = [flight for flight in flights if flight.state == "held" and heads.get(_key(flight)) == task_of(flight.id)]
    texts = dict(zip(map(_key, held), zip(held, read([flight.id for flight in held]), strict=True), strict=True))
    return [_with_hold(group, *texts[group.key]) if group.key in texts else group for group in groups]


def _key(flight: Flight) -> str:
    return unquote(flight.group)


def _with_hold(group: Group, head: Flight, text: bytes | None) -> Group:
    entry = StoredEntry.parse(text)
    turn = _tenant_of(entry) if head.stop == TURN else ""
    reason = group.reason or ("" if group.state != "held" else _reason(group, head, entry, text or b"", turn))
    return replace(group, turn=turn, reason=reason)


def _reason(group: Group, head: Flight, entry: StoredEntry | None, text: bytes, turn: str) -> str:
    if head.stop == TURN:
        return f"waits for its turn among the groups of {turn!r}"
    if head.stop == AWAITS:
        return "waits for the other groups of its head"
    limits = Limits.parse(entry.limits) if entry else Limits()
    if head.stop == LIMITED:
        if limits.due is not None and limits.due == head.due:
            return "waits for the ETA of its head"
        return f"its rate of {(group.limit.rate if group.limit else None) or limits.rate} is used up"
    message = content.read(text)
    return f"waits for retry {message.retries} of its head" if message and message.retries else ""


def _tenant_of(entry: StoredEntry | None) -> str:
    fair = Fair.parse(entry.limits) if entry else None
    return unquote(fair.key) if fair else ""
