"""The place of an entry in its line, which may be long: some calls look for it, each at a part of the line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from celery_groupfifo.gate.keys import Keys, Quoted

#: Places that one call compares, during which Redis serves no other client.
PASSED = 2000

Run = Callable[[str, Keys, Sequence[str], Sequence[Any]], Any]
"""`Store.run`."""


def find_place(run: Run, keys: Keys, group: Quoted, us: str, id: str) -> int | None:
    """Return the place of an entry in a line, from 0; None when it stands in none.

    Args:
        run: Runs a script.
        keys: Of the partition.
        group: Of the line.
        us: Time when the entry was parked.
        id: Its name.
    """
    place, below, so_far = -1, -1, b""
    while place < 0 and below:
        place, below, so_far = run("place", keys, [keys.line(group)], [us, id, below, PASSED, so_far])
    return place if place >= 0 else None


def run_revoke(run: Run, keys: Keys, more: Sequence[str], args: Sequence[Any]) -> Sequence[Any]:
    """Run lua/revoke.lua, and return its reply. Of a group with a part cut off it asks for the place of the entry."""
    place = ""
    while True:
        code, *rest = run("revoke", keys, more, [*args, place])
        if code != 3:
            return [code, *rest]
        us, (id, group) = rest[0].decode(), args[:2]
        found = find_place(run, keys, group, us, id)
        place = f"{us} {-1 if found is None else found}"


__all__ = ["find_place", "run_revoke"]
