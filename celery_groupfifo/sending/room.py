"""The wait of a call for room in its full group: `group_overflow="wait"`.

The gate refuses such a park as any other beyond the bound, and keeps nothing of it. The call parks again, after a short
time and then at growing ones, each with some chance in it, so that callers who wait do not look at the same moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from math import inf
from random import uniform

from celery_groupfifo.errors import GroupFifoError, GroupFull
from celery_groupfifo.gate.clock import now
from celery_groupfifo.gate.keys import Quoted
from celery_groupfifo.gate.model import Bound, Entry
from celery_groupfifo.sending.context import current

#: Seconds until a waiting call looks again: at first, at most, and how they grow.
FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.01, 0.5, 1.5

#: The waits of a send that begin when Celery's code has given its producer back; None: the caller gave it one.
postponed: ContextVar[list[Callable[[], object]] | None] = ContextVar("groupfifo_postponed", default=None)


class Room:
    """The wait of one call, or of the entries of one group in a bulk send.

    Args:
        entry: The first one that was refused.

    Attributes:
        key: Of the group.
        timeout: Seconds that it may take; None: any time.
    """

    def __init__(self, entry: Entry) -> None:
        assert entry.bound is not None
        self.key, self.timeout = entry.key, entry.bound.timeout
        self.since = now()

    def check(self, full: GroupFull) -> None:
        """Check that the call may go on waiting.

        Args:
            full: The last refusal.

        Raises:
            GroupFull: It waits for itself, or for long enough.
        """
        run = current()
        if run is not None and run.key == self.key:
            raise GroupFull(
                f"{full} It did not wait for room, because it is sent by a run of this group, task {run.ticket.id}: "
                "the group goes on when that run is over."
            )
        if self.timeout is not None and now() - self.since >= self.timeout:
            raise GroupFull(f"{full} There was no room for {self.timeout:g} s (group_overflow_timeout).")

    @property
    def left(self) -> float:
        """Return the seconds until the timeout."""
        return inf if self.timeout is None else max(self.since + self.timeout - now(), 0.0)


def pause(seconds: float, *rooms: Room) -> None:
    """Sleep for about so many seconds, and not beyond the first timeout."""
    time.sleep(min(seconds * uniform(0.5, 1.0), *(room.left for room in rooms)))


def wait_for_room(entry: Entry, park: Callable[[], bool], full: GroupFull) -> bool:
    """Wait for room in the group of an entry, and park it.

    Args:
        entry: To park.
        park: Parks it: each call is a park of its own.
        full: The first refusal.

    Returns:
        The answer of `park`.

    Raises:
        GroupFull: There is none.
        GroupFifoError: Another error of `park`.
    """
    room, delay, seconds = Room(entry), entry.delay, FIRST_PAUSE
    while True:
        room.check(full)
        pause(seconds, room)
        seconds = min(seconds * GROWTH, LONGEST_PAUSE)
        entry.delay = _left(delay, room)
        try:
            return park()
        except GroupFull as error:
            full = error


def waits(entry: Entry) -> bool:
    """Return whether the call of an entry waits for room."""
    return entry.bound is not None and entry.bound.waits


def _left(delay: int, room: Room) -> int:
    """Return the milliseconds until an ETA, after the time of the wait."""
    return max(delay - round((now() - room.since) * 1000), 0) if delay else 0


Answers = list[bool | GroupFifoError]
ParkAll = Callable[[Sequence[Entry]], Answers]


class Bulk:
    """The park of a chunk in which entries may wait for room: each waits for those before it in its group.

    A round trip is one transaction. So behind a refused entry the gate refuses all of its group with the same bound,
    and only such are sent in one round trip with it.

    Args:
        entries: The chunk.
        park_all: Parks entries in one round trip.
        idle: Called before the first pause: the caller holds nothing while it waits.
    """

    def __init__(self, entries: Sequence[Entry], park_all: ParkAll, idle: Callable[[], None]) -> None:
        self._entries, self._park_all, self._idle = entries, park_all, idle
        self._answers: dict[int, bool | GroupFifoError] = {}

    def park(self) -> Answers:
        """Park the entries.

        Returns:
            For each entry the answer, or its error; from the first error that ends the wait on, no more is parked.
        """
        try:
            for wave in self._waves():
                self._park_wave(wave)
        except GroupFifoError as error:
            return [self._answers.get(at, error) for at in range(len(self._entries))]
        return [self._answers[at] for at in range(len(self._entries))]

    def _waves(self) -> Iterator[list[int]]:
        wave: list[int] = []
        bounds: dict[Quoted, Bound | None] = {}
        for at, entry in enumerate(self._entries):
            if entry.group in bounds and bounds[entry.group] != entry.bound:
                yield wave
                wave, bounds = [], {}
            wave.append(at)
            if waits(entry):
                bounds[entry.group] = entry.bound
        yield wave

    def _park_wave(self, wave: list[int]) -> None:
        rooms: dict[Quoted, Room] = {}
        delays, since, seconds = {at: self._entries[at].delay for at in wave}, now(), FIRST_PAUSE
        while wave:
            for at in wave:
                self._entries[at].delay = max(delays[at] - round((now() - since) * 1000), 0)
            answers = dict(zip(wave, self._park_all([self._entries[at] for at in wave]), strict=True))
            full = {
                at: answer
                for at, answer in answers.items()
                if isinstance(answer, GroupFull) and waits(self._entries[at])
            }
            parked = {self._entries[at].group for at in answers.keys() - full.keys()}
            self._answers |= {at: answer for at, answer in answers.items() if at not in full}
            wave = list(full)
            if not wave:
                return
            first = {entry.group: at for at in reversed(wave) for entry in [self._entries[at]]}
            for group, at in sorted(first.items(), key=lambda each: each[1]):
                if group in parked or group not in rooms:
                    rooms[group] = Room(self._entries[at])
                rooms[group].check(full[at])
            seconds = FIRST_PAUSE if parked else min(seconds * GROWTH, LONGEST_PAUSE)
            self._idle()
            pause(seconds, *(rooms[group] for group in first))
