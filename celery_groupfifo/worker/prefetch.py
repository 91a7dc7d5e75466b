"""The room for plain tasks while the gate does not answer.

A ticket that waits for its begin occupies a place of the prefetch count. Where the broker is another server than the
gate's Redis, enough of them would stop the plain tasks of the same worker while the gate hangs. So tickets that have
waited for a while are not counted, as Celery does not count tasks with an ETA.
"""

from __future__ import annotations

from typing import Any

from celery_groupfifo.gate.clock import now
from celery_groupfifo.worker.loop import Loop
from celery_groupfifo.worker.run import Run

#: Seconds after which a ticket without an answer is not counted any more.
BEGIN_PATIENCE = 1.0
#: Tickets that are not counted, at most: the worker holds their messages in memory.
MOST = 1000


class Prefetch:
    """The tickets of one worker that wait for the gate's answer. For the consumer's loop.

    Args:
        consumer: Celery's.
        loop: Its loop.
    """

    def __init__(self, consumer: Any, loop: Loop) -> None:
        self._consumer, self._loop = consumer, loop
        self._waiting: dict[Run, float] = {}
        self._uncounted: set[Run] = set()
        self._looking = False

    def reset(self) -> None:
        """Forget all tickets with a new connection: its prefetch count is Celery's own."""
        self._waiting.clear()
        self._uncounted.clear()

    def waits(self, run: Run) -> None:
        """Note that the ticket of a run waits from now on."""
        self._waiting[run] = now()
        if not self._looking:
            self._looking = True
            self._loop.later(BEGIN_PATIENCE, self._look)

    def answered(self, run: Run) -> None:
        """Note that the ticket of a run waits no more."""
        self._waiting.pop(run, None)
        if run in self._uncounted:
            self._uncounted.discard(run)
            self._consumer.qos.decrement_eventually()

    def _look(self) -> None:
        since = now() - BEGIN_PATIENCE
        for run, waits_since in list(self._waiting.items()):  # a copy, as answers may come in other threads
            if waits_since > since or len(self._uncounted) >= MOST:
                break
            if run not in self._uncounted:
                self._uncounted.add(run)
                self._consumer.qos.increment_eventually()
        self._looking = bool(self._waiting)
        if self._looking:
            self._loop.later(BEGIN_PATIENCE / 2, self._look)
