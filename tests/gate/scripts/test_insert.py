"""The next parts of a run's canvas take the places directly behind it, before the whole line."""

from __future__ import annotations

import pytest

from celery_groupfifo import Groups
from celery_groupfifo.errors import GroupDraining, GroupFifoError, GroupFull
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Bound, Ticket
from celery_groupfifo.gate.records import Limits
from celery_groupfifo.windows import Rate
from tests.support.world import World, make_entry


def next_run(world: World, ticket: Ticket, key: str = "g") -> Ticket:
    """Finish a run, and begin the one that its group goes on with."""
    assert not world.finish(ticket, key).stale
    begun = world.begin(world.receive())
    assert begun is not None
    return begun


def ends(world: World, ticket: Ticket) -> list[str]:
    """Finish a run, and all that come after it; their ids."""
    ran = []
    world.finish(ticket)
    while world.queued():
        following = world.begin(world.receive())
        assert following is not None
        ran.append(following.id)
        world.finish(following)
    assert world.residue() == {}
    return ran


def test_parts_stand_before_the_line_in_the_order_in_which_they_were_sent(world: World) -> None:
    ticket = world.run("a")
    world.park("x")
    for number, id in enumerate(("b", "c", "d"), 1):
        assert world.insert(id, ticket, number)
    world.park("y")
    assert world.waiting() == ["b", "c", "d", "x", "y"]
    assert world.queued() == [], "nothing goes out beside the run"
    assert ends(world, ticket) == ["b", "c", "d", "x", "y"]


def test_the_parts_of_a_part_stand_before_its_brothers(world: World) -> None:
    ticket = world.run("a")
    world.park("x")
    world.insert("b", ticket, 1)
    world.insert("c", ticket, 2)
    part = next_run(world, ticket)
    assert part.id == "b"
    world.insert("b1", part, 1)
    world.insert("b2", part, 2)
    assert world.waiting() == ["b1", "b2", "c", "x"]


def test_into_an_empty_line(world: World) -> None:
    ticket = world.run("a")
    assert world.insert("b", ticket, 1)
    assert world.depth() == 2
    assert ends(world, ticket) == ["b"]


def test_a_repetition_does_nothing_also_when_the_part_has_ended_meanwhile(world: World) -> None:
    ticket = world.run("a")
    world.park("x")
    assert world.insert("b", ticket, 1) and world.insert("b", ticket, 1)
    assert world.waiting() == ["b", "x"]
    world.finish(next_run(world, ticket))
    assert world.insert("b", ticket, 1)
    assert world.waiting() == [] and world.queued() == ["x"]


def test_a_run_that_was_lost_sends_its_parts_again(world: World) -> None:
    ticket = world.run("a")
    world.park("x")
    world.insert("b", ticket, 1)
    world.insert("c", ticket, 2)
    world.gate.surrender([(ticket, True)])
    again = world.begin(world.receive())
    assert again is not None and again.id == "a"
    for number, id in enumerate(("b", "c", "d"), 1):
        assert world.insert(id, again, number)
    assert world.waiting() == ["b", "c", "d", "x"]
    assert world.depth() == 5
    assert ends(world, again) == ["b", "c", "d", "x"]


def test_nothing_follows_a_run_that_has_ended(world: World) -> None:
    ticket = world.run("a")
    world.park("x")
    world.finish(ticket)
    before = world.redis.keys("*")
    assert not world.insert("b", ticket, 1)
    assert (world.waiting(), sorted(world.redis.keys("*"))) == ([], sorted(before))


@pytest.mark.parametrize("place", ["under way", "in another group"])
def test_an_id_that_has_another_place_keeps_it(world: World, place: str) -> None:
    ticket = world.run("a")
    id = "a" if place == "under way" else "b"
    if place != "under way":
        world.run("z", "other")
        world.park("b", "other")
    depths = world.depth(), world.depth("other")
    assert not world.insert(id, ticket, 1)
    assert (world.depth(), world.depth("other")) == depths


def test_the_place_of_a_revoked_part_still_says_where_the_next_one_stands(world: World) -> None:
    ticket = world.run("a")
    world.park("x")
    world.insert("b", ticket, 1)
    world.insert("c", ticket, 2)
    assert world.gate.revoke("c") is not None
    world.insert("d", ticket, 3)
    assert world.waiting() == ["b", "d", "x"]
    assert world.depth() == 4
    assert ends(world, ticket) == ["b", "d", "x"]


