"""The purge of groups: what does not run is cut off them, the result backend is told, and the tasks end.

Many groups share each call, so that the time for a task is some microseconds.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Sequence

from celery import Celery

from celery_groupfifo.gate.cutting import ASIDE, GROUPS, REFUSED, Read, part_of
from celery_groupfifo.gate.gate import Gate
from celery_groupfifo.gate.keys import Keys, Quoted, quote, task_of
from celery_groupfifo.gate.records import message_of
from celery_groupfifo.gate.recovery import MOST_BYTES
from celery_groupfifo.groups.action_calls import ActionCalls
from celery_groupfifo.groups.reader import PLACES, Reader
from celery_groupfifo.sending.revoke import tell_revoked
from celery_groupfifo.sending.telling import Teller

#: Members of `due` per round trip, and entries that wait for an ETA per call.
SCANNED, NAMES = 500, 100


class Purge:
    """One purge.

    Args:
        app: The app, whose result backend is told.
        gate: Its gate.
        reader: Reads the gate.
        note: For the audit.
    """

    def __init__(self, app: Celery, gate: Gate, reader: Reader, note: str) -> None:
        self._app, self._gate, self._reader, self._note = app, gate, reader, note
        self._counts: Counter[Quoted] = Counter()

    def run(self, groups: Sequence[str]) -> dict[str, int]:
        """Purge groups.

        Args:
            groups: Their keys.

        Returns:
            For each the number of tasks that were taken out.

        Raises:
            GroupFifoError: The result backend can't be told.
        """
        by_partition: dict[str, tuple[Keys, list[Quoted]]] = {}
        for name in dict.fromkeys(map(quote, groups)):
            keys = self._gate.home(name)
            by_partition.setdefault(keys.tag, (keys, []))[1].append(name)
        with Teller(self._app) as teller:
            for keys, names in by_partition.values():
                self._purge(teller, keys, names)
        return {group: self._counts[quote(group)] for group in groups}

    def _purge(self, teller: Teller, keys: Keys, names: Sequence[Quoted]) -> None:
        bound = int(self._reader.now(keys) * 1000)
        cutting = _Cutting(self._gate, keys, self._note, bound)
        delayed: set[Quoted] = set()
        for reads in cutting.run((name, ()) for name in names):
            delayed |= self._end(teller, reads)
            for read in reads:
                if read.code & REFUSED:
                    self._purge_one_by_one(keys, read.part.group, bound)
        for page in self._scheduled(keys, delayed):
            for reads in cutting.run(page.items()):
                self._end(teller, reads)

    def _end(self, teller: Teller, reads: Sequence[Read]) -> set[Quoted]:
        """Tell the result backend of what was cut off, and end it. Return groups with entries that wait for an ETA."""
        reads = [read for read in reads if not read.code & REFUSED]
        cut = [read for read in reads if read.places]
        if gone := [one for read in cut for one in read.gone]:
            teller.tell(gone)
        asides = self._gate.cancel(cut) if cut else []
        for read in reads:
            self._counts[read.part.group] += len(read.gone) + read.failed
        delayed = {read.part.group for read in reads if read.code & ASIDE}
        return delayed | {read.part.group for read, aside in zip(cut, asides, strict=True) if aside and not read.again}

    def _scheduled(self, keys: Keys, groups: Collection[Quoted]) -> Iterator[dict[Quoted, list[str]]]:
        """Yield the entries of groups that wait for an ETA: only their members of `due` name them, among others."""
        for page in self._reader.scan("zscan", keys.due, SCANNED, "e *") if groups else ():
            found: dict[Quoted, list[str]] = {}
            for member, _ in page:
                _, group, name = member.split(" ")
                if group in groups:
                    found.setdefault(Quoted(group), []).append(name)
            yield found

    # -- a group with tasks that have other keys, too ------------------------

    def _purge_one_by_one(self, keys: Keys, group: Quoted, bound: int) -> None:
        """Take out the tasks of a group in the step that tells which they are, and tell the result backend then."""
        calls, places, more = ActionCalls(self._gate, keys, self._note), [keys.line(group), keys.wake], 1
        while more:
            args = [group, bound, PLACES, MOST_BYTES]
            bound, more, count, *rest = calls.run("purge", places, *args, noted=self._counts[group] > 0)
            gone, words = rest[: 2 * count], rest[2 * count :]
            calls.publish(words)
            pairs = zip(gone[::2], gone[1::2], strict=True)
            tell_revoked(self._app, [(task_of(id.decode()), message_of(text)) for id, text in pairs if text])
            self._counts[group] += count
        calls.close()
        for page in self._scheduled(keys, {group}):
            for name in page.get(group, ()):
                if (raw := self._gate.revoke(task_of(name), group=group)) is not None:
                    tell_revoked(self._app, [(task_of(name), raw)])
                    self._counts[group] += 1


class _Cutting:
    """The cuts of one purge in a partition.

    Args:
        gate: The gate.
        keys: Of the partition.
        note: For the audit; the first call that cuts something off notes it.
        bound: Tasks parked after this time (us) stay.
    """

    def __init__(self, gate: Gate, keys: Keys, note: str, bound: int) -> None:
        self._gate, self._keys, self._note, self._bound = gate, keys, note, bound

    def run(self, groups: Iterable[tuple[Quoted, Sequence[str]]]) -> Iterator[list[Read]]:
        """Cut off groups, each with the entries that wait for an ETA; the caller ends what a call has read."""
        names = [
            (group, entries[at : at + NAMES])
            for group, entries in groups
            for at in range(0, max(len(entries), 1), NAMES)
        ]
        waiting = deque(names)
        while waiting:
            some = _first(waiting)
            parts = [part_of(self._keys, group) for group, _ in some]
            reads, noted = self._gate.cut(parts, self._bound, self._note, [entries for _, entries in some])
            self._note = "" if noted else self._note
            yield reads
            again = [(read.part.group, ()) for read in reads if read.again]
            waiting.extendleft(reversed([*again, *some[len(reads) :]]))


def _first(waiting: deque[tuple[Quoted, Sequence[str]]]) -> list[tuple[Quoted, Sequence[str]]]:
    """Take as many groups as one call may cut off."""
    some: list[tuple[Quoted, Sequence[str]]] = []
    names = 0
    while waiting and len(some) < GROUPS and names + len(waiting[0][1]) <= NAMES:
        names += len(waiting[0][1])
        some.append(waiting.popleft())
    return some
