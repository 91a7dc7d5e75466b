"""Faults in which no process dies: servers that hang or refuse, connections that lead nowhere, machines that sleep."""

from __future__ import annotations

from contextlib import AbstractContextManager

from tests.faults.chaos.nemesis import Nemesis
from tests.support.stages.node import REFUSALS
from tests.support.stages.stage import Stage

#: Longer than that of other random runs: a heartbeat has time to notice that its connection leads nowhere.
LEASE = 3.0


class Stalls(Nemesis):
    """One run of them; the gate, the broker and the result backend are three servers.

    Args:
        stage: What it strikes; its workers are suspendable.
        seed: Decides the faults.
    """

    faults = (
        "gate_hangs",
        "gate_refuses",
        "gate_swallows",
        "broker_hangs",
        "broker_hangs_up",
        "backend_hangs",
        "suspend",
    )
    certain = ("gate_hangs", "gate_refuses", "suspend")

    def __init__(self, stage: Stage, seed: int) -> None:
        super().__init__(stage, seed)
        stage.redis.config_set("maxmemory-policy", "noeviction")

    def gate_hangs(self) -> None:
        """For longer than a few leases, or shorter than one."""
        self.aim()
        self._during(self.stage.gate.hanging(), 0.5, 3.5)

    def gate_refuses(self) -> None:
        """On connections that are kept, for about a lease."""
        self.aim()
        self._during(self.stage.gate.refusing(self.random.choice(sorted(REFUSALS))), 0.5, 1.3)

    def gate_swallows(self) -> None:
        """The connections of those behind the proxy stay open, and nobody answers on them; new ones work."""
        self.aim()
        self.stage.proxy.swallow()
        self.rest(2.0)  # in which plain tasks go on

    def broker_hangs(self) -> None:
        """For longer than a lease, or shorter."""
        self.aim()
        self._during(self.stage.broker.hanging(), 0.5, 2.0)

    def broker_hangs_up(self) -> None:
        """On everybody, three times; the gate does not."""
        for _ in range(3):
            self.aim()
            self.stage.broker.kill_clients()
            self.rest(self.random.uniform(0.3, 1.0))

    def backend_hangs(self) -> None:
        """For about a lease."""
        self.aim()
        self._during(self.stage.backend.hanging(), 0.5, 1.3)

    def suspend(self) -> None:
        """The machine of a worker that runs something sleeps past its lease, and its clocks with it."""
        run = self.aim()
        if run is not None:
            self._freeze(run, LEASE + 1.0 + self.random.uniform(0.5, 1.5))

    def _during(self, fault: AbstractContextManager[None], least: float, most: float) -> None:
        """For so many leases."""
        with fault:
            self.rest(LEASE * self.random.uniform(least, most))