def test_a_part_is_no_new_task(world: World) -> None:
    """A group that is full or drains takes it, and ends when the last one has ended."""
    groups, ticket = Groups(world.app, world.gate), world.run("a")
    world.park("x")
    groups.drain("g")
    assert world.insert("b", ticket, 1, bound=Bound(1, "raise"))
    with pytest.raises(GroupDraining):
        world.park("y")
    part = next_run(world, ticket)
    world.insert("c", part, 1)
    part = next_run(world, part)
    with pytest.raises(GroupDraining):
        world.park("y")
    world.finish(next_run(world, part))
    assert world.park("y") and world.queued() == ["y"], "it has drained"


def test_while_it_waits_it_counts_for_others(world: World) -> None:
    ticket = world.run("a")
    world.insert("b", ticket, 1)
    with pytest.raises(GroupFull):
        world.park("x", bound=Bound(1, "raise"))


def test_its_group_waits_for_its_eta(world: World) -> None:
    ticket = world.run("a")
    world.park("x")
    world.insert("b", ticket, 1, delay=5000)
    world.tick(1000)
    assert world.finish(ticket).held == 4.0
    world.tick(4000)
    world.sweep()
    assert world.queued() == ["b"] and world.waiting() == ["x"]


def test_its_rate_counts(world: World) -> None:
    ticket = world.run("a")
    world.insert("b", ticket, 1, limits=Limits(Rate(1, 1000)).text())
    world.insert("c", ticket, 2, limits=Limits(Rate(1, 1000)).text())
    part = next_run(world, ticket)
    assert world.finish(part).held is not None


def test_a_paused_group_goes_on_with_it(world: World) -> None:
    groups, ticket = Groups(world.app, world.gate), world.run("a")
    world.park("x")
    groups.pause("g")
    world.insert("b", ticket, 1)
    world.finish(ticket)
    assert world.queued() == []
    groups.resume("g")
    assert world.queued() == ["b"] and world.waiting() == ["x"]


def test_a_purged_group_has_no_parts_and_the_next_one_stands_first(world: World) -> None:
    groups, ticket = Groups(world.app, world.gate), world.run("a")
    world.insert("b", ticket, 1)
    world.park("x")
    groups.purge("g")
    world.park("y")
    world.insert("c", ticket, 2)
    assert world.waiting() == ["c", "y"]


def test_moved_parts_go_along_in_order(world: World) -> None:
    groups, ticket = Groups(world.app, world.gate), world.run("a")
    world.park("x")
    world.insert("b", ticket, 1)
    world.insert("c", ticket, 2)
    groups.move("g", "h")
    assert world.queued() == ["b"] and world.waiting("h") == ["c", "x"]
    world.insert("d", ticket, 3)
    assert world.waiting() == ["d"], "what is sent later is of its own group"


def test_the_limit_of_an_operator_lets_others_run_beside_a_part(world: World) -> None:
    ticket = world.run("a")
    world.park("x")
    Groups(world.app, world.gate).limit("g", concurrency=2)
    world.insert("b", ticket, 1)
    assert world.queued() == [], "it counts from the next start on"
    part = next_run(world, ticket)
    world.invite(part, "q")
    assert world.queued() == ["x"], "beside it, and before what it sends"
    world.insert("c", part, 1)
    assert world.waiting() == ["c"]


def test_a_call_that_drops_the_oldest_drops_a_part(world: World) -> None:
    ticket = world.run("a")
    world.insert("b", ticket, 1)
    world.insert("c", ticket, 2)
    assert world.park("x", bound=Bound(2, "drop_oldest"))
    assert world.waiting() == ["c", "x"]
    assert world.insert("b", ticket, 1), "sent again, it is no new part"
    assert world.insert("d", ticket, 3)
    assert world.waiting() == ["c", "d", "x"], "the others stay together"


def test_a_halted_group_goes_on_with_it(world: World) -> None:
    groups, ticket = Groups(world.app, world.gate), world.run("a")
    world.park("x")
    world.insert("b", ticket, 1)
    world.fail(ticket, policy="block")
    assert world.queued() == []
    groups.skip("g", "a")
    assert world.queued() == ["b"]


def test_a_foreign_key_in_the_place_of_the_line_stops_it(world: World) -> None:
    ticket = world.run("a")
    world.redis.set(world.keys.line(quote("g")), "mine")
    with pytest.raises(GroupFifoError, match="found a key of another type"):
        world.insert("b", ticket, 1)
    assert not world.redis.hexists(world.keys.entries, "b")


def test_what_is_exchanged_meanwhile_keeps_its_place(world: World) -> None:
    ticket = world.run("a")
    world.park("x")
    world.insert("b", ticket, 1)
    entry = make_entry(world.gate, "b", body="new")
    entry.on_duplicate = "replace"
    assert not world.gate.park(entry, world.gate.number())
    world.insert("c", ticket, 2)
    assert world.waiting() == ["b", "c", "x"]
    assert ends(world, ticket) == ["b", "c", "x"]
