"""Temporary: replaced by the real one."""

from __future__ import annotations

import threading
from time import monotonic

from celery.utils.log import get_logger

from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.gate import BATCH, GRACE_MS

logger = get_logger(__name__)


class Sweeper:
    def __init__(self, gate, owner, lists, events, tell_revoked):
        self._gate, self._lists, self._events, self._tell = gate, lists, events, tell_revoked
        settings = gate.settings
        self._every = min(settings.sweep_interval, settings.lease_ttl / 4)
        self._at = self._due = 0.0
        self._oldest = {}
        self._c = threading.Condition()
        self._stopped = False
        self._thread = None

    def start(self):
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def stop(self):
        with self._c:
            self._stopped = True
            self._c.notify_all()

    def wake_in(self, seconds):
        with self._c:
            self._due = min(self._due, monotonic() + seconds)
            self._c.notify_all()

    def pass_once(self):
        now = monotonic()
        self._due = float("inf")
        swept = self._gate.sweep(self._lists())
        self._at = now + self._every
        if swept.reclaimed:
            self._events.reclaimed(swept.reclaimed)
        if swept.cancelled:
            self._tell(swept.cancelled)
        more = len(swept.named) + swept.reclaimed >= BATCH or bool(swept.cancelled)
        soon = 0.0 if more else swept.next_due
        if soon is not None:
            self.wake_in(soon + 0.001)
        oldest = {}
        for keys in self._gate.keyspace.partitions:
            for queue, fence in self._gate.store.rung_queues(keys):
                known = self._oldest.get(queue)
                oldest[queue] = known if known and known[0] == fence else (fence, now)
        self._oldest = oldest
        if any(now - since >= GRACE_MS / 1000 for _, since in oldest.values()):
            rung = self._gate.ring()
            if rung:
                self._events.rung(rung)
        return max(min(self._at, self._due) - monotonic(), 0.0)

    def _run(self):
        while not self._stopped:
            try:
                s = self.pass_once()
            except GroupFifoError:
                s = 0.5
            except Exception:
                logger.exception("sweep")
                s = 0.5
            end = monotonic() + s
            with self._c:
                while not self._stopped and min(end, self._due) > monotonic():
                    self._c.wait(max(min(end, self._due) - monotonic(), 0.0))
