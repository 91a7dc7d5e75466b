"""park with a bound: a group has so many parked entries at most, whoever parks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import Any

import pytest

from celery_groupfifo import GroupFull, Groups
from celery_groupfifo.gate.gate import build_gate
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Bound, Entry
from celery_groupfifo.settings import Overflow
from tests.support.world import World, make_entry

TWO, DROPS = Bound(2, "raise"), Bound(2, "drop_oldest")


def park(world: World, id: str, bound: Bound, **more: Any) -> tuple[bool, str | None]:
    """Park; return True when it was parked, and the id of the dropped one."""
    entry = make_entry(world.gate, id, bound=bound, **more)
    return world.gate.park(entry, world.gate.number()), entry.dropped and entry.dropped[0]


def test_the_head_does_not_count(world: World) -> None:
    world.run("a")
    for id in ("b", "c"):
        assert park(world, id, TWO) == (True, None)
    with pytest.raises(GroupFull, match=r"Task d was not parked: group 'g' .* as group_max_depth=2 allows\."):
        park(world, "d", TWO)
    assert (world.waiting(), world.depth(), world.stat("tasks_parked")) == (["b", "c"], 3, 3)


def test_there_is_room_again_when_the_line_moves(world: World) -> None:
    ticket = world.run("a")
    for id in ("b", "c"):
        park(world, id, TWO)
    world.finish(ticket)
    assert park(world, "d", TWO) == (True, None)
    world.gate.revoke("d")
    assert park(world, "e", TWO) == (True, None), "a revoked one has left its place, which is not walked over yet"
    with pytest.raises(GroupFull):
        park(world, "f", TWO)


def test_what_waits_for_its_eta_counts(world: World) -> None:
    world.run("a")
    park(world, "b", TWO, delay=5000)
    park(world, "c", TWO)
    for delay in (0, 5000):
        with pytest.raises(GroupFull):
            park(world, "d", TWO, delay=delay)
    world.tick(5000)
    world.sweep(world.lists("q"))
    assert world.waiting() == ["c", "b"]


def test_a_duplicate_is_no_task_beyond(world: World) -> None:
    world.run("a")
    for id in ("b", "c"):
        park(world, id, TWO)
    for bound in (TWO, DROPS):
        assert park(world, "b", bound) == (False, None)
    assert world.waiting() == ["b", "c"]


def test_what_goes_on_for_a_run_is_never_refused(world: World) -> None:
    ticket = world.run("a")
    one = Bound(1, "raise")
    park(world, "b", one)
    for key, id in (("g", "a"), ("h", "a")):  # the second one goes to a line that is full, too
        world.park("x", "h"), world.park("y", "h")
        entry = make_entry(world.gate, id, key, bound=one)
        assert world.gate.park(entry, world.gate.number(), replaces=True)
    world.finish(ticket)
    assert world.waiting("h") == ["y", "a;r"]


def test_the_oldest_parked_one_makes_room(world: World) -> None:
    world.run("a")
    for id in ("b", "c"):
        park(world, id, DROPS)
    entry = make_entry(world.gate, "d", bound=DROPS)
    assert world.gate.park(entry, world.gate.number())
    assert entry.dropped is not None
    id, message = entry.dropped
    assert id == "b" and b'"id": "b"' in message
    assert world.waiting() == ["c", "d"] and world.flight()
    assert (world.depth(), world.stat("tasks_revoked"), world.stat("tasks_parked")) == (3, 1, 4)


@pytest.mark.parametrize("state", ["released", "running", "held"])
def test_the_head_is_never_dropped(world: World, state: str) -> None:
    world.park("a")
    if state != "released":
        ticket = world.receive()
        world.begin(ticket)
        if state == "held":
            world.hold(ticket, 5000)
    for id in ("b", "c", "d", "e"):
        park(world, id, DROPS)
    flight = world.flight()
    assert flight is not None and (flight.id, flight.state) == ("a", state)
    assert world.waiting() == ["d", "e"]


def test_places_of_revoked_ones_are_walked_over(world: World) -> None:
    world.run("a")
    for id in ("b", "c", "d"):
        world.park(id)
    world.gate.revoke("c")
    world.park("e")
    assert park(world, "f", DROPS) == (True, "b")
    assert park(world, "g", DROPS) == (True, "d")
    assert (world.waiting(), world.depth(), world.group().empty) == (["e", "f", "g"], 4, 0)


def test_the_last_one_in_line_makes_room(world: World) -> None:
    """Its place leaves the line empty for a moment."""
    ticket = world.run("a")
    one = Bound(1, "drop_oldest")
    park(world, "b", one)
    assert park(world, "c", one) == (True, "b")
    assert world.waiting() == ["c"]
    world.finish(ticket)
    assert world.queued() == ["c"]


def test_with_none_in_line_none_can_make_room(world: World) -> None:
    world.run("a")
    for id in ("b", "c"):
        park(world, id, DROPS, delay=5000)
    with pytest.raises(GroupFull, match="none that is in line can make room"):
        park(world, "d", DROPS)
    assert world.depth() == 3


def test_of_a_paused_group_every_entry_counts(world: World) -> None:
    groups = Groups(world.app, world.gate)
    groups.pause("g")
    for id in ("a", "b"):
        assert park(world, id, TWO) == (True, None)
    with pytest.raises(GroupFull):
        park(world, "c", TWO)
    assert park(world, "c", DROPS) == (True, "a")
    groups.resume("g")
    assert (world.queued(), world.waiting()) == (["b"], ["c"])


@pytest.mark.parametrize("overflow", ["raise", "drop_new"])
def test_a_repetition_of_a_refused_call_may_be_parked(world: World, overflow: Overflow) -> None:
    ticket = world.run("a")
    world.park("b")
    entry, number = make_entry(world.gate, "c", bound=Bound(1, overflow)), world.gate.number()

    def refused() -> bool:
        try:
            return not world.gate.park(entry, number)
        except GroupFull:
            return True

    assert refused() and refused()
    world.finish(ticket)
    assert not refused()


def test_a_repetition_names_the_dropped_one_again(world: World) -> None:
    """Else nobody would store its state."""
    ticket = world.run("a")
    park(world, "b", Bound(1, "drop_oldest"))
    entry, number = make_entry(world.gate, "c", bound=Bound(1, "drop_oldest")), world.gate.number()
    assert world.gate.park(entry, number)
    first, entry.dropped = entry.dropped, None
    world.finish(ticket)
    world.finish(world.begin(world.receive()) or pytest.fail("it is stale"))
    assert world.gate.park(entry, number), "it has run meanwhile"
    assert entry.dropped == first and first is not None
    assert world.residue() == {}


def test_a_producer_goes_on_after_a_drop(world: World) -> None:
    world.run("a")
    for id in ("b", "c", "d"):
        park(world, id, Bound(1, "drop_oldest"))
        assert world.gate.revoke("nobody") is None
    assert world.park("e") and world.gate.revoke("e") is not None
    assert world.waiting() == ["d"]


@pytest.mark.parametrize("overflow", ["raise", "drop_new", "drop_oldest"])
def test_in_bulk(world: World, overflow: Overflow) -> None:
    entries = [make_entry(world.gate, f"t{n}", bound=Bound(2, overflow)) for n in range(6)]
    numbers = world.gate.numbers_of(entries)
    for _ in range(2):  # the second time it is repeated
        answers = world.gate.park_all(entries, numbers)
        dropped = [entry.dropped[0] for entry in entries if entry.dropped]
        if overflow == "drop_oldest":
            assert answers == [True] * 6 and dropped == ["t1", "t2", "t3"]
            assert world.waiting() == ["t4", "t5"]
        else:
            assert answers[:3] == [True] * 3 and dropped == (["t3", "t4", "t5"] if overflow == "drop_new" else [])
            assert [isinstance(each, GroupFull) for each in answers[3:]] == [overflow == "raise"] * 3
            assert world.waiting() == ["t1", "t2"]
    assert world.gate.park_all([make_entry(world.gate, "last")], world.gate.numbers(1)) == [True]


def test_exact_under_parallel_producers(own_world: World) -> None:
    world, parked, refused, dropped = own_world, list[str](), list[str](), list[str]()
    world.park("head")

    def produce(number: int) -> None:
        gate = build_gate(world.app)
        for n in range(50):
            bound = Bound(5, "drop_oldest" if number % 2 else "raise")
            entry: Entry = make_entry(gate, f"{number}-{n}", bound=bound)
            try:
                gate.park(entry, gate.number())
                parked.append(entry.id)
            except GroupFull:
                refused.append(entry.id)
            if entry.dropped:
                dropped.append(entry.dropped[0])
            depth = int(world.redis.llen(world.keys.line(quote("g"))))
            assert depth <= 5, depth
        gate.store.close()

    run_all([partial(produce, number) for number in range(4)])
    assert len(parked) + len(refused) == 200 and len(dropped) == len(set(dropped)) == len(parked) - 5
    assert sorted(world.waiting()) == sorted(set(parked) - set(dropped))


def run_all(calls: list[Callable[[], None]]) -> None:
    """Run calls at the same time; an error of any is raised."""
    errors = list[BaseException]()

    def guarded(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [Thread(target=guarded, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
