"""A task with several keys: it starts when it is the head of all of its groups, and frees all when it has ended."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from celery_groupfifo import DuplicateTask, GroupDraining, GroupFull, Groups
from celery_groupfifo.gate.model import Bound, Ticket
from celery_groupfifo.gate.records import Limits
from celery_groupfifo.windows import Breaker, Rate
from tests.support.world import TTL_MS, World, make_entry


@pytest.fixture
def groups(world: World) -> Groups:
    return Groups(world.app, world.gate)


def begun(world: World, id: str = "t") -> Ticket:
    """Begin the task that goes out next."""
    ticket = world.begin(world.receive())
    assert ticket is not None and ticket.id == id
    return ticket


def settled(world: World, times: int = 3) -> None:
    """Let a worker do what is due by now."""
    for _ in range(times):
        world.sweep(world.lists("q"))


def test_it_goes_out_at_once_where_nothing_is_before_it(world: World) -> None:
    assert world.park("t", "A", others=["B", "C"])
    assert world.queued() == ["t"]
    assert [world.depth(key) for key in "ABC"] == [1, 1, 1] and world.stat("tasks_parked") == 1
    world.park("b", "B")
    ticket = begun(world)
    assert world.queued() == []
    assert world.finish(ticket, "A").held == 0, "a sweep is to follow at once"
    settled(world)
    world.finish(begun(world, "b"), "B")
    assert world.residue() == {}


def test_it_waits_until_the_last_of_its_groups_is_free(world: World) -> None:
    first = {key: world.run(key.lower(), key) for key in "ABC"}
    world.park("t", "A", others=["B", "C"])
    world.park("behind", "C")
    for key in "BAC":
        settled(world)
        assert world.queued() == [], f"{key} is busy"
        world.finish(first[key], key)
    settled(world)
    assert world.queued() == ["t"]
    world.finish(begun(world), "A")
    settled(world)
    assert world.queued() == ["behind"]


def test_crossing_keys_do_not_block_each_other(world: World) -> None:
    world.park("1", "A", others=["B"])
    world.park("2", "B", others=["A"])
    world.park("3", "A", others=["B"])
    for id, key in (("1", "A"), ("2", "B"), ("3", "A")):
        world.finish(begun(world, id), key)
        settled(world)
    assert world.residue() == {}


def test_a_finish_that_takes_the_next_task_frees_the_others(world: World) -> None:
    world.park("1", "A", others=["B"])
    world.park("2", "B")
    world.park("3", "A")
    done = world.finish(begun(world, "1"), "A", take="own")
    assert done.taken is not None and done.held == 0
    settled(world)
    assert world.queued() == ["2"]


def test_its_fence_grows_in_each_of_its_groups(world: World) -> None:
    before = [world.run("b", "B"), world.run("a", "A")]
    world.park("t", "A", others=["B"])
    for ticket, key in zip(before, "BA", strict=True):
        world.finish(ticket, key)
    settled(world)
    ticket = begun(world)
    world.finish(ticket, "A")
    settled(world)
    assert max(each.fence for each in before) < ticket.fence < world.run("b2", "B").fence


def retried(world: World, ticket: Ticket) -> None:
    world.hold(ticket, 5000, "A")


def surrendered(world: World, ticket: Ticket) -> None:
    world.gate.surrender([(ticket, False)], world.lists("q"))


def lost(world: World, ticket: Ticket) -> None:
    world.idle_sweeps(2 * TTL_MS)


def blocked(world: World, ticket: Ticket) -> None:
    world.fail(ticket, "A", "block")


@pytest.mark.parametrize("stays", [retried, surrendered, lost, blocked])
def test_it_keeps_all_of_its_places(world: World, groups: Groups, stays: Callable[[World, Ticket], None]) -> None:
    world.park("t", "A", others=["B"])
    world.park("b", "B")
    stays(world, begun(world))
    settled(world)
    assert world.waiting("B") == ["b"], "it waits behind it"
    world.tick(5000)
    settled(world)
    if stays is blocked:
        groups.retry("A")
    world.finish(begun(world), "A")
    settled(world)
    assert world.queued() == ["b"]


def failed(world: World, groups: Groups) -> None:
    world.fail(begun(world), "A", "dead_letter")


def cancelled_rest(world: World, groups: Groups) -> None:
    world.fail(begun(world), "A", "cancel_rest")


def revoked(world: World, groups: Groups) -> None:
    assert groups.revoke("t")


def skipped(world: World, groups: Groups) -> None:
    assert groups.skip("A", expected="t")


def skipped_elsewhere(world: World, groups: Groups) -> None:
    assert groups.skip("B", expected="t")


def dropped_elsewhere(world: World, groups: Groups) -> None:
    assert groups.drop("C", expected="t")
    (letter,) = groups.dead_letters()
    assert (letter.id, letter.key) == ("t", "A")


def purged_elsewhere(world: World, groups: Groups) -> None:
    assert groups.purge("C") == 1


def unblocked(world: World, groups: Groups) -> None:
    world.fail(begun(world), "A", "block")
    assert not groups.skip("B", expected="t"), "it had failed"


def block_ended(world: World, groups: Groups) -> None:
    world.fail(begun(world), "A", "block", lasts=1000)
    world.tick(1000)


@pytest.mark.parametrize(
    "leaves",
    [
        failed,
        cancelled_rest,
        revoked,
        skipped,
        skipped_elsewhere,
        dropped_elsewhere,
        purged_elsewhere,
        unblocked,
        block_ended,
    ],
)
def test_whatever_takes_it_out_frees_all_of_its_groups(
    world: World, groups: Groups, leaves: Callable[[World, Groups], None]
) -> None:
    world.park("t", "A", others=["B", "C"])
    world.park("b", "B")
    leaves(world, groups)
    settled(world)
    assert world.queued()[-1:] == ["b"]
    world.redis.delete("q")
    groups.purge("B")
    world.redis.delete(world.keys.dead)
    settled(world)
    assert world.residue() == {} and world.redis.hget(world.keys.stats, "stand_ins") == b"0"


@pytest.mark.parametrize("key", ["A", "B"])
def test_in_line_it_is_taken_out_of_every_line(world: World, groups: Groups, key: str) -> None:
    runs = world.run("x", key)
    world.park("t", "A", others=["B"])
    assert groups.purge(key) == 1
    assert [world.waiting("A"), world.waiting("B")] == [[], []]
    world.finish(runs, key)
    settled(world)
    assert world.residue() == {}


def test_while_it_runs_none_of_its_places_can_be_taken_out(world: World, groups: Groups) -> None:
    world.park("t", "A", others=["B"])
    ticket = begun(world)
    assert groups.purge("B") == 0
    with pytest.raises(Exception, match="runs"):
        groups.skip("B", expected="t")
    assert world.depth("B") == 1
    world.finish(ticket, "A")
    settled(world)
    assert world.residue() == {}


@pytest.mark.parametrize("key", ["A", "B"])
def test_a_pause_of_any_of_its_groups_holds_it(world: World, groups: Groups, key: str) -> None:
    world.park("t", "A", others=["B"])
    ticket = world.receive()
    groups.pause(key)
    assert world.begin(ticket) is None, "its ticket is stale"
    settled(world)
    assert world.queued() == []
    groups.resume(key)
    settled(world)
    world.finish(begun(world), "A")


def test_a_draining_group_refuses_it(world: World, groups: Groups) -> None:
    world.run("b", "B")
    groups.drain("B")
    with pytest.raises(GroupDraining, match="'B' is draining"):
        world.park("t", "A", others=["B"])
    assert world.depth("A") == 0 and world.park("t2", "A", others=["C"])


def test_a_bound_counts_in_each_of_its_groups(world: World) -> None:
    world.run("b", "B")
    world.park("b2", "B")
    with pytest.raises(GroupFull, match="'B' has as many"):
        world.park("t", "A", others=["B"], bound=Bound(1, "raise"))
    assert not world.park("t", "A", others=["B"], bound=Bound(1, "drop_new"))
    assert world.depth("A") == 0
    world.park("t", "A", others=["B"], bound=Bound(2, "raise"))
    world.park("b3", "B", bound=Bound(2, "drop_oldest"))
    assert world.waiting("B") == ["t;k1", "b3"], "the oldest one has made room"
    with pytest.raises(GroupFull, match="none that is in line can make room"):
        world.park("b4", "B", bound=Bound(2, "drop_oldest"))


def test_the_same_id_is_parked_once(world: World) -> None:
    assert world.park("t", "A", others=["B"])
    assert not world.park("t", "A", others=["B"])
    entry = make_entry(world.gate, "t", "C", others=["D"])
    entry.on_duplicate = "raise"
    with pytest.raises(DuplicateTask):
        world.gate.park(entry, world.gate.number())
    assert [world.depth(key) for key in "ABCD"] == [1, 1, 0, 0]


def test_one_of_several_keys_is_not_replaced(world: World) -> None:
    world.run("b", "B")
    world.park("t", "A", others=["B"])
    world.run("a", "C")
    entry = make_entry(world.gate, "t", "A", body="new")
    entry.on_duplicate = "replace"
    with pytest.raises(DuplicateTask, match="has several keys"):
        world.gate.park(entry, world.gate.number())


def test_a_chains_last_task_with_the_id_of_a_run_has_a_name_of_its_own(world: World) -> None:
    world.park("t", "A", others=["B"])
    ticket = begun(world)
    assert world.replace("t", "A", others=["C"])
    world.finish(ticket, "A")
    settled(world)
    world.finish(begun(world), "A")
    settled(world)
    assert world.residue() == {}


def test_beside_tasks_with_a_concurrency_it_has_its_groups_for_itself(world: World) -> None:
    limits = Limits(concurrency=3).text()
    tickets = []
    for id in "xy":
        world.park(id, "B", limits=limits)
        tickets.append(begun(world, id))
        world.invite(tickets[-1], "q")
    world.park("t", "A", others=["B"])
    world.park("z", "B", limits=limits)
    world.finish(tickets[0], "B")
    settled(world)
    assert world.queued() == []
    world.finish(tickets[1], "B")
    settled(world)
    world.finish(begun(world), "A")
    settled(world)
    assert world.queued() == ["z"]


def test_a_block_of_another_group_halts_it(world: World, groups: Groups) -> None:
    groups.limit("B", concurrency=3)
    world.park("b", "B")
    b = begun(world, "b")
    a = world.run("a", "A")
    world.park("t", "A", others=["B"])
    world.invite(b, "q")
    settled(world)
    assert [flight.id for flight in world.group("B").flights] == ["b", "t;k1"]
    assert world.fail(b, "B").blocked
    world.finish(a, "A")
    settled(world)
    assert world.queued() == [] and groups.verify() == []
    assert "the first in 'B', which another task blocks" in groups.explain("A", ask_workers=False)
    groups.skip("B", expected="b")
    settled(world)
    world.finish(begun(world), "A")
    settled(world)
    assert [world.depth(key) for key in "AB"] == [0, 0]


def test_an_eta_that_is_reserved_holds_all_of_its_groups(world: World) -> None:
    world.park("t", "A", others=["B"], delay=5000, reserves=True)
    world.park("b", "B")
    settled(world)
    assert world.queued() == []
    world.tick(5000)
    settled(world)
    assert world.queued() == ["t"]


# -- what concerns each of its groups ---------------------------------------


def test_its_failure_cancels_the_rest_of_each_group(world: World) -> None:
    world.park("t", "A", others=["B"])
    world.park("a", "A")
    world.park("b", "B")
    world.park("u", "C", others=["B"])  # the head of C, which goes on without it
    world.park("c", "C")
    ticket = begun(world)
    assert world.fail(ticket, "A", "cancel_rest", others=["B"]).held == 0, "a sweep is to follow at once"
    told: list[str] = []
    for part in world.gate.sweep(world.keys, world.lists("q")).cut_off:
        world.gate.cancel_rest(part, lambda gone: told.extend(name for name, _ in gone))
    assert sorted(told) == ["a", "b", "u"]
    settled(world)
    assert (world.queued(), [world.depth(key) for key in "ABC"]) == (["c"], [0, 0, 1])
    world.park("b2", "B")
    world.finish(begun(world, "c"), "C")
    world.finish(begun(world, "b2"), "B")
    settled(world)
    assert world.residue() == {}


def test_what_comes_after_its_failure_is_not_cancelled(world: World) -> None:
    """Timeline: B's line is cut off, a task joins it, and then a sweep cancels what was cut off."""
    world.park("t", "A", others=["B"])
    world.park("b", "B")
    world.fail(begun(world), "A", "cancel_rest", others=["B"])
    world.park("later", "B")
    settled(world)
    world.finish(begun(world, "later"), "B")
    settled(world)
    assert world.residue() == {}


