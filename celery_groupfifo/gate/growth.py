"""The growth of a gate's number of partitions while it is in use. growing.py has the rule of groups.

Timeline of a growth from 4 to 8: all processes know both numbers by now. Each of the 8 partitions gets a stamp that
says `4+8`; from then on groups leave the old ones as they run empty. When a look finds no group that has yet to leave,
each gets a stamp that says 8 and the highest fence of all. After a break, the same call goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from zlib import crc32

from celery_groupfifo.errors import UnsupportedState
from celery_groupfifo.gate.gate import Gate
from celery_groupfifo.gate.keys import Keys, unquote
from celery_groupfifo.gate.partitions import Restamping

#: Groups that have yet to leave, of which a look counts so many in a partition.
COUNTED = 1_000
#: Of them, those that are named.
NAMED = 10


class Growth(NamedTuple):
    """The state of a growth.

    Attributes:
        before: The number of partitions that it began with.
        number: That it goes to.
        left: Groups that still hold something in their old partitions, at most 1,000 of each; 0: it is over.
        groups: The keys of some of them.
        news: False: it was over already.
    """

    before: int
    number: int
    left: int = 0
    groups: tuple[str, ...] = ()
    news: bool = True


def grow_partitions(gate: Gate) -> Growth:
    """Let the number of a gate's partitions grow, or go on with it.

    Args:
        gate: Of an app whose settings have both numbers, as those of all other processes.

    Raises:
        UnsupportedState: The gate has another number, or another release's state; nothing was changed.
        GateUnavailable: Redis can't be reached: call again.
        NotReplicated: Too few replicas have confirmed a stamp: call again.
    """
    growing = _Growing(gate)
    try:
        return growing.go_on()
    finally:
        growing.close()


class _Growing(Restamping):
    def __init__(self, gate: Gate) -> None:
        super().__init__(gate)
        settings = gate.settings
        self._before, self._number = settings.partitions_before or settings.partitions, settings.partitions
        self._space = self._keyspace(self._number, self._before)
        self._scripts = self._store(self._space)
        self._both = f"{self._before}+{self._number}"

    def go_on(self) -> Growth:
        """Go on as far as possible, see `grow_partitions`."""
        every = list(reversed(self._space.partitions))
        known = (str(self._before), self._both, str(self._number))
        stamps = [self._stamp(self._scripts, keys) for keys in every]
        for keys, stamp in zip(every, stamps, strict=True):
            if stamp is not None and stamp.number not in known:
                raise UnsupportedState(
                    f"Partition {keys.tag} has groupfifo_partitions = {stamp.number}, and this process has "
                    f"{self._number}, and {self._before} before: nothing was changed."
                )
        if all(stamp is not None and stamp.number == str(self._number) for stamp in stamps):
            return Growth(self._before, self._number, news=False)
        for keys, stamp in zip(every, stamps, strict=True):
            if stamp is None or stamp.number == str(self._before):
                self._write(keys, stamp, self._both)
        found = [group for keys in self._space.partitions[: self._before] for group in self._yet_to_leave(keys)]
        if found:
            return Growth(self._before, self._number, len(found), tuple(map(unquote, found[:NAMED])))
        floor = max((self._fence(keys) for keys in every), default="")
        for keys in every:
            stamp = self._stamp(self._scripts, keys)
            if stamp is None or stamp.number != str(self._number):
                self._write(keys, stamp, str(self._number), floor=floor)
        return Growth(self._before, self._number)

    def _yet_to_leave(self, keys: Keys) -> list[str]:
        """Return groups of a partition that have another one from then on.

        None comes back once it is gone. A group goes from one hash to another, so a second look is at both.
        """
        found: dict[str, None] = {}
        for _ in range(2):
            for group in self._groups(keys):
                if crc32(group.encode()) % self._number != self._space.partitions.index(keys):
                    found[group] = None
                if len(found) >= COUNTED:
                    return list(found)
            if found:
                break
        return list(found)

    def _groups(self, keys: Keys) -> Iterator[str]:
        """Yield the groups that a partition holds anything of."""
        stamp = self._stamp(self._scripts, keys)
        names = keys.in_edition(stamp.edition if stamp else 1)
        yield from self._scan(names.groups, keys)
        for field in self._scan(names.flags, keys):
            yield field.partition(" ")[2]
        for field in self._scan(names.dead, keys, "count *"):
            yield field.partition(" ")[2]
        for match in ("s *", "m *", "i *"):
            for field in self._scan(names.begins, keys, match):
                yield field.split(" ")[1]

    def _scan(self, name: str, keys: Keys, match: str | None = None) -> Iterator[str]:
        part, cursor = self._scripts.at(keys), None
        while cursor != 0:
            at: int = cursor or 0
            page: Any = part.ask("scan", lambda: part.client.hscan(name, at, match=match, count=1000), keys)  # noqa: B023
            cursor = int(page[0])
            yield from (field.decode() for field in page[1])
