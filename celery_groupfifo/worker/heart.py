"""The heartbeat: renews the worker's leases, moves what is due, and repeats what Redis could not take.

A thread of its own (a greenlet where threads are patched), with its own connection: the event loop may stall, and
its timers stop while it reconnects. It holds no logic but when; `beat` is one pass.
"""

from __future__ import annotations

import threading
from time import monotonic

from celery.utils.log import get_logger

from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.gate import Gate
from celery_groupfifo.model import Swept
from celery_groupfifo.recovery import BATCH, GRACE_MS
from celery_groupfifo.revoke import tell_revoked
from celery_groupfifo.worker.member import Member

logger = get_logger(__name__)

#: After a failure, seconds until the next try.
AGAIN_SECONDS = 0.5


class Heart:
    """The heartbeat of one worker.

    Args:
        member: Whose leases are renewed.
        gate: Its own, with its own connection.
    """

    def __init__(self, member: Member, gate: Gate) -> None:
        self._member, self._gate = member, gate
        settings = gate.settings
        self._renew_every = settings.lease_ttl / 3
        # Well below half a lease: what comes later than that counts as a gap, after which nothing is reclaimed for a
        # whole lease. A lonely worker that swept every half lease would reclaim nothing, ever. See lua/sweep.lua.
        self._sweep_every = min(settings.sweep_interval, settings.lease_ttl / 4)
        self._renew_at = self._sweep_at = self._due_at = 0.0
        self._oldest: dict[str, tuple[int, float]] = {}
        self._stopped = threading.Event()
        self._beating, self._planning = threading.Lock(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._failing = False

    def start(self) -> None:
        """Start beating, unless it does already."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="groupfifo-heart", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop beating, wait for the beat in progress, and leave nothing behind.

        The thread itself may still wait for its bell; it does nothing more.
        """
        self._stopped.set()
        with self._beating:
            pass
        if not self._member.finishes.refused:
            try:
                self._member.gate.forget(self._member.owner)
            except GroupFifoError as error:
                logger.debug("The last calls of this worker stay for an hour: %s", error)

    def wake_in(self, seconds: float) -> None:
        """Something is due in so many seconds: the next sweep must not come later."""
        if self._due(monotonic() + seconds):
            try:
                self._member.gate.store.nudge(self._gate.keyspace.partitions[0].wake)
            except GroupFifoError as error:
                logger.debug("Nobody was woken: %s", error)

    def beat(self) -> float:
        """One pass.

        Returns:
            Seconds until the next one.

        Raises:
            GroupFifoError: Redis could not do its part; what is left undone is due at once.
        """
        now = monotonic()
        if now >= self._renew_at:
            self._renew()
            self._renew_at = now + self._renew_every
        if self._member.finishes.refused or self._member.unreturned:
            self._member.repeat_refused(self._member.soon)
        if now >= min(self._sweep_at, self._due_at):
            self._sweep(now)
        return max(min(self._renew_at, self._sweep_at, self._due_at) - monotonic(), 0.0)

    def _renew(self) -> None:
        runs, since = dict(self._member.runs), monotonic()
        lost = self._gate.renew(self._member.owner, [run.ticket for run in runs.values()])
        for run in runs.values():
            run.renewed = since
        for ticket in lost:
            run = runs[ticket.tag, ticket.fence]
            if not run.settled:  # else its lease is being given back this very moment
                self._member.lease_lost(run)

    def _sweep(self, now: float) -> None:
        periodic = now >= self._sweep_at
        self._due_at = float("inf")  # from here on a `wake_in` is for the next sweep: this one may not see its reason
        if periodic:
            self._sweep_at = now + self._sweep_every
        try:
            swept = self._sweep_all()
        except BaseException:
            self._due_at = now
            self._sweep_at = now if periodic else self._sweep_at
            raise
        if swept.reclaimed:
            self._member.events.reclaimed(swept.reclaimed)
        if swept.cancelled:
            self._cancelled(swept.cancelled)
        more = len(swept.named) + swept.reclaimed >= BATCH or bool(swept.cancelled)
        soon = 0.0 if more else swept.next_due
        if soon is not None:
            self._due(monotonic() + soon + 0.001)
        if periodic:
            self._ring(now)

    def _sweep_all(self) -> Swept:
        every = Swept(None, 0)
        for keys in self._gate.keyspace.partitions:
            swept = self._gate.sweep(keys, self._member.lists(), self._member.owner, woken=True)
            every.reclaimed += swept.reclaimed
            every.named += swept.named
            every.cancelled += swept.cancelled
            if swept.next_due is not None:
                every.next_due = min(swept.next_due, every.next_due if every.next_due is not None else swept.next_due)
        return every

    def _due(self, at: float) -> bool:
        """Sweep no later than that. Returns whether that is sooner than planned."""
        with self._planning:
            sooner = at < min(self._sweep_at, self._due_at)
            if sooner:
                self._due_at = at
        return sooner

    def _cancelled(self, gone: list[tuple[str, bytes]]) -> None:
        try:
            tell_revoked(self._member.consumer.app, gone)
        except GroupFifoError as error:  # they are out of the gate: nothing is to be repeated there
            logger.error("After a failure that cancels the rest of its group: %s", error)

    def _ring(self, now: float) -> None:
        """Look for lost tickets only where the oldest one has stayed the same for the time of grace."""
        oldest = {}
        for keys in self._gate.keyspace.partitions:
            for head in self._gate.every_head(keys):
                known = self._oldest.get(head.queue)
                oldest[head.queue] = known if known and known[0] == head.fence else (head.fence, now)
        self._oldest = oldest
        if any(now - since >= GRACE_MS / 1000 for _, since in oldest.values()):
            rung = sum(self._gate.ring(keys, queue) for keys in self._gate.keyspace.partitions for queue in oldest)
            if rung:
                self._member.events.rung(rung)

    def _run(self) -> None:
        wake = self._gate.keyspace.partitions[0].wake
        while not self._stopped.is_set():
            try:
                with self._beating:
                    if self._stopped.is_set():
                        return
                    seconds = min(self.beat(), self._gate.store.patience)
                if seconds > 0:
                    self._gate.store.wait([wake], max(seconds, 0.01))
                if self._failing:
                    self._failing = False
                    logger.info("The gate answers again.")
            except GroupFifoError as error:
                if not self._failing:
                    self._failing = True
                    logger.error("%s It is tried again until it answers; leases stay as they are.", error)
                self._stopped.wait(AGAIN_SECONDS)
            except Exception:
                logger.exception("A heartbeat failed.")
                self._stopped.wait(AGAIN_SECONDS)
