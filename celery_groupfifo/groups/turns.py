"""The tenants among whose groups heads wait for their turns, see lua/lib/fair.lua."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from celery_groupfifo.gate.keys import unquote
from celery_groupfifo.gate.records import TURN, Fair, Flight, StoredEntry
from celery_groupfifo.groups.view import Group


def with_turns(
    groups: list[Group], flights: Sequence[Flight], read: Callable[[list[str]], list[bytes | None]]
) -> list[Group]:
    """Return groups that name the tenants.

    Args:
        groups: That were read.
        flights: What is under way in them.
        read: Returns the stored entries of names.
    """
    waiting = [flight for flight in flights if flight.stop == TURN]
    texts = read([flight.id for flight in waiting])
    tenants = {unquote(flight.group): _tenant_of(text) for flight, text in zip(waiting, texts, strict=True)}
    return [_with_turn(group, tenants[group.key]) if group.key in tenants else group for group in groups]


def _with_turn(group: Group, tenant: str) -> Group:
    return replace(group, turn=tenant, reason=group.reason or f"waits for its turn among the groups of {tenant!r}")


def _tenant_of(text: bytes | None) -> str:
    entry = StoredEntry.parse(text)
    fair = Fair.parse(entry.limits) if entry else None
    return unquote(fair.key) if fair else ""
