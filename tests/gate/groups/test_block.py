"""A group that its failed head blocks: what operators see, and what they can do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from celery_groupfifo import Groups, WrongState
from celery_groupfifo.gate.cutting import Gone
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.groups import verify
from celery_groupfifo.groups.verbs import VERBS, Order
from celery_groupfifo.sending.telling import Teller
from tests.support.shop import Shop
from tests.support.world import World


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
    letters = [(letter.id, letter.cause, letter.exception) for letter in groups.dead_letters()]
    assert letters == ([("a", "dropped", "ValueError: boom")] if act == "drop" else [])
    assert world.stat("tasks_revoked") == 0, "it has failed, nobody revoked it"


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize(
    ("verb", "sentence"),
    [
        ("skip", "Task a of group 'g' had failed and is gone; its state stays FAILURE. The next one goes on."),
        (
            "drop",
            "Task a of group 'g' is a dead letter, with what it raised; its state stays FAILURE. The next one goes on.",
        ),
    ],
)
def test_the_words_about_it_are_true(
    world: World, groups: Groups, blocked: Ticket, verb: str, sentence: str, paused: bool
) -> None:
    if paused:
        groups.pause("g")
        assert groups.get("g").last_error == "ValueError: boom"
        assert groups.explain("g", ask_workers=False).endswith(
            "Its head has failed, too, and blocks it (ValueError: boom): retry, skip or drop it after that."
        )
    outcome = VERBS[verb].run(groups, Order("g", "a", "poison"))
    assert (outcome.sentence, outcome.values["state"]) == (sentence, "FAILURE")
    assert all(letter.why == "dropped: poison (ValueError: boom)" for letter in groups.dead_letters())
    groups.resume("g")
    outcome = VERBS[verb].run(groups, Order("g", "b"))
    assert ("was revoked" in outcome.sentence or verb == "drop") and outcome.values["state"] == "REVOKED"
    assert [letter.cause for letter in groups.dead_letters()][:1] == (["dropped"] if verb == "drop" else [])


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
    told: list[Gone] = []
    monkeypatch.setattr(Teller, "tell", lambda self, gone: told.extend(gone))
    ticket = world.run("a")
    world.park("b")
    world.fail(ticket)
    assert groups.purge("g") == 2
    assert world.residue() == {}
    assert [id for id, _ in told] == ["b"], "the failed one stays FAILURE"


def test_the_words_about_a_purge_are_true(world: World, groups: Groups, blocked: Ticket) -> None:
    outcome = VERBS["purge"].run(groups, Order("g"))
    assert outcome.sentence == (
        "1 task of group 'g' was revoked. Its head, which had failed, is gone; its state stays FAILURE."
    )
    assert outcome.values["count"] == 2


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
    damaged = world.group()
    world.redis.hset(world.keys.groups, "g", damaged._replace(flags="").text())
    world.redis.delete(world.keys.flags)
    assert [breach.name for breach in groups.verify(repair=True)] == ["halt"]
    assert (groups.get("g").state, groups.verify()) == ("blocked", [])
    (head,) = damaged.flights
    damaged = damaged._replace(flights=(replace(head, stop="-"),))
    world.redis.hset(world.keys.groups, "g", damaged.text())
    assert {breach.name for breach in groups.verify(repair=True)} == {"blocked", "hold"}
    world.sweep(world.lists("q"))
    assert (groups.get("g").state, world.queued(), groups.verify()) == ("waiting", ["a"], [])


def test_verify_sets_right_which_groups_are_listed_as_blocked(
    world: World, groups: Groups, blocked: Ticket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "PAUSE", 0)
    world.redis.hdel(world.keys.flags, "b g")
    world.redis.hset(world.keys.flags, "b other", "{}")
    assert {(breach.name, breach.key) for breach in groups.verify(repair=True)} == {
        ("reason", "g"),
        ("reason", "other"),
    }
    assert [each.key for each in groups.list(state="blocked")] == ["g"]
    assert groups.verify() == []


@pytest.mark.parametrize("act", ["retry", "skip", "drop", "purge"])
def test_it_counts_until_somebody_has_decided(world: World, groups: Groups, blocked: Ticket, act: str) -> None:
    assert groups.stats().blocked_groups == 1
    assert [group.key for group in groups.list(state="blocked")] == ["g"]
    getattr(groups, act)("g", **({"expected": "a"} if act in ("skip", "drop") else {}))
    assert groups.stats().blocked_groups == 0 and groups.list(state="blocked") == []
    assert world.redis.hkeys(world.keys.flags) == []


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


# -- a block that ends by itself -----------------------------------------------


@pytest.fixture
def for_a_time(world: World) -> Ticket:
    """The ticket of a, which has failed and blocks its group for 5 s; b waits."""
    ticket = world.run("a")
    world.park("b")
    assert world.fail(ticket, lasts=5000).blocked
    return ticket


def test_the_group_goes_on_without_the_failed_task(world: World, groups: Groups, for_a_time: Ticket) -> None:
    world.tick(4999)
    assert world.sweep(world.lists("q")).next_due == 0.001
    assert (world.queued(), groups.get("g").state) == ([], "blocked")
    world.tick(1)
    world.sweep(world.lists("q"))
    assert (world.queued(), world.depth(), groups.find("a")) == (["b"], 1, None)
    assert world.stat("tasks_revoked") == 0, "it has failed, nobody revoked it"
    assert groups.verify() == []
    begun = world.begin(world.receive())
    assert begun is not None
    world.finish(begun)
    assert world.residue() == {}


def test_a_group_of_one_is_gone_then(world: World, groups: Groups) -> None:
    world.fail(world.run("a"), lasts=5000)
    world.tick(5000)
    world.sweep(world.lists("q"))
    assert world.residue() == {}
    assert world.park("a"), "its id is free"


def test_its_end_is_seen(world: World, groups: Groups, for_a_time: Ticket) -> None:
    group = groups.get("g")
    assert group.since is not None and group.blocked_until is not None and group.due is None
    assert (group.blocked_until - group.since).total_seconds() == 5
    world.tick(2000)
    assert groups.explain("g", ask_workers=False).endswith(
        " It goes on after retry, skip or drop, or by itself and without this task in 3.0 s, "
        "at 2027-01-15 08:00:05 UTC."
    )
    assert groups.verify() == []


@pytest.mark.parametrize("act", ["retry", "skip", "drop", "purge"])
def test_an_operator_is_faster(world: World, groups: Groups, for_a_time: Ticket, act: str) -> None:
    getattr(groups, act)("g", **({"expected": "a"} if act in ("skip", "drop") else {}))
    next_one = {"retry": ["a"], "purge": []}.get(act, ["b"])
    assert world.queued() == next_one
    world.tick(5000)
    world.sweep(world.lists("q"))
    assert world.queued() == next_one
    assert groups.verify() == []


def test_a_second_block_has_a_time_of_its_own(world: World, groups: Groups, for_a_time: Ticket) -> None:
    world.tick(4000)
    groups.retry("g")
    begun = world.begin(world.receive())
    assert begun is not None
    world.fail(begun, lasts=5000)
    world.tick(4999)
    world.sweep(world.lists("q"))
    assert groups.get("g").state == "blocked"
    world.tick(1)
    world.sweep(world.lists("q"))
    assert world.queued() == ["b"]


def test_it_ends_in_a_paused_group_too(world: World, groups: Groups, for_a_time: Ticket) -> None:
    groups.pause("g")
    world.tick(5000)
    world.sweep(world.lists("q"))
    assert (groups.get("g").state, world.queued(), world.depth()) == ("paused", [], 1)
    groups.resume("g")
    assert world.queued() == ["b"]


def test_the_end_of_a_block_that_is_missing_is_found(world: World, groups: Groups, for_a_time: Ticket) -> None:
    world.redis.zrem(world.keys.due, "b g a")
    assert [breach.name for breach in groups.verify(repair=True)] == ["block"]
    world.sweep(world.lists("q"))
    assert world.queued() == ["b"]