BREAKER = Breaker(2, 60_000, 1000)


def test_its_failure_counts_for_the_breaker_of_each_group(world: World) -> None:
    world.fail(world.run("b", "B"), "B", "continue", breaker=BREAKER)
    world.park("t", "A", others=["B"])
    world.park("b2", "B")
    assert world.fail(begun(world), "A", "continue", breaker=BREAKER, others=["B"]).blocked, "the second one of B"
    world.park("a2", "A")
    settled(world)
    assert world.queued() == []
    world.tick(BREAKER.pause)
    settled(world)
    assert sorted(world.queued()) == ["a2", "b2"]
    tickets = {ticket.id: ticket for ticket in (world.begin(world.receive()) for _ in range(2)) if ticket}
    assert world.fail(tickets["b2"], "B", "continue", breaker=BREAKER).blocked, "the probe of B"


def test_its_good_end_closes_the_breaker_of_each_group(world: World) -> None:
    world.fail(world.run("b", "B"), "B", "continue", breaker=Breaker(1, 60_000, 1000))
    world.park("t", "A", others=["B"])
    world.park("b2", "B")
    world.tick(1000)
    settled(world)
    world.finish(begun(world), "A")
    settled(world)
    assert not world.fail(begun(world, "b2"), "B", "continue", breaker=BREAKER).blocked, "the first one since"


