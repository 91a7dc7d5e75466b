"""The sweeps of the workers, and their search for lost tickets.

All workers sweep once in an interval, and one is enough to find everything. Here one of them does in each interval, by
chance; it watches, so it sweeps again when something is due before the next one.
"""

from __future__ import annotations

from functools import partial

from celery_groupfifo.gate.model import Swept
from celery_groupfifo.gate.recovery import GRACE_MS
from rehearsal.crew import Crew, Worker
from rehearsal.stage import LISTS, Stage

#: Seconds between two sweeps.
INTERVAL = 2.0
#: One in so many of these sweeps looks for lost tickets, too.
LOOKS = 2
#: Seconds between two sweeps of the worker that watches, at least.
SHORTEST = 0.05


class Sweeps:
    """The sweeps of the crew.

    Args:
        stage: Of the rehearsal.
        crew: Whose workers sweep.
    """

    def __init__(self, stage: Stage, crew: Crew) -> None:
        self._stage, self._crew = stage, crew
        self._oldest, self._since, self._sweeps = 0, 0, 0
        stage.agenda.after(INTERVAL, self._next)

    def _next(self) -> None:
        self._stage.agenda.after(INTERVAL, self._next)
        worker = self._crew.any()
        if worker is not None:
            self._sweep(worker, self._stage.agenda.now + int((INTERVAL - SHORTEST) * 1e6))
            self._sweeps += 1
            if self._sweeps % LOOKS == 0:
                self._look(worker)

    def _sweep(self, worker: Worker, until: int) -> None:
        """Sweep, and sweep again for what is due before the next worker does."""
        stage = self._stage
        swept: Swept = stage.directly(
            lambda: stage.gate.sweep(stage.keys, LISTS, worker.owner, watch=INTERVAL - SHORTEST)
        )
        stage.judge.swept()
        stage.judge.counts["sweeps"] += 1
        stage.judge.counts["reclaimed"] += swept.reclaimed
        if swept.next_due is not None:
            pause = max(swept.next_due, SHORTEST)
            if stage.agenda.now + pause * 1e6 < until:
                worker.after(pause, partial(self._sweep, worker, until))

    def _look(self, worker: Worker) -> None:
        """Look at the oldest head on its way; when it stands still for too long, its ticket is lost."""
        stage = self._stage
        heads = stage.directly(lambda: stage.gate.heads(stage.keys))
        for head in heads:
            if head.release != self._oldest:
                self._oldest, self._since = head.release, stage.agenda.now
            elif stage.agenda.now - self._since >= GRACE_MS * 1000:
                stage.judge.counts["rereleased"] += stage.directly(
                    partial(stage.gate.rerelease, stage.keys, head.queue, worker.owner, head.begun)
                )
