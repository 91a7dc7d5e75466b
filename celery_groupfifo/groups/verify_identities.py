"""The check of identities, a part of `verify`: each is that of an entry, or counts for a time after its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celery_groupfifo.gate.keys import Keys, task_of, unquote
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.view import Breach

#: Fields of a hash that are read at a time.
CHUNK = 500


def stale_identities(reader: Reader, keys: Keys) -> Iterator[tuple[Breach, str]]:
    """Yield the breaches of identities whose entries are gone, and the field of each; see lua/lib/identity.lua."""
    for page in reader.scan("hscan", keys.begins, CHUNK):
        held = [(field, _entries(field, text.decode())) for field, text in page if field.startswith(("i ", "n "))]
        names = sorted({name for _, entries in held for name in entries})
        known = dict(zip(names, known_entries(reader, keys, names), strict=True))
        for field, entries in held:
            if entries and not any(known[name] for name in entries):
                group = field.split(" ")[1] if field.startswith("i ") else ""
                what, repair = "Its identity is kept, and it is gone.", "The identity is free again."
                yield Breach("identity", unquote(group), task_of(entries[-1]), what, repair), field


def _entries(field: str, text: str) -> list[str]:
    """Return the entries that a field is of; none when they have ended, and it counts for a time."""
    first, *others = text.split(" ")
    if field.startswith("n "):
        return [field[2:]]
    return others if first == "-" else []


def known_entries(reader: Reader, keys: Keys, names: list[str]) -> list[Any]:
    """Return for each name whether there is such an entry."""

    def build(pipe: Any) -> None:
        for name in names:
            pipe.hexists(keys.entries, name)

    return list(reader.ask("verify", build)) if names else []
