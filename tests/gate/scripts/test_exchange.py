"""exchange: a parked entry gets a new message, and keeps its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from celery_groupfifo import DuplicateTask, Groups
from celery_groupfifo.gate.model import Bound, Entry
from celery_groupfifo.gate.parks import Old, exchange_call
from tests.support.world import World, make_entry, ticket_of


def entry_of(world: World, id: str, **more: Any) -> Entry:
    entry = make_entry(world.gate, id, **more)
    entry.on_duplicate = "replace"
    return entry


def replace(world: World, id: str, **more: Any) -> bool:
    return world.gate.park(entry_of(world, id, **more), world.gate.number())


def bodies(world: World, queue: str = "q") -> list[str]:
    """Run all that is in a queue; return the bodies in the order of the runs."""
    found = []
    while (message := world.pop(queue)) is not None:
        found.append(json.loads(message)["body"])
        ticket = world.begin(ticket_of(message))
        assert ticket is not None
        world.finish(ticket)
    return found


@contextmanager
def between(world: World, meanwhile: Any) -> Iterator[None]:
    """Let something happen before an exchange reaches the gate."""
    store, run = world.gate.store, world.gate.store.run

    def run_late(name: str, *args: Any) -> Any:
        if name == "exchange":
            del store.__dict__["run"]
            meanwhile()
        return run(name, *args)

    store.run = run_late  # type: ignore[method-assign, assignment]
    yield
    assert "run" not in store.__dict__, "it was called"


def test_it_keeps_its_place(world: World) -> None:
    for id in ("a", "b", "c"):
        world.park(id, body=id)
    world.tick(10)
    assert not replace(world, "b", body="new")
    assert (world.waiting(), world.depth(), world.stat("tasks_parked")) == (["b", "c"], 3, 3)
    assert bodies(world) == ["a", "new", "c"]
    assert world.residue() == {}


def test_the_last_call_counts_and_its_queue_too(world: World) -> None:
    world.park("a")
    for number in range(3):
        replace(world, "b", body=f"new {number}", queue=f"q{number}")
    assert bodies(world) == [""]
    assert [world.queued(f"q{number}") for number in range(3)] == [[], [], ["b"]]
    assert bodies(world, "q2") == ["new 2"]


def test_what_waits_for_its_eta_keeps_the_time(world: World) -> None:
    world.park("a", delay=5000, body="old")
    replace(world, "a", body="new", delay=60_000)
    world.tick(5000)
    world.sweep(world.lists("q"))
    assert bodies(world) == ["new"]
    assert world.residue() == {}


def test_an_id_that_is_not_there_is_parked(world: World) -> None:
    assert replace(world, "a", body="a")
    assert bodies(world) == ["a"]
    assert replace(world, "a", body="again"), "it has ended"


@pytest.mark.parametrize("state", ["released", "running", "held", "released again", "blocked", "paused"])
def test_the_head_keeps_its_message(world: World, state: str) -> None:
    """A second task of one id must not be, and a retry must not be lost."""
    world.park("a", body="old")
    if state == "paused":
        Groups(world.app, world.gate).pause("g")
    elif state != "released":
        ticket = world.begin(world.receive())
        assert ticket is not None
        if state == "blocked":
            world.fail(ticket)
        elif state != "running":
            world.hold(ticket, 5000 if state == "held" else 0, body="retry")
    before = world.redis.hgetall(world.keys.entries)
    with pytest.raises(DuplicateTask, match="Task a of group 'g' can't be replaced: it is the head of its group"):
        replace(world, "a", body="new")
    assert world.redis.hgetall(world.keys.entries) == before


def test_the_id_of_another_group_stays_there(world: World) -> None:
    for id in ("x", "a"):
        world.park(id, body=id)
    with pytest.raises(DuplicateTask, match="or is in another group"):
        replace(world, "a", key="other", body="new")
    assert bodies(world) == ["x", "a"]


def test_one_that_was_revoked_before_is_parked_anew(world: World) -> None:
    for id in ("x", "a", "b"):
        world.park(id, body=id)
    world.tick(1)
    with between(world, lambda: world.gate.revoke("a")):
        assert replace(world, "a", body="new")
    assert bodies(world) == ["x", "b", "new"]
    assert world.residue() == {}


def test_one_that_goes_out_before_is_not_replaced(world: World) -> None:
    ticket = world.run("x")
    world.park("a", body="old")
    with between(world, lambda: world.finish(ticket)), pytest.raises(DuplicateTask):
        replace(world, "a", body="new")
    assert bodies(world) == ["old"]


def test_a_full_or_draining_group_takes_it(world: World) -> None:
    for id in ("x", "a"):
        world.park(id, body=id)
    Groups(world.app, world.gate).drain("g")
    assert not replace(world, "a", body="new", bound=Bound(1, "drop_oldest"))
    assert bodies(world) == ["x", "new"]


def test_a_repetition_after_the_end_starts_nothing(world: World) -> None:
    """Its first answer was lost, and the task has ended meanwhile."""
    for id in ("x", "a"):
        world.park(id, body=id)
    entry, number = entry_of(world, "a", body="new"), world.gate.number()
    more, call = exchange_call(world.keys, entry, number, Old("a", ""))
    for _ in range(2):
        assert world.gate.store.run("exchange", world.keys, more, call) == [1]
        bodies(world)
    world.gate.park(entry, number)
    assert bodies(world) == [], "nor does the whole call again"


def test_in_bulk(world: World) -> None:
    world.park("head")
    entries = [entry_of(world, id, body=f"{id}{n}") for n, id in enumerate(("a", "b", "a", "head", "c", "b"))]
    answers = world.gate.park_all(entries, world.gate.numbers_of(entries))
    assert [isinstance(each, DuplicateTask) or each for each in answers] == [True, True, False, True, True, False]
    assert isinstance(answers[3], DuplicateTask)
    assert bodies(world) == ["", "a2", "b5", "c4"]
    assert world.residue() == {}
