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

from celery_groupfifo.gate.gate import Gate, build_gate
from celery_groupfifo.gate.keys import Keys, due_score
from celery_groupfifo.gate.records import Waiting

logger = logging.getLogger(__name__)

#: Groups whose first parked task is read for the age of the oldest: the deepest ones, and the next of the others.
DEEPEST, WALKED = 200, 800
#: Queues whose oldest ticket is read.
MOST_QUEUES = 20
#: Totals that the gate keeps, see the scripts.
TOTALS = ("parked", "finished", "held", "reclaimed", "surrendered", "rung", "revoked", "buried")


@dataclass(frozen=True)
class Snapshot:
    """The gate at one moment.

    Attributes:
        groups: Live groups by the state of their head: `running`; `waiting`, for a free slot; `held`: nothing may
            start now, since a retry, an ETA or the end of a pause is awaited.
        paused: Groups that an operator has paused; while they hold tasks they are counted in `groups`, too.
        parked: Tasks that are not under way: in line, or waiting for their ETA.
        running: Tasks whose lease a worker holds.
        oldest: Seconds since the oldest task in line was parked, or the oldest head that waits for a slot was
            released, whichever is longer; see `Snapshots`.
        dead: Dead letters.
        totals: Since the gate's first task, by name.
    """

    groups: dict[str, int] = field(default_factory=dict)
    paused: int = 0
    parked: int = 0
    running: int = 0
    oldest: float = 0.0
    dead: int = 0
    totals: dict[str, int] = field(default_factory=dict)


class Snapshots:
    """The last snapshot of a gate, renewed when it is old and asked for.

    The oldest task is found by walking: a snapshot reads the deepest groups, the oldest one found so far, and the next
    groups of the index. With up to a thousand groups each snapshot sees all of them; with more the answer is never too
    high, and complete after groups / 800 snapshots.

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
        except Exception as error:
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
            groups=groups,
            paused=sum(part.paused for part in parts),
            parked=sum(part.parked for part in parts),
            running=sum(part.running for part in parts),
            oldest=max(part.oldest for part in parts),
            dead=sum(part.dead for part in parts),
            totals=totals,
        )

    def _read_partition(self, gate: Gate, keys: Keys) -> Snapshot:
        def counts(pipe: Any) -> None:
            pipe.time().hlen(keys.entries).hlen(keys.flight).zcard(keys.depth).zcard(keys.on_the_way)
            pipe.zcard(keys.paused).llen(keys.dead).hgetall(keys.stats)
            pipe.zrange(keys.depth, 0, DEEPEST - 1, desc=True)
            pipe.zscan(keys.depth, cursor=self._cursors.get(keys.tag, 0), count=WALKED)

        read = gate.store.read("counts", counts)
        (seconds, us), entries, flights, depth, released, paused, dead, stats, deepest, (cursor, walked) = read
        self._cursors[keys.tag] = int(cursor)

        now = seconds + us / 1e6
        names = dict.fromkeys([*self._known(keys), *deepest, *(name for name, _ in walked)])

        def ages(pipe: Any) -> None:
            pipe.zcount(keys.due, due_score("l", 0), f"({due_score('h', 0)}")  # leases
            for name in names:
                pipe.lindex(keys.waiting(name.decode()), 0)

        running, *firsts = gate.store.read("ages", ages)

        waiting = [now - head.release / 1e6 for head in gate.heads(keys, limit=MOST_QUEUES)] if released else []
        return Snapshot(
            groups={"running": running, "waiting": released, "held": max(depth - running - released, 0)},
            paused=paused,
            parked=max(entries - flights, 0),
            running=running,
            oldest=max(self._age(keys, names, firsts, now), *waiting, 0.0),
            dead=dead,
            totals={name.decode(): int(value) for name, value in stats.items()},
        )

    def _known(self, keys: Keys) -> list[bytes]:
        return [self._oldest[keys.tag]] if keys.tag in self._oldest else []

    def _age(self, keys: Keys, names: Any, firsts: list[bytes | None], now: float) -> float:
        pairs = zip(names, firsts, strict=True)
        parked = [(int(Waiting.parse(first.decode()).us), name) for name, first in pairs if first]
        if not parked:
            self._oldest.pop(keys.tag, None)
            return 0.0
        us, self._oldest[keys.tag] = min(parked)
        return max(now - us / 1e6, 0.0)
