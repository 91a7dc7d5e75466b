"""A group that its failed head blocks: what operators see, and what they can do."""

from __future__ import annotations

import pytest

from celery_groupfifo import Groups, WrongState
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.groups import verify
from tests.gate.support import World
from tests.groups.conftest import Shop


@pytest.fixture
def blocked(world: World) -> Ticket:
    """The ticket of a, which has failed; b waits."""
    ticket = world.run("a")
    world.park("b")
    assert world.fail(ticket).blocked
    return ticket


def test_it_is_seen(world: World, groups: Groups, blocked: Ticket) -> None:
    group = groups.get("g")
    assert (group.state, group.head, group.depth, group.running) == ("blocked", "a", 2, ())
    assert (group.last_error, group.reason, group.by) == ("ValueError: boom", "ValueError: boom", "w1@host")
    assert groups.find("a").state == "blocked"  # type: ignore[union-attr]
    assert [each.key for each in groups.list(state="blocked")] == ["g"]
    assert groups.verify() == []


def test_it_is_explained_by_its_failure(world: World, groups: Groups, blocked: Ticket) -> None:
    world.tick(65_000)
    said = groups.explain("g", ask_workers=False)
    assert said.startswith("Group 'g' is blocked by the failure of t[a] 1 min 5 s ago, at 2027-")
    assert "on w1@host: ValueError: boom. 1 task waits behind it." in said
    assert said.endswith("It goes on after retry, skip or drop.")


def test_retry_runs_the_same_task_again_under_a_new_fence(world: World, groups: Groups, blocked: Ticket) -> None:
    groups.retry("g")
    ticket = world.receive()
    assert ticket.id == "a" and groups.get("g").state == "waiting"
    begun = world.begin(ticket)
    assert begun is not None and begun.fence > blocked.fence
    world.finish(ticket)
    assert world.queued() == ["b"]


def test_retry_lets_it_be_lost_as_often_as_any_other(world: World, groups: Groups) -> None:
    ticket = world.run("a")
    world.gate.surrender([(ticket, True)])
    ticket = world.receive()
    world.begin(ticket)
    assert ticket.lost == 1
    world.fail(ticket)
    groups.retry("g")
    assert world.receive().lost == 0


@pytest.mark.parametrize("act", ["skip", "drop"])
def test_it_is_set_aside_and_the_group_goes_on(world: World, groups: Groups, blocked: Ticket, act: str) -> None:
    getattr(groups, act)("g", expected="a")
    assert (world.queued(), world.depth()) == (["b"], 1)
    assert groups.get("g").state == "waiting"
    assert [letter.id for letter in groups.dead_letters()] == (["a"] if act == "drop" else [])
    assert world.stat("tasks_revoked") == 0, "it has failed, nobody revoked it"


def test_a_dropped_one_is_redriven(world: World, groups: Groups, blocked: Ticket) -> None:
    groups.drop("g", expected="a")
    groups.redrive("a", to="head")
    world.finish(_begun(world))
    assert world.queued() == ["a"]


def test_a_pause_of_it_changes_nothing_about_the_block(world: World, groups: Groups, blocked: Ticket) -> None:
    groups.pause("g")
    assert groups.get("g").state == "paused"
    with pytest.raises(WrongState, match="paused"):
        groups.retry("g")
    groups.resume("g")
    assert (groups.get("g").state, world.queued()) == ("blocked", [])
    assert not groups.resume("g")
    groups.retry("g")
    assert world.queued() == ["a"]


def test_skip_of_it_under_a_pause_keeps_the_pause(world: World, groups: Groups, blocked: Ticket) -> None:
    groups.pause("g")
    groups.skip("g", expected="a")
    assert (groups.get("g").state, groups.get("g").head, world.queued()) == ("paused", "b", [])
    groups.resume("g")
    assert world.queued() == ["b"]


def test_a_run_that_fails_under_a_pause_blocks_all_the_same(world: World, groups: Groups) -> None:
    ticket = world.run("a")
    groups.pause("g")
    assert world.fail(ticket).blocked
    groups.resume("g")
    assert (groups.get("g").state, world.queued()) == ("blocked", [])


def test_drain_refuses_new_ones_and_leaves_it_blocked(world: World, groups: Groups, blocked: Ticket) -> None:
    assert groups.drain("g")
    assert groups.get("g").state == "blocked"
    groups.retry("g")
    for _ in ("a", "b"):
        world.finish(_begun(world))
    assert world.residue() == {}


def test_purge_takes_it_out_with_the_rest(world: World, groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    monkeypatch.setattr("celery_groupfifo.groups.operate.tell_revoked", lambda app, gone: told.extend(gone))
    ticket = world.run("a")
    world.park("b")
    world.fail(ticket)
    assert groups.purge("g") == 2
    assert world.residue() == {}
    assert [id for id, _ in told] == ["b"], "the failed one stays FAILURE"


def test_what_waits_behind_it_is_moved_and_revoked_as_ever(world: World, groups: Groups, blocked: Ticket) -> None:
    assert groups.move("g", "other") == 1
    assert world.queued() == ["b"]
    world.park("c")
    assert world.gate.revoke("c") is not None
    assert (groups.get("g").state, groups.get("g").depth) == ("blocked", 1)


def test_a_revoke_of_it_does_not_end_the_block(world: World, groups: Groups, blocked: Ticket) -> None:
    assert not groups.revoke("a")
    assert groups.get("g").state == "blocked"


def test_verify_finds_a_block_without_its_task_and_a_task_without_its_block(
    world: World, groups: Groups, blocked: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "PAUSE", 0)
    world.redis.hdel(world.keys.group("g"), "blocked")
    assert [breach.name for breach in groups.verify(repair=True)] == ["halt"]
    assert (groups.get("g").state, groups.verify()) == ("blocked", [])
    record = world.redis.hget(world.keys.flight, "a").replace(b" b g q", b" - g q")
    world.redis.hset(world.keys.flight, "a", record)
    assert {breach.name for breach in groups.verify(repair=True)} == {"blocked", "hold"}
    world.sweep(world.lists("q"))
    assert (groups.get("g").state, world.queued(), groups.verify()) == ("waiting", ["a"], [])


def test_results_stay_as_they_are(shop: Shop) -> None:
    shop.send("g", "a")
    shop.send("g", "b")
    ticket = shop.begin()
    shop.app.backend.store_result("a", ValueError("boom"), "FAILURE")
    shop.world.gate.finish(shop.world.failing(ticket, "g", "block"))
    shop.groups.skip("g", expected="a")
    assert (shop.state("a"), shop.state("b")) == ("FAILURE", "PENDING")


def _begun(world: World) -> Ticket:
    ticket = world.receive()
    assert world.begin(ticket)
    return ticket
