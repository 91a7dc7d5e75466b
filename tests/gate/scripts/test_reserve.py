"""A task with an ETA that takes its place in line at once: its group waits for the ETA when it is the head."""

from __future__ import annotations

from celery_groupfifo.gate.records import Limits
from celery_groupfifo.windows import Rate
from tests.support.world import World, make_entry


def test_the_group_waits_for_the_head(world: World) -> None:
    ticket = world.run("a")
    world.park("b", delay=5000, reserves=True)
    world.park("c")
    assert world.waiting() == ["b", "c"]
    world.tick(1000)
    assert world.finish(ticket).held == 4.0
    flight = world.flight()
    assert flight is not None and (flight.id, flight.state, flight.due) == ("b", "held", world.now + 4000)
    world.tick(3999)
    world.sweep()
    assert world.queued() == []
    world.tick(1)
    world.sweep()
    assert world.queued() == ["b"]
    world.finish(world.begin(world.receive()) or ticket)
    assert world.queued() == ["c"]


def test_one_that_is_due_before_its_turn_waits_for_nobody(world: World) -> None:
    ticket = world.run("a")
    world.park("b", delay=1000, reserves=True)
    world.tick(1000)
    assert world.finish(ticket).held is None and world.queued() == ["b"]


def test_the_first_of_a_group_wakes_a_worker(world: World) -> None:
    world.park("a", delay=5000, reserves=True)
    world.park("b")
    assert world.queued() == [] and world.redis.llen(world.keys.wake) == 1
    world.tick(5000)
    world.sweep()
    assert world.queued() == ["a"]


def test_a_replaced_one_keeps_its_eta(world: World) -> None:
    ticket = world.run("a")
    world.park("b", delay=5000, reserves=True)
    entry = make_entry(world.gate, "b", limits=Limits(Rate(9, 1000)).text())
    entry.on_duplicate = "replace"
    assert not world.gate.park(entry, world.gate.number())
    assert world.finish(ticket).held == 5.0


def test_a_retry_of_it_waits_for_its_own_time_only(world: World) -> None:
    world.park("a", delay=5000, reserves=True)
    world.tick(5000)
    world.sweep()
    ticket = world.begin(world.receive())
    assert ticket is not None
    assert world.hold(ticket, 100).due == 0.1
    world.tick(100)
    world.sweep()
    assert world.queued() == ["a"]


def test_nobody_overtakes_one_that_waits_beside_running_ones(world: World) -> None:
    limits = Limits(concurrency=3).text()
    world.park("a", limits=limits)
    ticket = world.begin(world.receive())
    assert ticket is not None
    world.park("b", delay=5000, reserves=True, limits=limits)
    world.park("c", limits=limits)
    world.invite(ticket, "q")
    world.sweep(world.lists("q"))
    assert [(flight.id, flight.state) for flight in world.group().flights] == [("a", "running"), ("b", "held")]
    assert (world.queued(), world.waiting()) == ([], ["c"])
    world.tick(5000)
    world.sweep(world.lists("q"))
    assert world.queued() == ["b"], "and the next one follows when it has begun"
