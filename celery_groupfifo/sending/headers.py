"""The headers of our own in messages, which neither a task nor its messages may have.

A task may send on the headers that it was called with, and a stamp or a signal handler may copy them. A copied ticket
must not count or begin anything. So our headers are taken out of every message that is sent, and out of the request of
every run. A ticket counts where the gate has put it, in a message of its own task.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from celery_groupfifo.gate.model import HEADER, KEY_HEADER, Ticket

#: Headers of Celery that hold other headers: a mapping, or a list of their names.
_HOLDERS = ("headers", "stamps", "stamped_headers")


def is_ours(name: object) -> bool:
    """Return whether a header's name is one of ours."""
    return isinstance(name, str) and name.startswith(HEADER)


def has_ours(headers: Mapping[str, Any]) -> bool:
    """Return whether headers hold any of ours, at any place where Celery looks for a task's own headers."""
    return any(map(is_ours, headers)) or any(any(map(is_ours, _held(headers, holder))) for holder in _HOLDERS)


def ours(headers: Mapping[str, Any]) -> list[str]:
    """Return the names of ours in headers, at any place where Celery looks for a task's own headers."""
    held = [each for holder in _HOLDERS for each in _held(headers, holder)]
    return sorted({each for each in (*headers, *held) if is_ours(each)})


def cleaned(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of headers without ours."""
    kept = {name: value for name, value in headers.items() if not is_ours(name)}
    for holder in _HOLDERS:
        held = _held(kept, holder)
        if isinstance(held, Mapping):
            kept[holder] = {name: value for name, value in held.items() if not is_ours(name)}
        elif held:
            kept[holder] = [name for name in held if not is_ours(name)]
    return kept


def _held(headers: Mapping[str, Any], holder: str) -> Collection[Any]:
    held = headers.get(holder)
    return held if isinstance(held, (Mapping, list, tuple)) else ()


def clean(headers: dict[str, Any]) -> None:
    """Take our headers out of a mapping, in place."""
    if has_ours(headers):
        kept = cleaned(headers)
        headers.clear()
        headers.update(kept)


def ticket_in(headers: Mapping[str, Any]) -> Ticket | None:
    """Return the ticket that headers carry for their own task; None without one, or for another task's."""
    ticket = Ticket.parse(headers.get(HEADER))
    if ticket is None or ticket.id != headers.get("id") or not isinstance(headers.get(KEY_HEADER), str):
        return None
    return ticket
