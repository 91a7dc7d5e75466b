"""The sweeper: it moves due items, looks for lost tickets, and waits for its bell.

It has threads of its own (greenlets where threads are patched), with their own connections: the event loop may stall,
and its timers stop while it reconnects. It never publishes a ticket or writes a result itself, as brokers and result
backends may hang: the gate's releaser and `cancel` only take them.

Of all workers one watches, and knows when the next item is due; see lua/lib/pulse.lua. The bell wakes one of them for
an item that is due sooner, and that one watches from then on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from math import inf
from time import monotonic
from typing import Any, Protocol

from celery.utils.log import get_logger

from celery_groupfifo.errors import GroupFifoError, UnsupportedState
from celery_groupfifo.gate.gate import Gate
from celery_groupfifo.gate.keys import Keys, Quoted
from celery_groupfifo.gate.model import CutOff, Lists
from celery_groupfifo.printing import escaping
from celery_groupfifo.worker.gate_call import GATE_RETRY_SECONDS
from celery_groupfifo.worker.lost import Length, LostTickets
from celery_groupfifo.worker.outage import Outage

logger = escaping(get_logger(__name__))

#: Seconds that `stop` waits for a call in progress.
STOP_SECONDS = 0.5


class SweepEvents(Protocol):
    """The receiver of a sweeper's reports; see `events.Events`."""

    def reclaimed(self, count: int) -> None:
        """Tell that heads were taken back from lost workers."""

    def tickets_lost(self, count: int) -> None:
        """Tell that tickets were lost, and their heads released again."""


