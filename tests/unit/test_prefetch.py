"""The places of a worker's prefetch count, while a server of the gate does not answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from celery_groupfifo.worker import prefetch
from celery_groupfifo.worker.gate_call import GateCall
from celery_groupfifo.worker.prefetch import MOST, Prefetch


class Scene:
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
            later=lambda seconds, step: self.planned.append((self.time + seconds, step)), turn=lambda: None
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
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


@pytest.mark.parametrize("script", ["begin", "finish"])
def test_a_delivery_without_an_answer_leaves_its_place_until_it_comes(scene: Scene, script: str) -> None:
    scene.call().answer([])
    call = scene.call(script)
    scene.pass_time(0.9)
    assert scene.more == 0
    scene.pass_time(1.1)
    assert scene.more == 1
    call.answer([])
    assert scene.more == 0 and not scene.open
    scene.pass_time(2.0)
    assert scene.more == 0


def test_while_a_server_is_away_its_tickets_leave_their_places_as_they_come(scene: Scene) -> None:
    """From one look to the next as many as before; those of other servers count."""
    for _ in range(8):
        scene.call()
    scene.pass_time(1.0)
    assert scene.more == 8
    for _ in range(20):
        scene.call(tag="another partition of the server")
    assert scene.more == 16
    scene.call(server="two")
    assert scene.more == 16
    scene.pass_time(0.5)
    assert scene.more == 28
    for _ in range(MOST // 10):
        scene.pass_time(0.5)
        for _ in range(12):
            scene.call()
    assert scene.more == MOST


def test_when_it_is_back_every_ticket_counts(scene: Scene) -> None:
    for _ in range(8):
        scene.call()
    scene.pass_time(1.0)
    for call in list(scene.open):
        call.answer([])
    scene.call()
    assert scene.more == 0


def test_a_run_that_is_over_without_an_answer_gives_its_place_back(scene: Scene) -> None:
    call = scene.call()
    scene.pass_time(1.0)
    assert scene.more == 1
    delivery: Any = call.runs[0].delivery
    delivery.is_open = False
    scene.pass_time(0.5)
    assert scene.more == 0


def test_a_new_connection_has_celerys_own_count(scene: Scene) -> None:
    """Neither an answer nor a call about a delivery of the old one changes it."""
    call = scene.call()
    scene.pass_time(1.0)
    scene.prefetch.reset()
    scene.more, scene.prefetch._consumer.task_consumer.channel = 0, object()
    scene.pass_time(1.0)
    assert scene.more == 0
    call.answer([])
    assert scene.more == 0


def test_without_runs_it_does_not_look(scene: Scene) -> None:
    scene.call().answer([])
    scene.runs.clear()
    scene.pass_time(5.0)
    assert not scene.planned
