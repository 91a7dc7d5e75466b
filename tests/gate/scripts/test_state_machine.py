"""The scripts beside the model: any sequence of operations, faults and lost replies, and every step compared."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, run_state_machine_as_test

from celery_groupfifo import Groups
from celery_groupfifo.gate.recovery import GRACE_MS
from celery_groupfifo.groups import operate, purge, verify
from celery_groupfifo.sending.telling import Teller
from tests.gate.scripts.machine import GROUP, OPTIONS, QUEUES
from tests.gate.scripts.machine_operators import Operators
from tests.gate.scripts.machine_producers import Producers
from tests.gate.scripts.machine_workers import Workers
from tests.support.world import World


class GateMachine(Producers, Workers, Operators):
    """All of it.

    Attributes:
        every: Options that each example has.
    """

    every: ClassVar[tuple[str, ...]] = ()

    @initialize(
        options=st.sets(st.sampled_from(OPTIONS), min_size=1, max_size=6),
        groups=st.lists(GROUP, min_size=2, max_size=5),
        begun=st.integers(0, 2),
    )
    def something_runs_already(self, options: set[str], groups: list[str], begun: int) -> None:
        self.options = options.union(self.every)
        for group in groups:
            self.park(group, "q1", 0, False)
        for _ in range(min(begun, len(set(groups)))):
            self.receive(0, True, "w1", False)

    def to_the_end(self) -> None:
        model = self.model
        for key in sorted(model.paused | model.draining):
            self.resume(key)
        for _ in range(1000):
            if not (model.entries or model.cut or model.forgets):
                break
            if any(model.lists.values()):
                self.receive(0, True, "w1", False)
                while self.running():
                    self.finish_newest()
                continue
            for key in [key for key in model.flight if model.blocked(key)]:
                self.retry(key)
            self.pass_time(GRACE_MS)
            self.rerelease(False)
            self.sweep(QUEUES, False)
        for key in sorted(model.limited):
            self.limit(key, None, None, 0)
        for _ in range(100):
            if not (model.identity_forgets or model.marks or model.looks or model.advances or model.forgets):
                break
            self.pass_time(5000)
            self.sweep((), False)

    def finish_newest(self) -> None:
        """End a run whose worker still knows it; time takes back the others."""
        fences = {run.id: run.fence for run in self.running()}
        if any(fences.get(ticket.entry) == ticket.fence for ticket in self.hands):
            self.finish("live", 0, "lists", QUEUES, False)
        else:
            self.a_lease_goes_by_with_sweeps()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("every", [(), ("several",), ("tenant", "together"), ("operators",)], ids="-".join)
def test_the_scripts_do_what_the_model_says(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], every: tuple[str, ...]
) -> None:
    for module in (operate, purge):
        monkeypatch.setattr(module, "tell_revoked", lambda *_: None)  # these messages are no tasks'
    monkeypatch.setattr(Teller, "tell", lambda *_: None)
    monkeypatch.setattr(verify, "PAUSE", 0)
    world.gate.fences = None
    GateMachine.world, GateMachine.groups = world, Groups(world.app, world.gate)
    GateMachine.steps, GateMachine.every = 0, every
    run_state_machine_as_test(
        GateMachine,
        settings=settings(
            max_examples=40,
            stateful_step_count=50,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert GateMachine.steps > 1000
    with capsys.disabled():
        print(f" [{GateMachine.steps} steps]", end="")
