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
from celery_groupfifo.gate.packing import Word, pack
from celery_groupfifo.gate.records import StoredEntry
from celery_groupfifo.gate.recovery import MOST_BYTES, Recovery

#: Groups that one call cuts or ends, and places that it reads: it keeps Redis for a millisecond or so.
GROUPS, PLACES = 40, 200
#: Entries that are read to learn how large they are, and that one command reads.
FIRST, TEXTS = 4, 10
#: Bits of a group's code in the answer of lua/cut.lua: there is more of it; entries are aside, and nothing was cut off;
#: it has tasks with several keys.
AGAIN, ASIDE, REFUSED = 1, 2, 4
#: The name of the part that an operator's action cuts off; those of failed runs have their fences.
OF_OPERATOR = "0"

Gone = tuple[str, bytes]
"""The id of a task, and its stored entry."""


@dataclass(slots=True)
class Read:
    """A part of a group, as far as it was read.

    Attributes:
        part: That part.
        code: Of the group, see `AGAIN`, `ASIDE` and `REFUSED`.
        failed: Heads that had failed and blocked the group: they are gone, and known to have failed.
        places: The first places of the part.
        present: Those whose entries are there.
        gone: Their tasks, in order.
    """

    part: CutOff
    code: int
    failed: int
    places: list[str]
    present: list[str] = field(default_factory=list)
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
        args: list[Word] = [note, bound, CLAIM_MS, PLACES]
        more = [keys.audit, keys.wake]
        for part, scheduled in zip(parts, names or [()] * len(parts), strict=True):
            more += [keys.line(part.group), part.key]
            args += [part.group, part.fence, " ".join(scheduled)]
        noted, places, *words = self.store.run("cut", keys, more, args)
        self.publish(words)
        reads = _reads(parts, places.decode().split("\n"))
        every = [place.partition(" ")[2] for read in reads for place in read.places]
        _take(reads, self._texts(keys, every) if every else [])
        return Answer(reads, bool(noted))

    def _texts(self, keys: Keys, names: Sequence[str]) -> list[bytes | None]:
        """Read entries: a megabyte of them, about. In between two commands Redis serves its other clients."""
        store = self.store.at(keys)

        def call() -> list[bytes | None]:
            found: list[bytes | None] = []
            with store.stream() as stream:
                size, limit = 0, FIRST
                while len(found) < len(names) and limit > 0:
                    some = names[len(found) : len(found) + limit]
                    pages = [some[at : at + TEXTS] for at in range(0, len(some), TEXTS)]
                    stream.send(*(pack(["HMGET", keys.entries, *page]) for page in pages))
                    for texts in stream.read(len(pages)):
                        found += texts
                        size += sum(map(len, filter(None, texts)))
                    limit = int((MOST_BYTES - size) / max(size / len(found), 1))
            return found

        return store.ask("entries", call)

    def cancel(self, reads: Sequence[Read]) -> list[bool]:
        """End tasks that were cut off, and that the result backend was told of. May be repeated.

        Args:
            reads: Of one partition.

        Returns:
            For each whether the group has entries that are in no line, and not in this part: those that wait for an
            ETA, or are in another part.
        """
        keys = reads[0].part.keys
        more: list[str] = []
        args: list[Word] = [CLAIM_MS]
        for read in reads:
            more += [read.part.key, keys.line(read.part.group)]
            args += [read.part.group, read.part.fence, len(read.places), "\n".join(read.present)]
        asides, *words = self.store.run("cancel", keys, more, args)
        self.publish(words)
        return [letter == "1" for letter in asides.decode()]

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


def _reads(parts: Sequence[CutOff], lines: Sequence[str]) -> list[Read]:
    reads: list[Read] = []
    at = 0
    for part in parts:
        if at >= len(lines):
            break
        count, code, failed = map(int, lines[at].split(" "))
        reads.append(Read(part, code, failed, list(lines[at + 1 : at + 1 + count])))
        at += 1 + count
    return reads


def _take(reads: Sequence[Read], texts: Sequence[bytes | None]) -> None:
    """Put texts to the places that they are of; those that were not read are left to the next call."""
    at = 0
    for read in reads:
        if at + len(read.places) > len(texts):
            read.places, read.code = read.places[: max(len(texts) - at, 0)], read.code | AGAIN
        for place in read.places:
            us, _, name = place.partition(" ")
            text = texts[at]
            at += 1
            if text is not None and (text.startswith(us.encode() + b" ") or StoredEntry.parse(text) is None):
                read.present.append(place)
                read.gone.append((task_of(name), text))


def part_of(keys: Keys, group: Quoted) -> CutOff:
    """Return the part of a group that an operator's action cuts off."""
    return CutOff(keys, group, OF_OPERATOR)


__all__ = ["ASIDE", "GROUPS", "OF_OPERATOR", "REFUSED", "Cutting", "Gone", "Read", "part_of"]
