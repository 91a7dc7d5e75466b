"""The gate's figures, read in a few bounded round trips and kept for a while.

The cost does not grow with the number of groups: a figure that can't be counted cheaply is bounded, and says so.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from celery import Celery

from celery_groupfifo.gate import counts
from celery_groupfifo.gate.counts import TOTALS, Counts
from celery_groupfifo.gate.gate import Gate, build_gate
from celery_groupfifo.gate.keys import Keys
from celery_groupfifo.gate.observations import Observations
from celery_groupfifo.gate.records import PlaceInLine
from celery_groupfifo.printing import escaping

logger = escaping(logging.getLogger(__name__))

#: Groups whose first parked task is read for the age of the oldest.
WALKED = 1000
#: Queues whose oldest ticket is read.
MOST_QUEUES = 20


@dataclass(frozen=True)
class Snapshot:
    """The gate at one moment.

    Attributes:
        counts: Of groups and tasks.
        groups: Groups that hold a task by the state of their head: `running`; `waiting`, for a free slot; `held`:
            nothing may start now, since a retry, an ETA or the end of a pause is awaited.
        oldest_age: Seconds since the oldest task in line was parked, or the oldest head that waits for a slot was
            released, whichever is longer; see `Snapshots`.
        totals: Since the gate's first task, by name.
        observed: What observe mode has counted, by kind; empty in the other mode.
    """

    counts: Counts = field(default_factory=Counts)
    groups: dict[str, int] = field(default_factory=dict)
    oldest_age: float = 0.0
    totals: dict[str, int] = field(default_factory=dict)
    observed: dict[str, int] = field(default_factory=dict)


class Snapshots:
    """The last snapshot of a gate, renewed when it is old and asked for.

    The oldest task is found by walking: a snapshot reads the oldest group found so far, and about the next thousand
    groups of the gate. With up to a thousand groups each snapshot sees all of them; with more the answer is never too
    high, and complete after groups / 1000 snapshots.

    Args:
        app: The app whose gate is read. The gate is built in the first refresh, which may wait for a name server.
        max_age: Seconds that a snapshot serves.
        patience: Seconds that `get` waits for a new one.
        build: Makes the gate, with connections of its own, so that no other calls wait for it.
    """

    def __init__(
        self,
        app: Celery,
        max_age: float = 5.0,
        patience: float = 0.8,
        build: Callable[[Celery, str], Gate] = build_gate,
    ) -> None:
        self._app, self._build = app, build
        self.max_age, self.patience = max_age, patience
        self._gate: Gate | None = None
        self._last: Snapshot | None = None
        self._taken = -max_age
        self._up = self._said = False  # an outage is logged once
        self._cursors: dict[str, int] = {}
        self._oldest: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._pid, self._refresh = 0, threading.Event()

    def get(self) -> tuple[bool, Snapshot | None]:
        """Return whether the gate answers, and the last snapshot; None when it never answered.

        This takes `patience` at most: a refresh runs in a thread of its own, and no second one starts while one is
        stuck.
        """
        if monotonic() - self._taken < self.max_age:
            return self._up, self._last
        with self._lock:
            if self._pid != os.getpid() or self._refresh.is_set():  # no refresh runs; a fork does not copy the thread
                self._pid, self._refresh = os.getpid(), threading.Event()
                threading.Thread(
                    target=self._take, args=(self._refresh,), name="groupfifo-metrics", daemon=True
                ).start()
            refresh = self._refresh
        return (self._up if refresh.wait(self.patience) else False), self._last

    def _take(self, done: threading.Event) -> None:
        try:
            if self._gate is None:
                self._gate = self._build(self._app, "groupfifo-metrics")
            self._last = self._read(self._gate)
            self._up, self._taken, self._said = True, monotonic(), False
        except Exception as error:  # a scrape says `groupfifo_up 0` whatever the reason, and the log says which
            self._up = False
            logger.log(logging.DEBUG if self._said else logging.WARNING, "The gate can't be measured: %s", error)
            self._said = True
        finally:
            done.set()

    # -- reading -----------------------------------------------------------

    def _read(self, gate: Gate) -> Snapshot:
        parts = [self._read_partition(gate, keys) for keys in gate.keyspace.partitions]
        groups: dict[str, int] = {}
        totals = dict.fromkeys(TOTALS, 0)
        for part in parts:
            groups = {state: groups.get(state, 0) + count for state, count in part.groups.items()}
            totals = {name: totals[name] + part.totals.get(name, 0) for name in totals}
        return Snapshot(
            counts=counts.total(part.counts for part in parts),
            groups=groups,
            oldest_age=max(part.oldest_age for part in parts),
            totals=totals,
            observed=Observations(gate.store, gate.keyspace).totals() if gate.settings.observes else {},
        )

    def _read_partition(self, gate: Gate, keys: Keys) -> Snapshot:
        part = counts.read(gate.store.read, keys)
        counted = part.counts

        def walk(pipe: Any) -> None:
            pipe.hscan(keys.groups, self._cursors.get(keys.tag, 0), count=WALKED)

        ((cursor, walked),) = gate.store.read("groups", walk)
        self._cursors[keys.tag] = int(cursor)
        names = dict.fromkeys([*self._known(keys), *walked])

        def ages(pipe: Any) -> None:
            for name in names:
                pipe.lindex(keys.line(name.decode()), 0)

        firsts = gate.store.read("ages", ages) if names else []
        heads = gate.heads(keys, limit=MOST_QUEUES) if counted.waiting else []
        waiting = [part.now - head.release / 1e6 for head in heads]
        held = max(counted.groups - counted.running - counted.waiting, 0)
        return Snapshot(
            counts=counted,
            groups={"running": counted.running, "waiting": counted.waiting, "held": held},
            oldest_age=max(self._age(keys, names, firsts, part.now), *waiting, 0.0),
            totals=part.totals,
        )

    def _known(self, keys: Keys) -> list[bytes]:
        return [self._oldest[keys.tag]] if keys.tag in self._oldest else []

    def _age(self, keys: Keys, names: Any, firsts: list[bytes | None], now: float) -> float:
        pairs = zip(names, firsts, strict=True)
        parked = [(int(PlaceInLine.parse(first.decode()).us), name) for name, first in pairs if first]
        if not parked:
            self._oldest.pop(keys.tag, None)
            return 0.0
        us, self._oldest[keys.tag] = min(parked)
        return max(now - us / 1e6, 0.0)
