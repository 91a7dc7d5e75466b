"""The content of a stored entry, and its copy under another key. The message's body is never decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from celery_groupfifo.gate.keys import unquote
from celery_groupfifo.gate.model import HOLD_HEADER, PART
from celery_groupfifo.gate.records import StoredEntry


@dataclass(frozen=True, slots=True)
class Content:
    """A stored entry, read.

    Attributes:
        key: Of its group.
        queue: Its name in the scripts.
        headers: Of the message.
    """

    key: str
    queue: str
    headers: dict[str, Any]

    @property
    def task(self) -> str:
        """Return the task's name."""
        return str(self.headers.get("task") or "")

    @property
    def args(self) -> str:
        """Return the arguments, as Celery shows them."""
        return str(self.headers.get("argsrepr") or "")

    @property
    def kwargs(self) -> str:
        """Return the keyword arguments, as Celery shows them."""
        return str(self.headers.get("kwargsrepr") or "")

    @property
    def retries(self) -> int:
        """Return the number of retries."""
        retries = self.headers.get("retries")
        return retries if isinstance(retries, int) else 0

    @property
    def is_part(self) -> bool:
        """Return whether it follows another task of its canvas, see sending/parts.py."""
        return self.headers.get(HOLD_HEADER) == PART


def read(text: bytes) -> Content | None:
    """Read a stored entry; None when it can't be read."""
    entry = StoredEntry.parse(text)
    try:
        return None if entry is None else Content(unquote(entry.group), unquote(entry.queue), entry.headers())
    except ValueError:
        return None


def moved(entry: StoredEntry | None, key: str) -> bytes:
    """Write an entry anew, as one of another group.

    Raises:
        ValueError: It can't be read.
    """
    if entry is None:
        raise ValueError("no entry")
    return entry.moved(key).text()
