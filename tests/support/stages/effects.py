"""The effects of tasks on the world: a store that refuses writes of older runs, one SQLite file for each group.

A file for each group: a process that is frozen in the middle of a write holds up its own group only.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from celery_groupfifo.errors import GroupLeaseLost
from celery_groupfifo.fencing import Fenced, SqlFence

GUARD = SqlFence()
#: Longer than anybody is frozen.
PATIENCE = 60.0


class Effect(NamedTuple):
    """One write that was let in."""

    group: str
    seq: int
    fence: int
    moment: str


class Effects:
    """The world.

    Args:
        directory: Of its files.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def write(self, group: Fenced, seq: int, moment: str) -> None:
        """Write, unless a newer run has written.

        Raises:
            GroupLeaseLost: Refused; nothing was written.
        """
        with closing(self._open(group.key)) as db:
            cursor = db.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                GUARD.check(cursor, group)
                cursor.execute("INSERT INTO effect VALUES (?, ?, ?)", (seq, group.fence, moment))
            except GroupLeaseLost:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    def all(self) -> dict[str, list[Effect]]:
        """Return all effects by group, in the order of writing."""
        found: dict[str, list[Effect]] = {}
        for path in sorted(self._directory.glob("*.sqlite")):
            with closing(self._open(path.stem)) as db:
                rows = db.execute("SELECT seq, fence, moment FROM effect ORDER BY rowid").fetchall()
            found[path.stem] = [Effect(path.stem, *row) for row in rows]
        return found

    def _open(self, group: str) -> sqlite3.Connection:
        db = sqlite3.connect(self._directory / f"{group}.sqlite", timeout=PATIENCE, isolation_level=None)
        db.execute("PRAGMA synchronous = OFF")  # processes die here, the machine does not
        db.execute(GUARD.create)
        db.execute("CREATE TABLE IF NOT EXISTS effect (seq INTEGER, fence INTEGER, moment TEXT)")
        return db


def out_of_order(effects: dict[str, list[Effect]]) -> list[object]:
    """Writes that came after one of a newer run, and ends of tasks that came before that of an earlier task."""
    bad: list[object] = []
    for group, written in effects.items():
        bad += [f"{later} after {earlier}" for earlier, later in pairwise(written) if later.fence < earlier.fence]
        ends = list(dict.fromkeys(each.seq for each in written if each.moment == "end"))
        if ends != sorted(ends):
            bad.append(f"{group}: ends of {ends}")
    return bad
