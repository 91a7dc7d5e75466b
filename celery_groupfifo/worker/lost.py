"""The search for tickets that were lost on their way, whose heads are released again.

A head is released again only when this worker has seen it stand still, by its own monotonic clock: a jump of the clock
of Redis neither makes a ticket look lost, nor hides a lost one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from celery.utils.log import get_logger

from celery_groupfifo.errors import GateUnavailable
from celery_groupfifo.gate.gate import Gate
from celery_groupfifo.gate.keys import Keys, Quoted
from celery_groupfifo.gate.model import Head
from celery_groupfifo.gate.recovery import GRACE_MS
from celery_groupfifo.gate.releaser import ELSEWHERE
from celery_groupfifo.printing import escaping
from celery_groupfifo.worker.background import Background

logger = escaping(get_logger(__name__))

#: Queues of a partition that one look reads; the next look goes on behind them.
PAGE = 100
#: Heads that one call releases again.
MOST_HEADS = 50
#: Seconds without a begin after which a queue of another broker may have lost its tickets.
BOUND = 60.0
#: If the broker can't tell the length of a queue, that time doubles with each release, up to these seconds.
LONGEST = 3600.0

Length = Callable[[str], int | None]
"""Returns the number of messages in a queue of another broker; None: the broker can't tell. It may hang."""


@dataclass(slots=True)
class _Known:
    """A queue of a partition, as last seen; times are monotonic.

    Attributes:
        release: Of its oldest head.
        since: Time when that head was first seen as the oldest.
        begun: The latest release that was begun from the queue.
        quiet: Time since when neither has changed.
        ask_at: Time when the broker may be asked for the queue's length again.
    """

    release: int
    since: float
    begun: int
    quiet: float
    ask_at: float = 0.0


@dataclass(frozen=True, slots=True)
class _LengthAnswer:
    """The broker's answer, with the state that the question was about: it counts only while that has not changed."""

    release: int
    begun: int
    tickets: int
    length: int | None


class LostTickets:
    """The search for lost tickets of one worker.

    Args:
        gate: Of the sweeper.
        owner: The worker.
        length: Asks the broker for a queue's length; called in a thread of its own, as it may hang.
        partitions: Those that it looks at; None: all.
    """

    def __init__(self, gate: Gate, owner: Quoted, length: Length, partitions: Sequence[Keys] | None = None) -> None:
        self._gate, self._owner, self._length = gate, owner, length
        self._partitions = list(gate.keyspace.partitions if partitions is None else partitions)
        self._after: dict[str, str] = {}
        self._known: dict[str, dict[str, _Known]] = {}
        self._round: dict[str, dict[str, _Known]] = {}
        self._answers: dict[tuple[str, str], _LengthAnswer] = {}
        self._background = Background("groupfifo-length")

    def look(self) -> int:
        """Look at a page of each partition's queues, and release the heads of lost tickets again.

        Returns:
            The number of lost tickets.

        Raises:
            GroupFifoError: Redis could not do its part.
        """
        return sum(self._look(keys, monotonic()) for keys in self._partitions)

    def stop(self) -> None:
        """Stop asking the broker."""
        self._background.stop(0)

    def _look(self, keys: Keys, now: float) -> int:
        page = self._gate.heads(keys, self._after.get(keys.tag, ""), PAGE)
        ends = len(page) < PAGE
        self._after[keys.tag] = "" if ends else page[-1].queue
        known, this_round = self._known.get(keys.tag, {}), self._round.setdefault(keys.tag, {})
        lost = 0
        for head in page:
            before = known.get(head.queue)
            if before is None or before.release != head.release:
                before = _Known(head.release, now, head.begun, now)
            this_round[head.queue] = before
            if now - before.since >= GRACE_MS / 1000:
                lost += self._overdue(keys, head, before, now)
        if ends:  # a queue that was not seen in the round has no heads any more
            self._known[keys.tag] = self._round.pop(keys.tag)
        return lost

    def _overdue(self, keys: Keys, head: Head, known: _Known, now: float) -> int:
        """Release the oldest head of a queue again, overdue by now, if its ticket counts as lost."""
        begun = head.begun
        if len(self._partitions) > 1:
            begun = max(begun, self._gate.begun(head.queue, keys, ahead=now - known.since >= BOUND))
        if not head.queue.startswith(ELSEWHERE) or head.release < begun:
            return self._gate.rerelease(keys, head.queue, self._owner, begun)
        if known.begun != begun:
            known.begun, known.quiet = begun, now
        if now - known.quiet < BOUND:
            return 0
        answer = self._answers.pop((keys.tag, head.queue), None)
        if answer is not None and (answer.release, answer.begun) == (head.release, begun):
            return self._answered(keys, head, known, answer, now)
        if now >= known.ask_at:
            known.ask_at = now + BOUND
            self._ask(keys, head, begun)
        return 0

    # -- other brokers: a queue without consumers has lost no tickets ------

    def _ask(self, keys: Keys, head: Head, begun: int) -> None:
        # Before the length, so that a head released in between does not count as lost.
        try:
            tickets = self._gate.tickets(head.queue)
        except GateUnavailable as error:  # of another partition: this one goes on
            logger.debug("The tickets of queue %s can't be counted: %s", head.queue, error)
            return

        def ask() -> None:
            try:
                length = self._length(head.queue)
            except Exception as error:  # a broker may raise anything
                logger.debug("The length of queue %s is not known: %r", head.queue, error)
                length = None
            self._answers[keys.tag, head.queue] = _LengthAnswer(head.release, begun, tickets, length)

        self._background.submit(ask, (keys.tag, head.queue))

    def _answered(self, keys: Keys, head: Head, known: _Known, answer: _LengthAnswer, now: float) -> int:
        if answer.length is None:
            if now - known.quiet < min(BOUND * 2.0**head.rereleases, LONGEST):
                return 0
            missing, rereleases = answer.tickets, head.rereleases + 1
        else:
            missing, rereleases = answer.tickets - answer.length, 0
        for other in self._gate.keyspace.partitions:
            self._answers.pop((other.tag, head.queue), None)  # the queue holds more messages from now on
        lost, oldest = 0, head.release
        while missing > lost:
            some = self._gate.rerelease(
                keys, head.queue, self._owner, answer.begun, oldest, rereleases, limit=min(missing - lost, MOST_HEADS)
            )
            lost, oldest = lost + some, 0
            if some < MOST_HEADS:
                break
        return lost
