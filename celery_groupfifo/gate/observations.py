"""The observations of groups whose tasks run as in plain Celery: `groupfifo_mode="observe"`; see lua/lib/observed.lua.

Nothing of them decides anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from celery_groupfifo.gate.keys import Keys, Keyspace, Quoted, quote
from celery_groupfifo.gate.packing import Word
from celery_groupfifo.gate.store import Store

#: Milliseconds that a run counts as running, unless its process tells again that it goes on: three times in this time.
RUN_MS = 10_000
#: What is counted, by group and in all.
KINDS = ("runs", "overlaps", "overtaken", "late_retries", "not_counted")
#: The places of tasks that have none: it is not known, or the task came with an ETA.
UNKNOWN, TIMED = 0, -1


class Sent(NamedTuple):
    """The header of an observed task, `<place> <most> <group>`.

    Attributes:
        place: Of the task in its group, from 1; else `UNKNOWN` or `TIMED`.
        most: Runs of the group that may go on at once: the task's `group_concurrency`.
        group: The group, quoted.
    """

    place: int
    most: int
    group: Quoted

    def __str__(self) -> str:
        return f"{self.place} {self.most} {self.group}"

    @classmethod
    def parse(cls, text: object) -> Sent | None:
        """Read a header; None when it is none."""
        try:
            place, most, group = str(text).split(" ")
            return cls(int(place), int(most), Quoted(group))
        except ValueError:
            return None


class Seen(NamedTuple):
    """A run that has started.

    Attributes:
        sent: Its task's header.
        id: Of the task.
        call: Of the run, the same for a repetition.
    """

    sent: Sent
    id: str
    call: str


class Observations:
    """The observations at a gate.

    Args:
        store: Of the gate.
        keyspace: Of the gate.
    """

    def __init__(self, store: Store, keyspace: Keyspace) -> None:
        self._store, self._keyspace = store, keyspace

    def draw(self, group: Quoted, task_id: str) -> int:
        """Draw the place of a task that is sent.

        Args:
            group: Of the task.
            task_id: Of the task.
        """
        keys = self._keyspace.of_group(group)
        return int(self._store.run("observe_send", keys, keys.observed, [group, quote(task_id)]))

    def start(self, seen: Seen, task: str, again: bool, missed: int) -> bool:
        """Count the start of a run.

        Args:
            seen: The run.
            task: Name of the task.
            again: It has run before: a retry, or a message that came again.
            missed: Starts that the caller could not tell before.

        Returns:
            False when it was counted before.
        """
        sent, keys = seen.sent, self._keyspace.of_group(seen.sent.group)
        args: list[Word] = [
            sent.group,
            quote(seen.id),
            quote(task),
            seen.call,
            sent.place,
            int(again),
            sent.most,
            RUN_MS,
            missed,
        ]
        return bool(self._store.run("observe_start", keys, keys.observed, args))

    def end(self, runs: Iterable[Seen], goes_on: bool = False) -> None:
        """Note that runs are over, or that they still go on."""
        by_keys: dict[str, tuple[Keys, list[str]]] = {}
        for run in runs:
            keys = self._keyspace.of_group(run.sent.group)
            by_keys.setdefault(keys.tag, (keys, []))[1].extend((run.sent.group, quote(run.id), run.call))
        for keys, words in by_keys.values():
            self._store.run("observe_end", keys, keys.observed, [RUN_MS if goes_on else 0, *words])

    def totals(self) -> dict[str, int]:
        """Return what was counted in all groups, by kind."""
        found = dict.fromkeys(KINDS, 0)
        for keys in self._keyspace.partitions:
            (counts,) = self._store.read("observed", lambda pipe: pipe.hgetall(keys.observed[2]), keys)  # noqa: B023
            found = {kind: found[kind] + int(counts.get(kind.encode(), 0)) for kind in KINDS}
        return found

    def forget(self) -> None:
        """Remove all observations; groups that go on are counted from now on, with new places."""
        for keys in self._keyspace.partitions:
            self._store.at(keys).forget(*keys.observed)
