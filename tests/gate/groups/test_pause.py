"""pause, resume, drain: nothing starts, then everything goes on where it stood."""

from __future__ import annotations

import pytest

from celery_groupfifo import GroupDraining, Groups
from celery_groupfifo.gate.keys import quote
from tests.support.stored import stored
from tests.support.world import TTL_MS, World, make_entry, ticket_of


def test_a_released_ticket_is_stale_from_then_on(world: World, groups: Groups) -> None:
    world.park("a")
    world.park("b")
    assert groups.pause("g")
    assert not world.begin(world.receive())
    assert not world.redis.exists("q")
    assert groups.resume("g")
    ticket = world.receive()
    assert ticket.id == "a" and world.begin(ticket)
    world.finish(ticket)
    assert world.queued() == ["b"]


def test_what_runs_ends_and_nothing_follows(world: World, groups: Groups) -> None:
    ticket = world.run("a")
    world.park("b")
    groups.pause("g")
    assert not world.finish(ticket).stale
    assert (world.queued(), world.waiting(), world.depth()) == ([], ["b"], 1)
    world.park("c")
    assert world.queued() == []
    groups.resume("g")
    assert (world.queued(), world.waiting()) == (["b"], ["c"])


@pytest.mark.parametrize("take", ["lists", "own"])
def test_no_hand_off_of_a_paused_group(world: World, groups: Groups, take: str) -> None:
    """A ticket waits in the list; the group is paused; a finishing worker comes by."""
    ticket = world.run("a", "A")
    world.park("a2", "A")
    world.park("b", "g")
    groups.pause("g")
    groups.pause("A")
    done = world.finish(ticket, "A", take=take, lists=world.lists("q"))
    assert done.taken is None
    groups.resume("g")
    groups.resume("A")
    assert world.queued()[-2:] == ["b", "a2"]


def test_a_retry_that_waits_is_stopped_and_takes_up_its_time_again(world: World, groups: Groups) -> None:
    ticket = world.run("a")
    world.hold(ticket, 60_000)
    groups.pause("g")
    world.tick(10_000)
    groups.resume("g")
    assert world.queued() == []
    world.tick(50_000)
    world.sweep(world.lists("q"))
    assert world.queued() == ["a"]


def test_a_retry_that_came_due_meanwhile_goes_out_at_once(world: World, groups: Groups) -> None:
    ticket = world.run("a")
    world.hold(ticket, 5_000)
    groups.pause("g")
    world.idle_sweeps(10_000)
    assert world.queued() == []
    groups.resume("g")
    assert world.queued() == ["a"]


def test_a_retry_that_is_asked_for_under_a_pause_waits(world: World, groups: Groups) -> None:
    ticket = world.run("a")
    groups.pause("g")
    world.hold(ticket, 0)
    world.idle_sweeps(3000)
    assert world.queued() == []
    groups.resume("g")
    assert world.queued() == ["a"]


def test_a_lost_workers_head_waits_for_the_resume(world: World, groups: Groups) -> None:
    world.idle_sweeps(TTL_MS + 1000)
    ticket = world.run("a")
    groups.pause("g")
    world.idle_sweeps(TTL_MS + 2000)
    assert world.gate.lease(ticket) is None
    assert world.queued() == []
    groups.resume("g")
    again = world.receive()
    begun = world.begin(again)
    assert (again.id, again.lost) == ("a", 1) and begun is not None and begun.fence > ticket.fence


def test_what_a_stopping_worker_gives_back_waits_too(world: World, groups: Groups) -> None:
    ticket = world.run("a")
    groups.pause("g")
    world.gate.surrender([(ticket, False)], world.lists("q"))
    assert world.queued() == []
    assert groups.get("g").head == "a"


def test_resume_while_it_runs_leaves_no_trace_of_the_pause(world: World, groups: Groups) -> None:
    """Timeline: pause, resume, and only then the run ends: its retry and its successor must not be stopped."""
    ticket = world.run("a")
    world.park("b")
    groups.pause("g")
    groups.resume("g")
    world.hold(ticket, 0)
    again = world.receive()
    world.begin(again)
    world.finish(again)
    assert world.queued() == ["b"]


def test_a_lost_ticket_is_not_released_again_under_a_pause(world: World, groups: Groups) -> None:
    world.park("a")
    world.redis.delete("q")
    groups.pause("g")
    world.tick(10_000)
    assert world.rerelease() == 0
    world.gate.store.mark_unsent(world.keys, quote("g"), "a")
    world.sweep(world.lists("q"))
    assert world.queued() == []


