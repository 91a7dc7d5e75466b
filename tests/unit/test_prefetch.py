"""The places of a worker's prefetch count, while a server of the gate does not answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from celery_groupfifo.worker import prefetch
from celery_groupfifo.worker.gate_call import GateCall
from celery_groupfifo.worker.prefetch import MOST, Prefetch


class World:
    """A consumer that counts, a loop whose time the test moves, and calls that the test answers.

    Attributes:
        more: Places beyond Celery's own prefetch count.
        open: Calls without an answer.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.more, self.time, self.channel = 0, 100.0, object()
        self.open: list[GateCall] = []
        self.runs: list[Any] = []
        self.planned: list[tuple[float, Any]] = []
        patch.setattr(prefetch, "now", lambda: self.time)
        qos = SimpleNamespace(
            increment_eventually=lambda: self._change(1), decrement_eventually=lambda: self._change(-1)
        )
        consumer = SimpleNamespace(qos=qos, task_consumer=SimpleNamespace(channel=self.channel))
        loop: Any = SimpleNamespace(
            later=lambda seconds, step: self.planned.append((self.time + seconds, step)), soon=lambda step: None
        )
        self.prefetch = Prefetch(consumer, loop, self.runs, lambda: self.open, _server_of)

    def _change(self, by: int) -> None:
        self.more += by

    def call(self, script: str = "begin", server: str = "one", tag: str = "0", channel: Any = None) -> GateCall:
        """A call that goes out now, about a run of its own."""
        delivery = SimpleNamespace(is_open=True, channel=channel or self.channel)
        run: Any = SimpleNamespace(delivery=delivery)
        keys: Any = SimpleNamespace(tag=tag, server=server)
        call = GateCall(script, (keys, [], []), lambda reply, call: self.open.remove(call), [run])
        call.since = self.time
        self.open.append(call)
        self.runs.append(run)
        if script == "begin":
            self.prefetch.begins(call)
        return call

    def pass_time(self, seconds: float) -> None:
        """Let the looks of this time happen."""
        end = self.time + seconds
        while self.planned and self.planned[0][0] <= end:
            self.time, look = self.planned.pop(0)
            look()
        self.time = end


def _server_of(keys: Any) -> str:
    return str(keys.server)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


@pytest.mark.parametrize("script", ["begin", "finish"])
def test_a_delivery_without_an_answer_leaves_its_place_until_it_comes(world: World, script: str) -> None:
    world.call().answer([])
    call = world.call(script)
    world.pass_time(0.9)
    assert world.more == 0
    world.pass_time(1.1)
    assert world.more == 1
    call.answer([])
    assert world.more == 0 and not world.open
    world.pass_time(2.0)
    assert world.more == 0


def test_while_a_server_is_away_its_tickets_leave_their_places_as_they_come(world: World) -> None:
    """From one look to the next as many as before; those of other servers count."""
    for _ in range(8):
        world.call()
    world.pass_time(1.0)
    assert world.more == 8
    for _ in range(20):
        world.call(tag="another partition of the server")
    assert world.more == 16
    world.call(server="two")
    assert world.more == 16
    world.pass_time(0.5)
    assert world.more == 28
    for _ in range(MOST):
        world.pass_time(0.5)
        for _ in range(10):
            world.call()
    assert world.more == MOST


def test_when_it_is_back_every_ticket_counts(world: World) -> None:
    for _ in range(8):
        world.call()
    world.pass_time(1.0)
    for call in list(world.open):
        call.answer([])
    world.call()
    assert world.more == 0


def test_a_run_that_is_over_without_an_answer_gives_its_place_back(world: World) -> None:
    call = world.call()
    world.pass_time(1.0)
    assert world.more == 1
    delivery: Any = call.runs[0].delivery
    delivery.is_open = False
    world.pass_time(0.5)
    assert world.more == 0


def test_a_new_connection_has_celerys_own_count(world: World) -> None:
    """Neither an answer nor a call about a delivery of the old one changes it."""
    call = world.call()
    world.pass_time(1.0)
    world.prefetch.reset()
    world.more, world.prefetch._consumer.task_consumer.channel = 0, object()
    world.pass_time(1.0)
    assert world.more == 0
    call.answer([])
    assert world.more == 0


def test_without_runs_it_does_not_look(world: World) -> None:
    world.call().answer([])
    world.runs.clear()
    world.pass_time(5.0)
    assert not world.planned
