"""The dedup keys of tasks, as people see them."""

from __future__ import annotations

from celery_groupfifo.gate.keys import Keys, unquote
from celery_groupfifo.groups.reader import Reader


def dedup_key_of(reader: Reader, keys: Keys, name: str) -> str | None:
    """Return the dedup key that an entry was parked with; None: it has none, or only its id counts.

    Args:
        reader: Reads the gate.
        keys: Of the partition.
        name: Of the entry.
    """
    said = reader.one("hget", keys.begins, f"n {name}") or b""
    identity = said.decode().partition(" ")[2]
    return None if identity.startswith(";") else unquote(identity) or None
