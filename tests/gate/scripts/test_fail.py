"""fail: a run has failed for good, and its group's policy asks for more than going on."""

from __future__ import annotations

import json

import pytest

from celery_groupfifo import Groups
from celery_groupfifo.gate.keys import CLAIM_MS
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.gate.recovery import BATCH
from tests.support.stored import stored
from tests.support.world import TTL_MS, World, make_entry

POLICIES = ("block", "dead_letter", "cancel_rest")


def test_a_blocked_group_halts_with_the_failed_one_as_its_head(world: World) -> None:
    ticket = world.run("a")
    world.park("b")
    done = world.fail(ticket, lists=world.lists("q"))
    assert (done.stale, done.blocked, done.taken, done.due) == (False, True, None, None)
    world.park("c")
    world.idle_sweeps(3 * TTL_MS)
    world.rerelease()
    assert (world.queued(), world.waiting(), world.depth()) == ([], ["b", "c"], 3)
    flag = json.loads(stored(world.redis.hget(world.keys.flags, "b g")))
    assert flag["reason"] == "ValueError: boom"
    assert (flag["task"], flag["task_id"], flag["by"]) == ("shop.send", "a", "w1@host")
    assert flag["at_ms"] > 0


def test_a_blocked_group_costs_the_others_nothing(world: World) -> None:
    world.fail(world.run("a"))
    world.park("b", "other")
    assert world.queued() == ["b"]


def test_a_dead_letter_is_kept_and_the_group_goes_on(world: World) -> None:
    ticket = world.run("a")
    world.park("b")
    assert not world.fail(ticket, policy="dead_letter", lists=world.lists("q")).blocked
    assert (world.queued(), world.depth()) == (["b"], 1)
    [(known, text)] = world.dead()
    assert known[:3] == ["g", "a", "ValueError: boom"]
    assert b'"task": "t"' in text, "its message, too"


def test_the_rest_is_cut_off_at_once_and_ends_with_the_next_sweeps(world: World) -> None:
    ticket = world.run("a")
    ids = [f"b{number}" for number in range(BATCH + 20)]
    for id in ids:
        world.park(id)
    world.fail(ticket, policy="cancel_rest", lists=world.lists("q"))
    world.park("new")
    assert (world.queued(), world.waiting()) == (["new"], []), "it waits for nobody"
    assert world.depth() == len(ids) + 1
    gone = []
    for _ in range(3):
        swept = world.sweep(world.lists("q"))
        gone += [id for id, _ in swept.cancelled]
        assert swept.next_due == 0 or len(gone) == len(ids)
    assert gone == ids, "in their order, so many in one call"
    assert world.depth() == 1
    world.finish(_begun(world))
    assert world.residue() == {}


def test_what_is_cut_off_ends_also_when_the_sweeping_worker_is_lost(world: World) -> None:
    ticket = world.run("a")
    world.park("b")
    world.fail(ticket, policy="cancel_rest")
    store, run = world.gate.store, world.gate.store.run
    store.run = lambda name, *args: run(name, *args) if name == "sweep" else 1 / 0  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        world.sweep()
    store.run = run  # type: ignore[method-assign]
    assert world.sweep().cancelled == []
    world.tick(CLAIM_MS)
    assert [id for id, _ in world.sweep().cancelled] == ["b"]
    assert world.residue() == {}


def test_what_was_revoked_before_is_not_cancelled(world: World) -> None:
    ticket = world.run("a")
    for id in ("b", "c", "d"):
        world.park(id)
    world.gate.revoke("c")
    world.fail(ticket, policy="cancel_rest")
    world.gate.revoke("b")
    assert [id for id, _ in world.sweep().cancelled] == ["d"]
    assert world.residue() == {}


def test_two_failures_in_a_row_cut_off_what_is_theirs(world: World) -> None:
    ticket = world.run("a")
    world.park("b")
    world.fail(ticket, policy="cancel_rest")
    ticket = world.run("c")
    world.park("d")
    world.fail(ticket, policy="cancel_rest")
    assert sorted(id for id, _ in world.sweep().cancelled) == ["b", "d"]
    assert world.residue() == {}


def test_a_draining_group_takes_new_ones_when_the_rest_is_cancelled(world: World) -> None:
    ticket = world.run("a")
    world.park("b")
    Groups(world.app, world.gate).drain("g")
    world.fail(ticket, policy="cancel_rest")
    world.sweep()
    assert world.residue() == {}


@pytest.mark.parametrize("policy", POLICIES)
def test_a_failure_with_an_old_fence_changes_nothing(world: World, policy: str) -> None:
    old = world.run("a")
    world.park("b")
    world.gate.surrender([(old, True)])
    assert world.fail(old, policy=policy).stale
    new = world.receive()
    world.begin(new, "w2")
    assert world.fail(old, policy=policy).stale
    assert (world.waiting(), world.depth(), world.dead()) == (["b"], 2, [])
    assert not world.finish(new, owner="w2").stale


@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_failure_again_gives_the_same_answer(world: World, policy: str) -> None:
    ticket = world.run("a")
    call = world.failing(ticket, policy=policy)
    first = world.gate.finish(call)
    world.park("b")
    assert world.gate.finish(call) == first
    assert world.stat("runs_finished") == 1


def test_a_run_that_was_replaced_has_not_failed_for_good(world: World) -> None:
    ticket = world.run("a")
    world.replace("a", delay=5000)
    call = world.failing(ticket)
    first = world.gate.finish(call)
    assert (first.blocked, first.due) == (False, 5)
    assert world.gate.finish(call) == first
    world.tick(5000)
    world.sweep(world.lists("q"))
    assert world.queued() == ["a"]


def test_a_failure_that_comes_with_a_continuation_is_not_final(world: World) -> None:
    call = world.failing(world.run("a"))
    call.continuation = make_entry(world.gate, "a", delay=5000)
    done = world.gate.finish(call)
    assert (done.blocked, done.due, world.depth()) == (False, 5, 1)


def _begun(world: World) -> Ticket:
    ticket = world.receive()
    assert world.begin(ticket)
    return ticket
