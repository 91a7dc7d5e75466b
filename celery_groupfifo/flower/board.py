"""The calls of the pages and the API to a gate, in threads of their own and within a time limit.

Nothing here knows tornado or Flower. If Redis hangs, a call ends after `GATE_PATIENCE`, and Flower's own loop has not
waited.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from time import monotonic, time
from typing import Any, TypeVar

from celery import Celery

from celery_groupfifo.errors import GateUnavailable
from celery_groupfifo.flower.index import Index, read_index
from celery_groupfifo.flower.kept import Kept
from celery_groupfifo.gate.gate import build_gate
from celery_groupfifo.groups import Groups
from celery_groupfifo.groups.doctor import queues_with_heads
from celery_groupfifo.groups.pace import Pace
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.workers import Workers

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

#: Seconds that a page waits for the gate.
GATE_PATIENCE = 10.0
#: Calls to the gate at the same time.
THREADS = 6
#: Part of the time (of CPU) that answers for all visitors together may take, seconds that are free at first and after a
#: rest, and seconds that a request waits for that at most.
PACE = 0.1, 5.0, 1.0
#: Seconds that an index serves at least; a slow one serves ten times as long as its reading took.
INDEX_AGE = 1.0
#: Seconds that the workers' answers serve.
FLEET_AGE = 10.0
#: Seconds between two readings of the totals, readings that are kept, and seconds that they go on without a visitor.
SAMPLE, SAMPLES, UNSEEN = 10.0, 91, 900.0


class Board:
    """One gate, for one Flower.

    Args:
        app: The app whose groups are shown.
        patience: Seconds that a call may take.
    """

    def __init__(self, app: Celery, patience: float = GATE_PATIENCE) -> None:
        self.app, self.patience = app, patience
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="groupfifo-flower")
        self._pace = Pace(*PACE)
        self._groups: Groups | None = None
        self._lock = threading.Lock()
        self.index_kept = Kept(lambda: read_index(self.reader), INDEX_AGE)
        self.fleet_kept = Kept(self._fleet, FLEET_AGE)
        self._fleet_known: dict[str, Any] | None = None
        self._renewing: Future[None] | None = None
        self.sampling: asyncio.Future[None] | None = None
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES)
        self._looked = 0.0

    async def call(self, do: Callable[[], Answer], paced: bool = True) -> Answer:
        """Run `do` in a thread.

        Args:
            do: The call.
            paced: It looks, and waits for its part of the time. False: it changes something.

        Returns:
            Its result.

        Raises:
            GateUnavailable: Redis can't be reached, or has not answered in time.
        """
        loop = asyncio.get_running_loop()
        if paced and (owed := self._pace.owed()):
            await asyncio.sleep(owed)
        run = partial(self._counted, do) if paced else do
        try:
            return await asyncio.wait_for(loop.run_in_executor(self._executor, run), self.patience)
        except asyncio.TimeoutError as error:
            raise GateUnavailable(f"The gate has not answered within {self.patience:g} s.") from error

    def _counted(self, do: Callable[[], Answer]) -> Answer:
        with self._pace.call(wait=lambda seconds: None):
            return do()

    async def keep_sampling(self) -> None:
        """Read the totals every few seconds, until the page has had no visitor for a while."""
        while monotonic() - self._looked < UNSEEN:
            try:
                await self.call(self.sample)
            except Exception as error:  # the next reading may succeed, and nobody else would start them again
                logger.debug("No totals: %s", error)
            await asyncio.sleep(SAMPLE)

    def note_visit(self) -> bool:
        """Note a visit of the page; return True when the sampling has to be started."""
        idle = monotonic() - self._looked >= UNSEEN if self._looked else True
        self._looked = monotonic()
        return idle

    # -- in a thread --------------------------------------------------------

    @property
    def groups(self) -> Groups:
        """Return the groups of the gate, through connections of Flower's own."""
        with self._lock:
            if self._groups is None:
                self._groups = Groups(self.app, build_gate(self.app, "groupfifo-flower"), paced=False)
            return self._groups

    @property
    def reader(self) -> Reader:
        """Return a reader of the gate."""
        return Reader(self.groups.gate)

    def index(self, fresh: bool = False) -> Index:
        """Return the index of all groups; `fresh`: as they are now."""
        if fresh:
            self.index_kept.forget()
        index: Index = self.index_kept.get()
        return index

    def sample(self) -> None:
        """Store the gate's total of ended runs."""
        self._samples.append((time(), int(self.groups.stats()["totals"].get("runs_finished", 0))))

    def throughput(self) -> dict[str, Any]:
        """Return ended runs per minute: `now` (None: not known yet), and `points` [[Unix time, rate]]."""
        samples = list(self._samples)
        points = [
            [later, max(more - less, 0) * 60 / (later - earlier)]
            for (earlier, less), (later, more) in pairwise(samples)
            if later > earlier
        ]
        recent = [sample for sample in samples if sample[0] >= time() - 60 - SAMPLE]
        now = None
        if len(recent) > 1 and recent[-1][0] > recent[0][0]:
            now = max(recent[-1][1] - recent[0][1], 0) * 60 / (recent[-1][0] - recent[0][0])
        return {"now": now, "points": points}

    # -- the workers -------------------------------------------------------

    def fleet(self) -> dict[str, Any]:
        """Return `queues` {worker: names} of answering workers, and `unconsumed_queues`: those with heads."""
        self._fleet_known = self.fleet_kept.get()
        return self._fleet_known

    @property
    def fleet_known(self) -> dict[str, Any] | None:
        """Return the last answer of `fleet`, at once; None: there is none yet."""
        return self._fleet_known

    def renew_fleet(self) -> None:
        """Have the workers asked again when their answers are old, without waiting for them."""
        if self.fleet_kept.old and (self._renewing is None or self._renewing.done()):
            self._renewing = self._executor.submit(self._try_fleet)

    def _try_fleet(self) -> None:
        try:
            self.fleet()
        except Exception as error:  # in the background: the page that needs the answer asks itself, and gets the error
            logger.debug("The workers were not asked: %s", error)

    def _fleet(self) -> dict[str, Any]:
        queues = Workers(self.app).queues()
        consumed = {name for names in queues.values() for name in names}
        heads = queues_with_heads(self.app, self.reader)
        return {"queues": queues, "unconsumed_queues": sorted(heads - consumed)}


__all__ = ["Board"]
