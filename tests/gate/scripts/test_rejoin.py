"""finish with a retry that gives up its place: the group goes on at once, and the retry joins the tail when due."""

from __future__ import annotations

import json

import pytest

from celery_groupfifo import Groups
from tests.support.world import TTL_MS, World


def test_the_group_goes_on_and_the_retry_follows(world: World) -> None:
    ticket = world.run("a")
    world.park("b")
    assert world.hold(ticket, 0, rejoins=True, body="second").due == 0
    world.park("c")
    assert (world.queued(), world.waiting(), world.depth()) == (["b"], ["a", "c"], 3)
    for id in "bac":
        again = world.receive()
        assert again.id == id
        begun = world.begin(again)
        assert begun is not None and begun.fence > ticket.fence
        world.finish(begun)
    assert world.residue() == {}


def test_it_joins_the_tail_when_it_is_due(world: World) -> None:
    ticket = world.run("a")
    world.park("b")
    assert world.hold(ticket, 5000, rejoins=True).due == 5
    assert (world.queued(), world.waiting(), world.depth()) == (["b"], [], 2)
    assert not list(Groups(world.app, world.gate).verify())
    world.park("c")
    world.tick(4999)
    assert world.sweep(world.lists("q")).next_due == 0.001
    assert world.waiting() == ["c"]
    world.tick(1)
    world.sweep(world.lists("q"))
    assert world.waiting() == ["c", "a"]


def test_alone_it_is_the_next_one(world: World) -> None:
    assert world.hold(world.run("a"), 0, rejoins=True).due == 0
    assert world.queued() == ["a"]


def test_a_group_with_nothing_but_a_retry_that_is_not_due(world: World) -> None:
    world.hold(world.run("a"), 5000, rejoins=True)
    assert (world.queued(), world.depth(), world.flight()) == ([], 1, None)
    world.park("b")
    assert world.queued() == ["b"]
    world.tick(5000)
    world.sweep(world.lists("q"))
    world.begin(world.receive())
    assert world.waiting() == ["a"]


@pytest.mark.parametrize("take", ["lists", "own"])
def test_the_worker_leaves_with_the_next_task_of_the_group(world: World, take: str) -> None:
    ticket = world.run("a")
    world.park("b")
    done = world.hold(ticket, 0, rejoins=True, take=take, lists=world.lists("q"))
    assert b'"id": "b"' in (done.taken or b"")
    assert world.waiting() == ["a"]


def test_the_same_finish_again_stores_nothing_more(world: World) -> None:
    for delay in (5000, 0):
        ticket = world.run("a")
        world.park("b")
        call = world.holding(ticket, delay, rejoins=True, take="lists", lists=world.lists("q"))
        first = world.gate.finish(call)
        assert (first.due, first.taken is not None) == (delay / 1000, True)
        assert world.gate.finish(call) == first
        assert world.depth() == 2
        assert world.waiting() == ([] if delay else ["a"])
        world.redis.flushdb()


def test_repeated_when_it_has_run_again_it_changes_nothing(world: World) -> None:
    call = world.holding(world.run("a"), 0, rejoins=True)
    world.gate.finish(call)
    begun = world.begin(world.receive())
    assert begun is not None
    assert world.gate.finish(call).due == 0
    assert not world.finish(begun).stale
    assert world.residue() == {}


def test_a_run_that_lost_its_lease_stores_nothing(world: World) -> None:
    old = world.run("a")
    world.gate.surrender([(old, True)])
    assert world.hold(old, 0, rejoins=True, body="zombie").stale
    assert "zombie" not in json.loads(world.pop() or b"")["body"]
    assert world.depth() == 1


def test_a_worker_lost_before_its_finish_keeps_its_place(world: World) -> None:
    world.run("a")
    world.park("b")
    world.idle_sweeps(TTL_MS + 1000)
    assert (world.receive().lost, world.waiting()) == (1, ["b"])


@pytest.mark.parametrize("delay", [0, 5000])
def test_its_id_is_taken_and_can_be_revoked(world: World, delay: int) -> None:
    ticket = world.run("a")
    world.park("b")
    world.hold(ticket, delay, rejoins=True)
    assert not world.park("a")
    assert world.gate.revoke("a")
    assert (world.depth(), world.queued()) == (1, ["b"])
    world.tick(5000)
    world.sweep(world.lists("q"))
    begun = world.begin(world.receive())
    assert begun is not None
    world.finish(begun)
    assert world.residue() == {}


def test_in_a_paused_group_it_waits_with_all_others(world: World) -> None:
    groups = Groups(world.app, world.gate)
    ticket = world.run("a")
    world.park("b")
    groups.pause("g")
    world.hold(ticket, 0, rejoins=True)
    assert (world.queued(), world.waiting()) == ([], ["b", "a"])
    groups.resume("g")
    assert (world.queued(), world.waiting()) == (["b"], ["a"])


def test_a_draining_group_ends_it(world: World) -> None:
    groups = Groups(world.app, world.gate)
    ticket = world.run("a")
    groups.drain("g")
    world.hold(ticket, 1000, rejoins=True)
    assert groups.get("g").state == "draining"
    world.tick(1000)
    world.sweep(world.lists("q"))
    begun = world.begin(world.receive())
    assert begun is not None
    world.finish(begun)
    assert world.park("b"), "it drains no more"


def test_what_a_replacement_has_stored_gives_way(world: World) -> None:
    ticket = world.run("a")
    world.replace("a", delay=60_000, body="replaced")
    world.hold(ticket, 0, rejoins=True, body="retried")
    assert json.loads(world.pop() or b"")["body"] == "retried"


def test_a_retry_that_keeps_its_place_costs_no_argument_more(world: World) -> None:
    call = world.holding(world.run("a"), 1000)
    _, (_, _, held) = world.gate.finish_call(call)
    assert call.continuation is not None
    call.continuation.rejoins = True
    _, (_, _, rejoins) = world.gate.finish_call(call)
    assert [*held, 1] == rejoins