class Sweeper:
    """The sweeper of one worker.

    Args:
        gate: Its own, with its own connections; its releaser only takes tickets.
        owner: The worker's name at the gate.
        lists: Returns the broker's lists that the worker consumes.
        events: Receives its reports.
        cancel: Takes what was cut off lines, and is to be told and ended; it must not wait.
        length: Asks the broker for the length of a queue, from a thread that may hang; None: the releaser's.
        partitions: Those that it sweeps, all of one server; None: all.
        moved: Called after a sweep that sentinels have led to another server, with the address of the one before.
        unsupported: Called when this release may not use what is stored any more; nothing more is swept then.
    """

    def __init__(
        self,
        gate: Gate,
        owner: Quoted,
        lists: Callable[[], Lists],
        events: SweepEvents,
        cancel: Callable[[CutOff], None],
        length: Length | None = None,
        partitions: Sequence[Keys] | None = None,
        moved: Callable[[Any], None] | None = None,
        unsupported: Callable[[UnsupportedState], None] | None = None,
    ) -> None:
        self._moved, self._server = moved, None
        self._gate, self._owner, self._lists = gate, owner, lists
        self._unsupported = unsupported
        self._events, self._cancel = events, cancel
        self._partitions = list(gate.keyspace.partitions if partitions is None else partitions)
        length = length or getattr(gate.releaser, "length", None) or _unknown
        self._lost = LostTickets(gate, owner, length, self._partitions)
        settings = gate.settings
        # Well below half a lease: a longer pause counts as a gap, after which no lease is reclaimed for the time of a
        # whole one. A lonely worker that swept every half lease would never reclaim any. See lua/lib/pulse.lua.
        self._every = min(settings.sweep_interval, settings.lease_ttl / 4)
        self._changed = threading.Condition()  # guards the attributes below; never held during a call
        self._sweep_at, self._asked_at = 0.0, inf
        self._due_at = {keys.tag: inf for keys in self._partitions}
        self._woken: set[str] = set()
        self._stopped = threading.Event()
        self._outage = Outage(logger, "Sweeps are tried again until it answers; leases stay as they are.")
        self._thread: threading.Thread | None = None

    # -- from any thread ---------------------------------------------------

    def start(self) -> None:
        """Start to sweep, unless it is started already."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="groupfifo-sweeper", daemon=True)
            self._thread.start()
            threading.Thread(target=self._listen, name="groupfifo-bell", daemon=True).start()

    def stop(self, within: float = STOP_SECONDS) -> None:
        """Stop sweeping. A call in progress is waited for so many seconds; it does no harm when it goes on."""
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()
        self._lost.stop()
        if self._thread is not None:
            self._thread.join(within)

    def wake_in(self, seconds: float, tag: str = "") -> None:
        """Let the next sweep come within so many seconds, as an item is due then. This does not wait.

        Args:
            seconds: From now on.
            tag: Of the item's partition; all are swept.
        """
        with self._changed:
            self._asked_at = min(self._asked_at, monotonic() + seconds)
            self._changed.notify_all()

    # -- one pass ----------------------------------------------------------

    def pass_once(self) -> float:
        """Sweep due items, and look for lost tickets when it is time.

        Returns:
            Seconds until the next pass.

        Raises:
            GroupFifoError: Redis could not do its part; the rest is due at once.
        """
        now = monotonic()
        with self._changed:
            periodic, asked = now >= self._sweep_at, now >= self._asked_at
            woken, self._woken = self._woken, set()
            if periodic:
                self._sweep_at = now + self._every
            if asked:
                self._asked_at = inf  # a later `wake_in` is for the next pass: this sweep may have missed the new item
        try:
            for keys in self._partitions:
                wakes = asked or keys.tag in woken
                if periodic or wakes or now >= self._due_at[keys.tag]:
                    self._sweep(keys, wakes)
            if periodic:
                lost = self._lost.look()
                if lost:
                    self._events.tickets_lost(lost)
        except BaseException:  # also when a greenlet is killed: what was due is due still
            with self._changed:
                self._sweep_at = now if periodic else self._sweep_at
                self._asked_at = now
            raise
        with self._changed:
            return max(self._next_at() - monotonic(), 0.0)

    def _sweep(self, keys: Keys, woken: bool) -> None:
        self._due_at[keys.tag] = inf
        swept = self._gate.sweep(keys, self._lists(), self._owner, woken, self._every)
        if swept.reclaimed:
            self._events.reclaimed(swept.reclaimed)
        for part in swept.cut_off:
            self._cancel(part)
        if swept.next_due is not None:
            self._due_at[keys.tag] = monotonic() + (swept.next_due + 0.001 if swept.next_due else 0.0)

    def _next_at(self) -> float:
        return 0.0 if self._woken else min(self._sweep_at, self._asked_at, *self._due_at.values())

    # -- the threads -------------------------------------------------------

    def _run(self) -> None:
        again_at = 0.0
        while True:
            with self._changed:
                while not self._stopped.is_set() and (left := max(self._next_at(), again_at) - monotonic()) > 0:
                    self._changed.wait(left)
            if self._stopped.is_set():
                return
            try:
                self.pass_once()
                self._outage.is_over()
                self._note_server()
            except UnsupportedState as error:
                if self._unsupported is not None:
                    self._unsupported(error)
                return
            except GroupFifoError as error:
                self._outage.goes_on(error)
                again_at = monotonic() + GATE_RETRY_SECONDS
            except Exception:  # lost workers' groups stand still when this thread ends
                logger.exception("A sweep failed.")
                again_at = monotonic() + GATE_RETRY_SECONDS

    def _note_server(self) -> None:
        connections = self._gate.store.connections
        if connections.watched and self._moved is not None:
            before, self._server = self._server, connections.used
            if before not in (None, self._server):
                self._moved(before)

    def _listen(self) -> None:
        """Wait for the bells of all partitions; each wakes one worker only."""
        store = self._gate.store.at(self._partitions[0])
        tags = {keys.wake: keys.tag for keys in self._partitions}
        while not self._stopped.is_set():
            try:
                bell = store.wait(list(tags), store.patience)
                if bell is not None and self._stopped.is_set():
                    store.ring_bell(bell)  # it was meant for a living worker
            except GroupFifoError as error:
                logger.debug("The worker can't wait for its wake-up list: %s", error)
                self._stopped.wait(GATE_RETRY_SECONDS)
                continue
            with self._changed:
                if bell is not None:
                    self._woken.add(tags[bell])
                    self._changed.notify_all()


def _unknown(queue: str) -> None:
    """Return None: no broker is asked."""
