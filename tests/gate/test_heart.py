"""When a heart sweeps next, whatever comes in meanwhile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from celery_groupfifo.errors import GateUnavailable
from celery_groupfifo.model import Swept
from celery_groupfifo.worker.heart import Heart
from tests.gate.support import World


@pytest.fixture
def heart(world: World) -> Heart:
    """Of a worker without runs, that has nothing to do for half a minute at a time."""
    world.gate.settings = SimpleNamespace(lease_ttl=120.0, sweep_interval=30.0, ttl_ms=120_000)  # type: ignore[assignment]
    member: Any = SimpleNamespace(
        runs={},
        owner="w1",
        finishes=SimpleNamespace(refused=[]),
        unreturned=[],
        lists=lambda: (),
        gate=world.gate,
    )
    return Heart(member, world.gate)


def during_sweep(world: World, monkeypatch: pytest.MonkeyPatch, deed: Any) -> None:
    """Let something happen after the script of a sweep has run, before its answer is used."""
    sweep = world.gate.sweep

    def sweeping(*args: Any, **more: Any) -> Swept:
        swept = sweep(*args, **more)
        deed()
        return swept

    monkeypatch.setattr(world.gate, "sweep", sweeping)


def test_an_idle_heart_sleeps_for_an_interval(heart: Heart) -> None:
    assert 25 < heart.beat() <= 30


@pytest.mark.parametrize("beats", [0, 1], ids=["the first sweep", "a later one"])
def test_what_becomes_due_during_a_sweep_is_not_forgotten(
    world: World, heart: Heart, monkeypatch: pytest.MonkeyPatch, beats: int
) -> None:
    """Timeline: the sweep looks, a retry is stored that is due at once, the sweep's answer says that nothing is due."""
    for _ in range(beats):
        heart.beat()
        heart.wake_in(0)
    during_sweep(world, monkeypatch, lambda: heart.wake_in(0))
    assert heart.beat() == 0
    assert world.redis.llen(world.keys.wake) == 1, "a heart that sleeps already is woken"


def test_a_sweep_that_failed_is_due_at_once(world: World, heart: Heart, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise GateUnavailable("away")

    with monkeypatch.context() as patch:
        during_sweep(world, patch, broken)
        with pytest.raises(GateUnavailable):
            heart.beat()
    world.redis.delete(world.keys.pulse)
    assert heart.beat() > 25
    assert world.redis.exists(world.keys.pulse), "it has swept again"
