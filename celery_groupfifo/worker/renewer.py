"""The thread that renews the lease of a worker, and does nothing else.

It has its own connection: whatever else hangs, the leases of living runs are renewed. A dropped run is not renewed for
ever: the thread notices it, and gives it back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from celery.utils.log import get_logger

from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.gate.clock import now
from celery_groupfifo.gate.gate import Gate
from celery_groupfifo.gate.keys import Keys, Quoted
from celery_groupfifo.printing import escaping
from celery_groupfifo.worker.gate_call import GATE_RETRY_SECONDS
from celery_groupfifo.worker.outage import Outage
from celery_groupfifo.worker.run import LEASED, Run, Runs, State

logger = escaping(get_logger(__name__))


class Renewer:
    """The renewer of a worker's leases, every third of their time.

    Args:
        gate: Its own, with its own connection.
        owner: The worker.
        runs: Of the worker.
        is_held: Returns whether the pool, Celery or a call to the gate still has a run.
        dropped: Called with a run that none of them has, for the second time in a row.
        lost: Called with a run whose lease is lost.
        partitions: Those whose runs it renews; None: all.

    Attributes:
        renewed: Time of the last call that renewed the lease; 0: none has.
    """

    def __init__(
        self,
        gate: Gate,
        owner: Quoted,
        runs: Runs,
        is_held: Callable[[Run], bool],
        dropped: Callable[[Run], None],
        lost: Callable[[Run], None],
        partitions: Sequence[Keys] | None = None,
    ) -> None:
        self._gate, self._owner, self._runs = gate, owner, runs
        self._partitions = partitions
        self._tags = None if partitions is None else {keys.tag for keys in partitions}
        self._is_held, self._dropped, self._lost = is_held, dropped, lost
        self._every = gate.settings.lease_ttl / 3
        self._suspects: set[Run] = set()
        self.renewed = 0.0
        self._stopped, self._woken = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._outage = Outage(logger, "Leases can't be renewed until it answers; the renewer tries again.")

    def renewed_at(self, tag: str) -> float:
        """Return the time of the last call that renewed the lease in a partition; 0: none has."""
        return self.renewed

    def start(self) -> None:
        """Start to renew, unless it is started already."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="groupfifo-renewer", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop renewing, without waiting."""
        self._stopped.set()
        self._woken.set()

    def wake(self) -> None:
        """Renew now: the gate may know of fewer runs than before."""
        self._woken.set()

    def pass_once(self) -> None:
        """Renew all leases once.

        Raises:
            GroupFifoError: Redis could not do its part.
        """
        renewed, since = self._held(), now()
        # The renewal may reach the gate before such a begin, and its answer come when the begin has been granted.
        beginning = {run for run in renewed if run.state is State.RECEIVED}
        by_ticket = {run.ticket: run for run in renewed}
        calls = {ticket: run.call for ticket, run in by_ticket.items()}
        lost = self._gate.renew(self._owner, by_ticket, calls, self._partitions)
        for ticket in lost:
            run = by_ticket.pop(ticket)
            if run not in beginning:
                self._lost(run)
        self.renewed = since
        for run in by_ticket.values():
            run.renew(since)

    def _held(self) -> list[Run]:
        """Return the runs to renew. A dropped run is given up when it was found so twice in a row.

        A run on its way from one holder to the next has none for a moment.
        """
        runs = [run for run in self._runs if self._tags is None or run.ticket.tag in self._tags]
        leased = [run for run in runs if run.state in LEASED]
        loose = {run for run in runs if self._is_loose(run)}  # lost ones, too: otherwise their end would not be noticed
        gone, self._suspects = loose & self._suspects, loose - self._suspects
        for run in gone:
            self._dropped(run)
        return [run for run in leased if run not in gone]

    def _is_loose(self, run: Run) -> bool:
        try:
            return not self._is_held(run)
        except Exception:  # a pool that can't tell of one job must not cost the others their leases
            logger.exception("Can't check whether %r still runs: its lease is renewed.", run)
            return False

    def _run(self) -> None:
        wait = 0.0
        while True:
            self._woken.wait(wait)
            self._woken.clear()
            if self._stopped.is_set():
                return
            wait = self._every
            try:
                self.pass_once()
                self._outage.is_over()
            except GroupFifoError as error:
                wait = GATE_RETRY_SECONDS
                self._outage.goes_on(error)
            except Exception:  # leases end when this thread does
                wait = GATE_RETRY_SECONDS
                logger.exception("Leases were not renewed.")