def test_pause_and_resume_twice(world: World, groups: Groups) -> None:
    world.park("a")
    assert groups.pause("g", "one") and not groups.pause("g", "two")
    assert groups.get("g").reason == "two"
    assert groups.resume("g") and not groups.resume("g")


def test_a_paused_group_that_is_empty_stays_paused_until_it_is_resumed(world: World, groups: Groups) -> None:
    groups.pause("g", "maintenance", by="anna")
    found = groups.get("g")
    assert (found.state, found.depth, found.reason, found.by) == ("paused", 0, "maintenance", "anna")
    world.park("a")
    assert world.queued() == []
    groups.resume("g")
    ticket = world.receive()
    world.begin(ticket)
    world.finish(ticket)
    assert world.residue() == {}
    assert not world.redis.exists(world.keys.paused)


def test_other_groups_are_not_touched(world: World, groups: Groups) -> None:
    world.park("a", "A")
    world.park("b", "B")
    groups.pause("A")
    tickets = [world.receive(), world.receive()]
    assert [world.begin(each) is not None for each in tickets] == [False, True]


# -- drain -----------------------------------------------------------------


def test_a_draining_group_refuses_new_ones_and_ends_the_rest(world: World, groups: Groups) -> None:
    ticket = world.run("a")
    world.park("b")
    assert groups.drain("g")
    with pytest.raises(GroupDraining, match="Task c was not parked: group 'g' is draining"):
        world.park("c")
    world.finish(ticket)
    ticket = world.receive()
    world.begin(ticket)
    world.finish(ticket)
    assert world.residue() == {}
    assert world.park("c"), "a drained group takes new ones"


def test_in_bulk_each_refused_one_has_an_error_of_its_own(world: World, groups: Groups) -> None:
    world.park("a")
    groups.drain("g")
    entries = [make_entry(world.gate, "b", "other"), make_entry(world.gate, "c"), make_entry(world.gate, "d", "other")]
    answers = world.gate.park_all(entries, world.gate.numbers(3))
    assert answers[0] is True and answers[2] is True
    assert isinstance(answers[1], GroupDraining)


def test_a_retry_of_a_draining_group_is_no_new_task(world: World, groups: Groups) -> None:
    ticket = world.run("a")
    groups.drain("g")
    assert not world.hold(ticket, 0).stale
    assert world.queued() == ["a"]


def test_draining_an_empty_group_does_nothing(world: World, groups: Groups) -> None:
    assert not groups.drain("g")
    assert world.residue() == {}
    assert world.park("a")


@pytest.mark.parametrize("last", ["released", "parked", "scheduled"])
def test_revoking_the_last_one_ends_the_drain(world: World, groups: Groups, last: str) -> None:
    if last == "parked":
        groups.pause("g")
    world.park("a", delay=60_000 if last == "scheduled" else 0)
    groups.drain("g")
    assert world.gate.revoke("a")
    text = world.redis.hget(world.keys.groups, "g") or b"-"
    assert b"d" not in stored(text).split(b" ")[0] and not world.redis.hexists(world.keys.flags, "d g")
    assert world.park("b")
    groups.resume("g")
    assert world.queued()[-1] == "b"


def test_resume_ends_a_drain(world: World, groups: Groups) -> None:
    world.park("a")
    groups.drain("g")
    assert groups.resume("g")
    assert world.park("b")


def test_a_draining_group_that_is_paused_ends_both(world: World, groups: Groups) -> None:
    ticket = world.run("a")
    groups.drain("g")
    groups.pause("g")
    world.finish(ticket)
    assert groups.get("g").state == "paused"
    groups.resume("g")
    assert world.residue() == {}


def test_a_stale_ticket_of_a_pause_is_dropped_on_the_way_of_a_hand_off(world: World, groups: Groups) -> None:
    ticket = world.run("a", "A")
    world.park("b", "B")
    world.park("c", "C")
    groups.pause("B")
    taken = ticket_of(world.finish(ticket, "A", take="lists", lists=world.lists("q")).taken or b"")
    assert taken.id == "c"


def test_a_drain_ends_with_an_entry_that_nobody_can_read(world: World, groups: Groups) -> None:
    ticket = world.run("a")
    world.park("b")
    groups.drain("g")
    world.redis.hset(world.keys.entries, "b", "garbage")
    world.finish(ticket)
    assert world.residue() == {}