def test_its_starts_count_for_the_rate_of_each_group(world: World) -> None:
    rate = Limits(Rate(1, 1000)).text()
    world.park("b", "B", limits=rate)
    world.park("t", "A", others=["B"])
    world.park("b2", "B", limits=rate)
    world.finish(begun(world, "b"), "B")
    settled(world)
    ticket = begun(world)
    world.tick(900)
    world.finish(ticket, "A")
    settled(world)
    assert world.queued() == [], "t has started within the last second"
    world.tick(101)
    settled(world)
    assert world.queued() == ["b2"]


def test_an_operators_rate_holds_it_back_in_each_group(world: World, groups: Groups) -> None:
    groups.limit("B", rate="1/s")
    world.park("b", "B")
    world.park("t", "A", others=["B"])
    world.finish(begun(world, "b"), "B")
    settled(world)
    assert world.queued() == []
    assert groups.verify() == []
    world.tick(1001)
    settled(world)
    world.finish(begun(world), "A")
    settled(world)


def test_what_is_held_back_by_a_rate_in_another_group_can_be_taken_out(world: World, groups: Groups) -> None:
    groups.limit("B", rate="1/s")
    world.finish(world.run("b", "B"), "B")
    world.park("t", "A", others=["B"])
    settled(world)
    assert groups.skip("B", expected="t")
    world.tick(1001)
    settled(world)
    groups.limit("B")
    settled(world)
    world.tick(1001)
    settled(world)
    assert world.residue() == {}
