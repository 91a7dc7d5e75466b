"""Strikes where it hurts: a seed decides what and whom, the history decides when.

A blind nemesis mostly hits idle processes. This one looks for a run that has started and not ended, and strikes its
worker then: between the begin and the finish.
"""

from __future__ import annotations

import random
import time

from celery_groupfifo.testing.history import Event, record
from tests.support.stages.app import LEASE_TTL
from tests.support.stages.fleet import Worker
from tests.support.stages.stage import QUEUE, RECOVERY, Stage
from tests.support.waiting import until

#: Longer than nothing runs at all, unless the gate is stuck: then there is nobody to strike.
AIM_SECONDS = 15.0
#: A stall of Redis that must cost nobody a lease.
STALL_SECONDS = LEASE_TTL * 0.7


class Nemesis:
    """One run of faults.

    Args:
        stage: What it strikes.
        seed: Decides the faults.

    Attributes:
        faults: Names of the methods that are faults.
        certain: Those of every plan.
    """

    faults: tuple[str, ...] = (
        "kill_worker",
        "kill_child",
        "freeze",
        "kill_clients",
        "flush_scripts",
        "restart_redis",
        "purge",
        "deliver_again",
        "stall_redis",
        "lose_replies",
        "cut",
        "slow_down",
    )
    certain: tuple[str, ...] = ("kill_worker", "freeze", "restart_redis")

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage = stage
        self.random = random.Random(seed)
        self.done: list[str] = []
        self._thaws: list[tuple[float, Worker]] = []

    def plan(self, many: int) -> list[str]:
        """So many faults, in the seed's order; the worst ones are in every plan."""
        others = [name for name in self.faults if name not in self.certain]
        plan = [*self.certain, *self.random.sample(others, many - len(self.certain))]
        self.random.shuffle(plan)
        return plan

    def strike(self, name: str) -> None:
        """One fault."""
        began = time.monotonic()
        self.stage.proxy.delay = 0.0
        getattr(self, name)()
        record(self.stage.directory / "history" / "nemesis.jsonl", ev="fault", name=name, began=began)
        self.done.append(name)

    def rest(self, seconds: float) -> None:
        """Let things go on for a while; who was frozen long enough is thawed."""
        end = time.monotonic() + seconds

        def over() -> bool:
            self._thaw()
            return time.monotonic() >= end

        until(over)

    def heal(self) -> None:
        """End what lasts: thaw everybody, each in its time."""
        until(self._none_is_frozen)
        self.stage.proxy.forgive()

    def _none_is_frozen(self) -> bool:
        self._thaw()
        return not self._thaws

    def _thaw(self) -> None:
        for when, worker in list(self._thaws):
            if time.monotonic() >= when:
                self._thaws.remove((when, worker))
                worker.thaw()

    def aim(self) -> Event | None:
        """A run that has started and not ended, of a worker that is neither dead nor frozen."""
        found: list[Event] = []

        def look() -> bool:
            self._thaw()
            struck = {worker.hostname for worker in self.stage.workers if worker.frozen or not worker.alive}
            runs = self.stage.watch.look().open.values()
            found[:] = [run for run in runs if run["worker"] not in struck]
            return bool(found)

        try:
            until(look, within=AIM_SECONDS)
        except AssertionError:
            return None  # all is done, or all are frozen
        return self.random.choice(sorted(found, key=lambda run: (run["group"], run["fence"])))

    # -- processes ---------------------------------------------------------

    def kill_worker(self) -> None:
        """The whole worker that runs something; a new one takes its place."""
        run = self.aim()
        if run is not None:
            self.stage.worker_of(run).kill()
            self.stage.launch(by_proxy=self.random.random() < 0.5)

    def kill_child(self) -> None:
        """The process that runs something."""
        run = self.aim()
        if run is not None:
            self.stage.worker_of(run).kill_child(run["pid"])

    def freeze(self) -> None:
        """The worker that runs something, past its lease."""
        run = self.aim()
        if run is not None:
            self._freeze(run, LEASE_TTL + RECOVERY * self.random.uniform(0.3, 0.8))

    def _freeze(self, run: Event, seconds: float) -> None:
        """Unless somebody is frozen already."""
        if not self._thaws:
            worker = self.stage.worker_of(run)
            worker.freeze(seconds)
            self._thaws.append((time.monotonic() + seconds, worker))

    # -- Redis -------------------------------------------------------------

    def kill_clients(self) -> None:
        """Every connection to Redis is cut, by Redis."""
        self.stage.redis.client_kill_filter(_type="normal", skipme=True)
        self.stage.redis.client_kill_filter(_type="pubsub", skipme=True)

    def flush_scripts(self) -> None:
        """Redis forgets the scripts."""
        self.stage.redis.script_flush()

    def restart_redis(self) -> None:
        """Redis is killed, and comes back with its data."""
        self.aim()
        self.stage.gate.restart(down=self.random.uniform(0.0, 0.8))

    def stall_redis(self) -> None:
        """Redis stands still, for less than a lease."""
        self.aim()
        self.stage.gate.stall(STALL_SECONDS)

    # -- the broker --------------------------------------------------------

    def purge(self) -> None:
        """Throw away the messages that wait at the broker."""
        self.stage.redis.delete(QUEUE)

    def deliver_again(self) -> None:
        """The broker delivers twice whatever waits there."""
        self.aim()
        for message in self.stage.redis.lrange(QUEUE, 0, -1):
            self.stage.redis.rpush(QUEUE, message)

    # -- the network -------------------------------------------------------

    def lose_replies(self) -> None:
        """Calls that are done, and of which the caller never hears: each call, and maybe its repetition."""
        names = ("begin", "finish", "park", "renew", "surrender")
        self.stage.proxy.lose_replies(self.random.choice((1, 2, 3)), *names)

    def cut(self) -> None:
        """Everybody behind the proxy is cut off, in the middle of whatever it does."""
        self.aim()
        self.stage.proxy.cut()

    def slow_down(self) -> None:
        """A slow network, until the next fault."""
        self.stage.proxy.delay = 0.05
