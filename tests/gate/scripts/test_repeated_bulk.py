"""A bulk whose answers were lost is sent again: each call gets the answer that it had, also one that was refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pytest

from celery_groupfifo import Groups
from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.gate.model import Bound, Dedup, Entry, Number
from tests.support.world import World, make_entry

Scene = Callable[[World], tuple[list[Entry], Callable[[], object]]]


def draining(world: World) -> tuple[list[Entry], Callable[[], object]]:
    ticket, groups = world.run("a", "A"), Groups(world.app, world.gate)
    groups.drain("A")
    entries = [make_entry(world.gate, id, key) for id, key in (("b", "A"), ("c", "B"), ("d", "A"), ("e", "B"))]
    return entries, partial(world.finish, ticket, "A")


def draining_one_of_several(world: World) -> tuple[list[Entry], Callable[[], object]]:
    ticket, groups = world.run("a", "A"), Groups(world.app, world.gate)
    groups.drain("A")
    entries = [make_entry(world.gate, "b", "B", others=["A"]), make_entry(world.gate, "c", "B", others=["C"])]
    return entries, partial(world.finish, ticket, "A")


def same_id(world: World) -> tuple[list[Entry], Callable[[], object]]:
    ticket = world.run("a", "A")
    entries = [make_entry(world.gate, id, "A") for id in "aba"]
    return entries, partial(world.finish, ticket, "A")


def same_dedup_key(world: World) -> tuple[list[Entry], Callable[[], object]]:
    world.park("a", "A", dedup=Dedup("one"))
    ticket = world.receive()
    ticket = world.begin(ticket) or ticket
    names = (("b", "one"), ("c", "two"), ("d", "one"), ("e", "three"))
    entries = [make_entry(world.gate, id, "A", dedup=Dedup(name)) for id, name in names]
    return entries, partial(world.finish, ticket, "A")


def full(world: World) -> tuple[list[Entry], Callable[[], object]]:
    ticket, bound = world.run("a", "A"), Bound(1, "raise")
    world.park("b", "A")
    entries = [make_entry(world.gate, id, key, bound=bound) for id, key in (("c", "A"), ("d", "A"), ("e", "B"))]
    return entries, partial(world.finish, ticket, "A")


def answers_of(world: World, entries: Sequence[Entry], numbers: Sequence[Number]) -> list[object]:
    answers = world.gate.park_all(entries, numbers)
    kinds = [str(each) if isinstance(each, GroupFifoError) else each for each in answers]
    return [(kind, entry.existing) for kind, entry in zip(kinds, entries, strict=True)]


@pytest.mark.parametrize("scene", [draining, draining_one_of_several, same_id, same_dedup_key, full])
def test_each_call_gets_the_answer_that_it_had(world: World, scene: Scene) -> None:
    """Behind a refused one others have been parked: by its number the refused one seems to be done."""
    entries, clear = scene(world)
    numbers = world.gate.numbers_of(entries)
    first = answers_of(world, entries, numbers)
    assert len({str(each) for each in first}) > 1, "some are refused, and some parked behind them"
    parked = world.stat("tasks_parked")
    assert answers_of(world, entries, numbers) == first, "the reply was lost"
    clear()  # what has refused them is gone
    assert answers_of(world, entries, numbers) == first
    assert world.stat("tasks_parked") == parked


def test_the_next_calls_of_the_producer_are_new_ones(world: World) -> None:
    """The refusals of one round trip say nothing about the calls after it."""
    entries, clear = same_id(world)
    numbers = world.gate.numbers_of(entries)
    answers_of(world, entries, numbers)
    clear()
    single = world.gate.number()
    assert single.producer == numbers[0].producer and single.value > numbers[-1].value
    assert world.gate.park(make_entry(world.gate, "x", "A"), single)
    again = [make_entry(world.gate, id, "A") for id in ("x", "y", "b", "z")]
    numbers = world.gate.numbers_of(again)
    assert [world.gate.park_all(again, numbers) for _ in range(2)] == [[False, True, False, True]] * 2
    assert world.gate.revoke("z") is not None and world.gate.revoke("z") is None
    assert world.waiting("A") == ["x", "y"]


def test_what_a_long_line_of_refused_calls_takes_is_short(world: World) -> None:
    """Each call of a bulk reads and writes it."""
    world.run("a", "A")
    bulk = [make_entry(world.gate, f"t{n}", "A", bound=Bound(1, "raise")) for n in range(200)]
    numbers = world.gate.numbers_of(bulk)
    world.gate.park_all(bulk, numbers)
    kept = world.redis.get(world.keys.producer(numbers[0].producer))
    assert isinstance(kept, bytes) and len(kept) < 30, kept
