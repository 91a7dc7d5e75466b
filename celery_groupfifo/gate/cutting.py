"""The calls that cut tasks off their groups, and end them when the result backend knows of it.

Cut off, told, ended: a process that dies at any line in between leaves a part that is due, and a worker's sweep goes on
with it. A task may be told twice, and none is ended untold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from celery_groupfifo.gate.keys import CLAIM_MS, Keys, Quoted, task_of
from celery_groupfifo.gate.model import CutOff
from celery_groupfifo.gate.packing import Word
from celery_groupfifo.gate.recovery import MOST_BYTES, Recovery

#: Groups that one call cuts or ends, and places that it reads: it keeps Redis for a millisecond or two.
GROUPS, PLACES = 40, 200
#: Bits of a group's code in the answer of lua/cut.lua.
AGAIN, SCHEDULED, REFUSED = 1, 2, 4
#: The name of the part that an operator's action cuts off; those of failed runs have their fences.
OF_OPERATOR = "0"

Gone = tuple[str, bytes]
"""The id of a task, and its stored entry."""


@dataclass(slots=True)
class Read:
    """A part of a group that was read.

    Attributes:
        part: That part.
        code: Of the group, see `AGAIN`, `SCHEDULED` and `REFUSED`.
        places: The first places of the part.
        failed: Heads that had failed and blocked the group: they are gone, and known to have failed.
        gone: Its tasks, in order.
    """

    part: CutOff
    code: int
    failed: int = 0
    places: list[str] = field(default_factory=list)
    gone: list[Gone] = field(default_factory=list)

    @property
    def again(self) -> bool:
        """Return whether there is more of the group, once these are ended."""
        return bool(self.code & AGAIN)


class Answer(NamedTuple):
    """The answer to a cut.

    Attributes:
        reads: Of the first groups; the call has not come to the others.
        noted: True when something was cut off, and the audit has the note.
    """

    reads: list[Read]
    noted: bool


class Cutting(Recovery):
    """The part of a gate that cuts off tasks and ends them."""

    def cut(
        self, parts: Sequence[CutOff], bound: int = 0, note: str = "", names: Sequence[Sequence[str]] = ()
    ) -> Answer:
        """Cut off what does not run of some groups of a partition, and read it.

        Args:
            parts: One for each group, at most `GROUPS`.
            bound: Entries parked after this time (us) stay; 0: nothing is cut off, only read.
            note: For the audit, once something is cut off; empty: it is noted already.
            names: Of entries of each group that wait for an ETA, which are cut off, too; empty: none.
        """
        keys = parts[0].keys
        args: list[Word] = [note, bound, CLAIM_MS, PLACES, MOST_BYTES]
        more = [keys.audit, keys.wake]
        for part, scheduled in zip(parts, names or [()] * len(parts), strict=True):
            more += [keys.line(part.group), part.key]
            args += [part.group, part.fence, " ".join(scheduled)]
        noted, places, texts, *words = self.store.run("cut", keys, more, args)
        self.publish(words)
        return Answer(_reads(parts, places.decode(), texts), bool(noted))

    def cancel(self, reads: Sequence[Read]) -> None:
        """End tasks that were cut off, and that the result backend was told of. May be repeated.

        Args:
            reads: Of one partition.
        """
        keys, more = reads[0].part.keys, []
        args: list[Word] = [CLAIM_MS]
        for read in reads:
            more += [read.part.key, keys.line(read.part.group)]
            args += [read.part.group, read.part.fence, "\n".join(read.places)]
        self.publish(self.store.run("cancel", keys, more, args))

    def cancel_rest(self, part: CutOff, tell: Callable[[Sequence[Gone]], object]) -> int:
        """Tell and end all that a failed run has cut off.

        Args:
            part: That a sweep has named.
            tell: Takes tasks, and returns when the result backend knows of them.

        Returns:
            The number of tasks.
        """
        count, again = 0, True
        while again:
            (read,), _ = self.cut([part])
            if read.gone:
                tell(read.gone)
            self.cancel([read])
            count, again = count + len(read.gone), read.again
        return count


def _reads(parts: Sequence[CutOff], places: str, texts: bytes) -> list[Read]:
    reads: list[Read] = []
    lines, at, start = places.split("\n"), 0, 0
    for part in parts:
        if at >= len(lines) or not lines[at]:
            break
        count, code, failed = lines[at].split(" ")
        read = Read(part, int(code), int(failed))
        for line in lines[at + 1 : at + 1 + int(count)]:
            size, _, place = line.partition(" ")
            end = start + int(size)
            read.places.append(place)
            read.gone.append((task_of(place.partition(" ")[2]), texts[start:end]))
            start = end
        reads.append(read)
        at += 1 + int(count)
    return reads


def part_of(keys: Keys, group: Quoted) -> CutOff:
    """Return the part of a group that an operator's action cuts off."""
    return CutOff(keys, group, OF_OPERATOR)


__all__ = ["GROUPS", "OF_OPERATOR", "REFUSED", "SCHEDULED", "Cutting", "Gone", "Read", "part_of"]
