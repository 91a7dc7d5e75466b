"""SCRIPT FLUSH, or a restart of Redis, between any two calls: the scripts load themselves again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from celery_groupfifo import Groups
from celery_groupfifo.flower.index import read_index
from celery_groupfifo.gate import evaluator
from celery_groupfifo.gate.evaluator import Ahead
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.packing import pack
from celery_groupfifo.groups.reader import Reader
from tests.gate.scripted import CASES, Case
from tests.support.snapshot import snapshot
from tests.support.world import World, make_entry


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_script_comes_back(world: World, case: Case) -> None:
    expected = case.prepare(world)()
    after = snapshot(world)
    world.redis.flushdb()
    again = World(world.url)
    call = case.prepare(again)
    world.redis.script_flush()
    assert call() == expected
    assert snapshot(again) == after
    again.close()


def test_a_whole_life_with_a_flush_before_every_step(world: World) -> None:
    run = world.gate.store.run

    def flushed(*args: Any, **more: Any) -> Any:
        world.redis.script_flush()
        return run(*args, **more)

    world.gate.store.run = flushed  # type: ignore[method-assign]
    ticket = world.run("a")
    world.park("b")
    world.hold(ticket, 10)
    world.tick(10)
    world.sweep()
    for id in ("a", "b"):
        ticket = world.receive()
        assert ticket.id == id and world.begin(ticket)
        world.gate.renew(quote("w1"), [ticket])
        assert not world.finish(ticket).stale
    assert world.residue() == {}


def test_a_flush_between_load_and_call(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    flushes: list[bool] = []
    load = evaluator.load

    def flushed(connection: Any, names: Sequence[str]) -> None:
        load(connection, names)
        if not flushes:
            flushes.append(world.redis.script_flush())

    monkeypatch.setattr(evaluator, "load", flushed)
    world.redis.script_flush()
    assert world.park("a") and world.queued() == ["a"]
    assert flushes


@pytest.mark.parametrize("script", ["census"])
def test_a_flush_in_the_middle_of_a_long_reading(world: World, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """The scripts were loaded for all of it: it begins anew."""
    world.run("a")
    world.park("b")
    sent: list[str] = []
    send = Ahead.send

    def flushed(self: Ahead, name: str, keys: Sequence[str], args: Sequence[Any]) -> None:
        if name == script and name not in sent:
            world.redis.script_flush()
        sent.append(name)
        send(self, name, keys, args)

    monkeypatch.setattr(Ahead, "send", flushed)
    groups = Groups(world.app, world.gate)
    assert groups.verify() == []
    assert [group.depth for group in groups.list(sort="age")] == [2]
    assert read_index(Reader(world.gate)).running == 1
    assert sent.count(script) >= 2


def test_many_parks_bring_their_script_along(world: World) -> None:
    """Loaded in the transaction that uses it: nobody can flush it in between."""
    entries, numbers = [make_entry(world.gate, f"t{n}") for n in range(5)], world.gate.numbers(5)
    world.redis.script_flush()
    assert world.gate.park_all(entries, numbers) == [True] * 5
    assert (world.queued(), world.waiting()) == (["t0"], ["t1", "t2", "t3", "t4"])


def test_a_flush_in_the_middle_of_many_parks_parks_each_once_and_in_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timeline: t0 and t1 run, then the flush, then t2 is refused; the repetition must not lose or reorder."""
    entries, numbers = [make_entry(world.gate, f"t{n}") for n in range(4)], world.gate.numbers(4)
    transaction, flushes = evaluator.transaction, list[bool]()

    def interrupted(connection: Any, commands: Sequence[bytes], load: str | None, *more: bytes) -> list[Any]:
        if flushes:
            return transaction(connection, commands, load, *more)
        flushes.append(True)
        flushed = [*commands[:2], pack(["SCRIPT", "FLUSH", "SYNC"]), *commands[2:]]
        return [reply for reply in transaction(connection, flushed, load, *more) if reply != b"OK"]

    monkeypatch.setattr(evaluator, "transaction", interrupted)
    assert world.gate.park_all(entries, numbers) == [True] * 4
    assert flushes
    assert (world.queued(), world.waiting()) == (["t0"], ["t1", "t2", "t3"])
