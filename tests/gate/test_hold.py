"""hold: a running task goes on later, at the head of its group."""

from __future__ import annotations

import json

from tests.gate.support import TTL_MS, World, ticket_of


def test_the_group_waits_out_the_countdown(world: World) -> None:
    ticket = world.run("a")
    world.park("b")
    assert world.hold(ticket, 5000)
    assert world.finish(ticket).due == 5
    assert (world.queued(), world.waiting(), world.depth()) == ([], ["b"], 2)
    world.tick(4999)
    assert world.gate.sweep(world.lists("q")).next_due == 0.001
    assert world.queued() == []
    world.tick(1)
    world.gate.sweep(world.lists("q"))
    again = world.receive()
    assert again.id == "a" and again.fence > ticket.fence
    world.begin(again)
    world.finish(again)
    assert world.queued() == ["b"]


def test_a_continuation_that_is_due_goes_out_with_the_finish(world: World) -> None:
    ticket = world.run("a")
    world.park("b")
    world.hold(ticket, 1000)
    world.tick(1500)
    done = world.finish(ticket)
    assert done.due == 0
    assert world.queued() == ["a"]


def test_the_continuation_is_a_new_message_and_may_go_elsewhere(world: World) -> None:
    ticket = world.run("a", queue="q1")
    world.hold(ticket, 0, queue="q2", body="second")
    world.finish(ticket)
    payload = json.loads(world.pop("q2") or b"")
    assert payload["body"] == "second"
    assert world.redis.llen("q1") == 0


def test_it_keeps_the_time_it_was_parked(world: World) -> None:
    ticket = world.run("a")
    world.tick(7000)
    world.hold(ticket, 0)
    world.finish(ticket)
    assert world.receive().parked_us == ticket.parked_us


def test_nothing_goes_out_while_the_original_runs(world: World) -> None:
    ticket = world.run("a")
    world.hold(ticket, 100)
    for _ in range(20):
        world.tick(1000)
        world.gate.renew("w1", [ticket])
        world.gate.sweep(world.lists("q"))
    assert world.queued() == []
    assert not world.finish(ticket).stale


def test_a_run_that_lost_its_lease_holds_nothing(world: World) -> None:
    old = world.run("a", queue="q")
    world.gate.surrender([(old, True)])
    assert not world.hold(old, 1000, body="zombie")
    new = world.receive()
    world.begin(new)
    assert not world.hold(old, 1000, body="zombie")
    assert world.finish(new).due is None
    assert world.residue() == {}


def test_the_same_hold_again_changes_nothing_more(world: World) -> None:
    ticket = world.run("a")
    assert world.hold(ticket, 5000) and world.hold(ticket, 5000)
    assert world.finish(ticket).due == 5
    assert world.depth() == 1


def test_a_worker_lost_between_hold_and_finish_loses_no_continuation(world: World) -> None:
    ticket = world.run("a")
    world.hold(ticket, 60_000, body="second")
    world.idle_sweeps(2 * TTL_MS + 1000)
    world.gate.sweep(world.lists("q"))
    message = world.pop() or b""
    assert json.loads(message)["body"] == "second"
    assert ticket_of(message).lost == 1


def test_a_surrendered_run_with_a_continuation_waits_for_its_due_time(world: World) -> None:
    ticket = world.run("a")
    world.hold(ticket, 5000)
    world.gate.surrender([(ticket, False)])
    assert world.queued() == []
    world.tick(5000)
    world.gate.sweep(world.lists("q"))
    assert world.queued() == ["a"]


def test_a_held_entry_can_be_neither_begun_nor_finished(world: World) -> None:
    ticket = world.run("a")
    world.hold(ticket, 5000)
    world.finish(ticket)
    assert not world.begin(ticket)
    assert world.finish(ticket).stale
    assert world.depth() == 1
