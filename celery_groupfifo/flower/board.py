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
from celery_groupfifo.flower.index import Index, Row, read_index
from celery_groupfifo.flower.kept import Kept
from celery_groupfifo.gate.gate import build_gate
from celery_groupfifo.groups import Groups
from celery_groupfifo.groups.find import find_all
from celery_groupfifo.groups.fleet import ask_fleet, queues_with_heads
from celery_groupfifo.groups.pace import Pace
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.printing import escaping
from celery_groupfifo.worker.inspect import STATS

logger = escaping(logging.getLogger(__name__))

Answer = TypeVar("Answer")

#: Seconds that a page waits for the gate.
GATE_PATIENCE = 10.0
#: Seconds without an answer after which the gate counts as away, and seconds that an answer serves.
PING_PATIENCE, PING_AGE = 1.0, 0.5
#: Calls to the gate at the same time.
THREADS = 6
#: Part of the time (of CPU) that answers for all visitors together may take, seconds that are free at first and after a
#: rest, and seconds that a request waits for that at most; the next ones wait for the rest.
PACE = 0.1, 5.0, 8.0
#: Seconds that an index serves at least; a slow one serves ten times as long as its reading took.
INDEX_AGE = 1.0
#: Groups from which on a page does not wait for the index.
MANY = 10_000
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
        self._pinger = ThreadPoolExecutor(1, thread_name_prefix="groupfifo-flower-ping")
        self._ping: Future[tuple[float, str]] | None = None
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

        def looked() -> Answer:
            self.reader.gate.store.look()
            return do()

        run = looked
        if paced:
            owed, charged = self._pace.owed(), self._pace.charge()
            if owed:
                await asyncio.sleep(owed)
            run = partial(self._counted, looked, charged)
        try:
            return await asyncio.wait_for(loop.run_in_executor(self._executor, run), self.patience)
        except asyncio.TimeoutError as error:
            raise GateUnavailable(f"The gate has not answered within {self.patience:g} s.") from error

    def _counted(self, do: Callable[[], Answer], charged: float) -> Answer:
        with self._pace.counted(charged):
            return do()

    async def away(self) -> str:
        """Return why the gate does not answer; empty: it does. All visitors share one ping, in a thread of its own."""
        ping = self._ping
        if ping is None or (ping.done() and ping.result()[0] < monotonic() - PING_AGE):
            ping = self._ping = self._pinger.submit(self._pinged)
        done, _ = await asyncio.wait([asyncio.wrap_future(ping)], timeout=PING_PATIENCE)
        return ping.result()[1] if done else f"The gate's Redis has not answered within {PING_PATIENCE:g} s."

    def _pinged(self) -> tuple[float, str]:
        """Ask the gate, and return when it was over, and the error."""
        why = ""
        try:
            self.reader.one("ping")
        except Exception as error:  # whatever it is, a page says it, and asks again
            why = str(error)
        return monotonic(), why

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

    def index_soon(self) -> Index | None:
        """Return the index without a long reading: of many groups the last one, while it is renewed; None: none yet."""
        if not self._many():
            return self.index()
        index: Index | None = self.index_kept.soon()
        return index

    def index_takes_long(self) -> bool:
        """Return whether `index` would wait for a long reading. This begins none: two at a time take twice as long."""
        return not self.index_kept.ready and self._many()

    def _many(self) -> bool:
        return sum(int(self.reader.one("hlen", keys.groups)) for keys in self.reader.partitions) >= MANY

    def select(self, search: str, state: str, fresh: bool = False) -> list[Row]:
        """Return the groups that match: see `Index.select`, and those that hold a task with this id."""
        holders = {found.key for found in find_all(self.reader, search)} if search else set()
        return self.index(fresh).select(search, state, holders)

    def sample(self) -> None:
        """Store the gate's total of ended runs."""
        self._samples.append((time(), self.groups.stats().totals.runs_finished))

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
        """Return `queues` {worker: names} and `owners` {worker: its name at the gate} of answering workers.

        And `unconsumed_queues`, those with heads; and the `error` when no worker could be asked, else "".
        """
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
        fleet = ask_fleet(self.app)
        owners = {name: answer[STATS]["owner"] for name, answer in fleet.stats.items() if answer.get(STATS)}
        consumed = {name for names in fleet.queues.values() for name in names}
        idle = set() if fleet.error else queues_with_heads(self.app, self.reader) - consumed
        return {
            "queues": fleet.queues,
            "owners": owners,
            "unconsumed_queues": sorted(idle),
            "error": fleet.error,
        }


__all__ = ["Board"]
