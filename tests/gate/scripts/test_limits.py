"""The limits of a group: how many of its tasks start within a time, and how many run at once.

A second lasts 1001 ms here: a run may have begun at any time within its millisecond.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from celery_groupfifo import Groups
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.gate.records import Limits
from celery_groupfifo.windows import Breaker, Rate
from tests.support.world import World, ticket_of

TWO_A_SECOND = Limits(Rate(2, 1000)).text()
THREE_AT_ONCE = Limits(concurrency=3).text()


def begun(world: World) -> Ticket:
    """The ticket that comes next, begun."""
    ticket = world.begin(world.receive())
    assert ticket is not None
    return ticket


def begin_all(world: World) -> list[Ticket]:
    """Begin whatever comes, as a worker with many slots does."""
    tickets = []
    while world.queued():
        tickets.append(begun(world))
        world.invite(tickets[-1], "q")
    return tickets


# -- a rate ------------------------------------------------------------------------------------------------------------


def test_the_third_start_within_a_second_waits(world: World) -> None:
    for id in "abcd":
        world.park(id, limits=TWO_A_SECOND)
    world.finish(begun(world))
    world.tick(300)
    done = world.finish(begun(world))
    assert done.held == 0.701 and done.due is None and world.queued() == []
    flight = world.flight()
    assert flight is not None and (flight.id, flight.state, flight.stop) == ("c", "held", "l")
    world.tick(700)
    world.sweep()
    assert world.queued() == []
    world.tick(1)
    world.sweep()
    assert world.queued() == ["c"]
    assert world.finish(begun(world)).held == 0.3, "b began 300 ms after a"


def test_what_counts_is_the_begin_not_the_release(world: World) -> None:
    for id in "abc":
        world.park(id, limits=TWO_A_SECOND)
    world.tick(5000)  # the ticket of a waits that long for a worker
    world.finish(begun(world))
    assert world.finish(begun(world)).held == 1.001


@pytest.mark.parametrize("idle", [0, 400])
def test_a_group_that_was_empty_meanwhile_has_the_same_rate(world: World, idle: int) -> None:
    for id in "ab":
        world.park(id, limits=TWO_A_SECOND)
    for _ in "ab":
        world.finish(begun(world))
    assert world.depth() == 0 and not world.redis.exists(world.keys.groups)
    world.tick(idle)
    world.sweep()
    assert world.park("c", limits=TWO_A_SECOND)
    assert world.queued() == [] and world.redis.llen(world.keys.wake) == 1, "no worker knows of the hold: it is woken"
    world.tick(1001 - idle)
    world.sweep()
    assert world.queued() == ["c"]


def test_what_was_counted_is_forgotten(world: World) -> None:
    world.park("a", limits=TWO_A_SECOND)
    world.finish(begun(world))
    assert world.redis.hexists(world.keys.begins, "s g")
    world.idle_sweeps(2000)
    assert not world.redis.hexists(world.keys.begins, "s g") and world.residue() == {}


def test_the_counted_ones_stay_while_the_group_goes_on(world: World) -> None:
    """Timeline: the group ends, a task comes, the time to forget it comes while that one runs."""
    world.park("a", limits=TWO_A_SECOND)
    world.finish(begun(world))
    for id in "bcd":
        world.park(id, limits=TWO_A_SECOND)
    world.tick(900)
    ticket = begun(world)
    world.tick(101)
    world.sweep()
    assert world.finish(ticket).held is None
    assert world.finish(begun(world)).held == 0.9, "b began 100 ms before c"


def test_begins_before_the_clock_was_set_back_hold_nobody(world: World) -> None:
    for id in "abcd":
        world.park(id, limits=TWO_A_SECOND)
    for _ in "ab":
        world.finish(begun(world))
    world.tick(-3_600_000)
    world.gate.revoke("c")
    assert world.queued() == ["d"]


def end_by_retry(world: World, ticket: Ticket) -> None:
    world.hold(ticket, 10)


def end_by_failure(world: World, ticket: Ticket) -> None:
    world.fail(ticket, policy="dead_letter")


def end_with_its_worker(world: World, ticket: Ticket) -> None:
    for _ in range(40):
        world.tick(1000)
        world.sweep(owner="w2")
    assert world.stat("tasks_reclaimed") == 1


def end_with_its_process(world: World, ticket: Ticket) -> None:
    world.gate.surrender([(ticket, True)])


@pytest.mark.parametrize("end", [end_by_retry, end_by_failure, end_with_its_worker, end_with_its_process])
def test_each_run_counts_however_it_ends(world: World, end: Callable[[World, Ticket], None]) -> None:
    slow = Limits(Rate(1, 60_000)).text()
    for id in "ab":
        world.park(id, limits=slow)
    end(world, begun(world))
    world.tick(20)
    world.sweep()
    assert world.queued() == []
    flight = world.flight()
    assert flight is not None and (flight.state, flight.stop) == ("held", "l")
    world.tick(60_000)
    world.sweep()
    assert len(world.queued()) == 1


def test_a_run_that_never_started_its_task_does_not_count(world: World) -> None:
    world.park("a", limits=Limits(Rate(1, 1000)).text())
    world.gate.surrender([(begun(world), False)])
    assert world.queued() == ["a"]


def test_another_rate_of_the_next_task_counts_the_same_starts(world: World) -> None:
    world.park("a", limits=Limits(Rate(1, 1000)).text())
    world.park("b", limits=Limits(Rate(2, 10_000)).text())
    world.park("c", limits=Limits(Rate(2, 10_000)).text())
    world.park("d")
    assert world.finish(begun(world)).held is None
    assert world.finish(begun(world)).held == 10.001
    world.tick(10_001)
    world.sweep()
    assert world.finish(begun(world)).held is None and world.queued() == ["d"], "a task without a rate waits for none"


def test_a_worker_takes_another_group_meanwhile(world: World) -> None:
    for id in "ab":
        world.park(id, limits=Limits(Rate(1, 1000)).text())
    ticket = begun(world)
    world.park("other", "h")
    done = world.finish(ticket, take="lists", lists=world.lists("q"))
    assert done.held == 1.001 and done.taken is not None and world.flight("h") is not None


def test_a_retry_that_joins_the_tail_has_its_own_time(world: World) -> None:
    for id in "ab":
        world.park(id, limits=Limits(Rate(1, 1000)).text())
    done = world.hold(begun(world), 300, rejoins=True)
    assert done.held == 1.001, "of b"
    world.tick(1001)
    world.sweep()
    assert (world.queued(), world.waiting()) == (["b"], ["a"])


def test_retry_of_an_operator_waits_for_the_rate_too(world: World) -> None:
    for id in "ab":
        world.park(id, limits=Limits(Rate(1, 1000)).text())
    world.hold(begun(world), 60_000)
    world.gate.store.run("retry", world.keys, [world.keys.audit, "answer"], ["", 1, quote("g")])
    flight = world.flight()
    assert world.queued() == [] and flight is not None and (flight.stop, flight.due) == ("l", world.now + 1001)


def test_a_pause_while_it_waits(world: World) -> None:
    for id in "ab":
        world.park(id, limits=Limits(Rate(1, 1000)).text())
    world.finish(begun(world))
    own = [world.keys.audit, "answer", world.keys.paused]
    world.gate.store.run("pause", world.keys, own, ["", 1, quote("g"), "{"])
    world.tick(2000)
    world.sweep()
    assert world.queued() == []
    world.gate.publish(
        world.gate.store.run("resume", world.keys, [*own, world.keys.line(quote("g"))], ["", 2, quote("g")])[1:]
    )
    assert world.queued() == ["b"]


# -- several at once ---------------------------------------------------------------------------------------------------


def test_three_start_in_order_and_end_in_any(world: World) -> None:
    for id in "abcde":
        world.park(id, limits=THREE_AT_ONCE)
    assert world.queued() == ["a"], "the next one is released when it has begun: they start in order"
    a, b, c = begin_all(world)
    assert [ticket.id for ticket in (a, b, c)] == ["a", "b", "c"] and a.fence < b.fence < c.fence
    assert world.waiting() == ["d", "e"]
    world.finish(c)
    assert world.queued() == ["d"] and world.waiting() == ["e"]
    (d,) = begin_all(world)
    for ticket in (a, d, b):
        world.finish(ticket)
    (e,) = begin_all(world)
    world.finish(e)
    assert world.depth() == 0 and world.residue() == {}


def test_one_that_is_parked_beside_running_ones_goes_out(world: World) -> None:
    for id in "abc":
        world.park(id, limits=THREE_AT_ONCE)
        begin_all(world)
    assert len(world.group().flights) == 3
    world.park("d", limits=THREE_AT_ONCE)
    assert (world.queued(), world.waiting()) == ([], ["d"])


def test_the_invitation_is_a_sweep_s_too(world: World) -> None:
    for id in "ab":
        world.park(id, limits=THREE_AT_ONCE)
    begun(world)
    assert world.queued() == []
    world.sweep()
    assert world.queued() == ["b"]


def test_a_worker_that_takes_one_invites_the_next(world: World) -> None:
    ticket = world.run("x", "other")
    for id in "abc":
        world.park(id, limits=THREE_AT_ONCE)
    done = world.finish(ticket, "other", take="lists", lists=world.lists("q"))
    assert done.invites and world.queued() == []
    first = world.flight()
    assert first is not None and first.state == "running"
    world.sweep()
    assert world.queued() == ["b"]
    done = world.finish(begun(world), take="lists", lists=world.lists("q"))
    assert done.invites, "its own next head, begun at once"


def test_a_worker_that_takes_nothing_but_a_stale_ticket_of_such_a_group(world: World) -> None:
    """The answer to its finish is about what it has taken: nothing."""
    ticket = world.run("x", "other")
    for id in "abc":
        world.park(id, limits=THREE_AT_ONCE)
    world.redis.lpush("q", world.redis.lindex("q", 0) or b"")  # the broker gives it twice
    begun(world)
    done = world.finish(ticket, "other", take="lists", lists=world.lists("q"))
    assert (done.stale, done.taken, done.invites) == (False, None, False)
    assert world.queued() == []


def test_a_task_for_itself_waits_for_all_and_all_wait_for_it(world: World) -> None:
    for id in "ab":
        world.park(id, limits=THREE_AT_ONCE)
    world.park("alone")
    for id in "cd":
        world.park(id, limits=THREE_AT_ONCE)
    a, b = begin_all(world)
    world.finish(a)
    assert world.queued() == []
    world.finish(b)
    (alone,) = begin_all(world)
    assert alone.id == "alone" and len(world.group().flights) == 1
    world.finish(alone)
    assert [ticket.id for ticket in begin_all(world)] == ["c", "d"]


def test_a_retry_keeps_one_place(world: World) -> None:
    for id in "abcd":
        world.park(id, limits=THREE_AT_ONCE)
    a, _, _ = begin_all(world)
    world.hold(a, 5000)
    assert world.queued() == [] and world.waiting() == ["d"]
    world.tick(5000)
    world.sweep()
    assert world.queued() == ["a"]


def test_two_that_fail_beside_each_other_block_until_both_are_decided_on(world: World) -> None:
    for id in "abc":
        world.park(id, limits=Limits(concurrency=2).text())
    for ticket in begin_all(world)[::-1]:
        assert world.fail(ticket).blocked
        world.tick(1000)
    groups, times = Groups(world.app, world.gate), []
    for id, beside in (("b", " a failed beside it, and blocks it after that."), ("a", "")):
        group = groups.get("g")
        assert (group.state, group.head, group.last_error) == ("blocked", id, "ValueError: boom")
        times.append(group.since)
        said = groups.explain("g", ask_workers=False)
        assert f"the failure of t[{id}] " in said and said.endswith(f"retry, skip or drop.{beside}"), said
        assert "1 task waits behind it" in said
        assert groups.verify() == []
        groups.skip("g", expected=id)
    assert times[0] is not None and times[1] == times[0] + timedelta(seconds=1), "each has its own time"
    assert world.queued() == ["c"] and groups.get("g").state == "waiting"


def test_each_of_two_that_open_a_breaker_leaves_as_its_own_policy_says(world: World) -> None:
    breaker = Breaker(1, 60_000, 3000)
    for id in "ab":
        world.park(id, limits=THREE_AT_ONCE)
    a, b = begin_all(world)
    assert world.fail(a, policy="dead_letter", breaker=breaker).blocked
    world.tick(1000)
    assert world.fail(b, policy="continue", breaker=breaker).blocked
    world.tick(2000)
    world.sweep()
    assert Groups(world.app, world.gate).get("g").head == "b"
    world.tick(1000)
    world.sweep()
    (letter,) = Groups(world.app, world.gate).dead_letters()
    assert (letter.id, letter.exception, world.depth()) == ("a", "ValueError: boom", 0)


def test_a_block_halts_the_group_beside_running_ones(world: World) -> None:
    for id in "abcd":
        world.park(id, limits=THREE_AT_ONCE)
    a, b, _ = begin_all(world)
    assert world.fail(a, policy="block").blocked
    world.finish(b)
    assert world.queued() == [] and world.waiting() == ["d"]


def test_a_block_calls_in_the_ticket_at_the_broker(world: World) -> None:
    for id in "abcd":
        world.park(id, limits=THREE_AT_ONCE)
    a = begun(world)
    world.invite(a, "q")
    message = world.pop()
    assert message is not None and world.fail(a, policy="block").blocked
    assert world.begin(ticket_of(message)) is None
    world.idle_sweeps(5000)
    groups = Groups(world.app, world.gate)
    assert (world.queued(), world.waiting(), groups.verify()) == ([], ["c", "d"], [])
    assert (groups.stats().held, groups.stats().waiting) == (2, 0)
    groups.skip("g", expected="a")
    assert world.queued() == [] and world.waiting() == ["c", "d"], "b comes before them"
    world.sweep()
    assert [ticket.id for ticket in begin_all(world)] == ["b", "c", "d"]


@pytest.mark.parametrize("ends", ["retry", "drop", "itself"])
def test_what_a_block_has_halted_goes_on_when_it_is_over(world: World, ends: str) -> None:
    for id in "abcd":
        world.park(id, limits=THREE_AT_ONCE)
    a, b, c = begin_all(world)
    world.hold(c, 5000)
    assert world.fail(a, policy="block", lasts=60_000).blocked
    world.gate.surrender([(b, True)], world.lists("q"))
    world.tick(5000)
    world.sweep()
    groups = Groups(world.app, world.gate)
    assert (world.queued(), world.waiting(), groups.verify()) == ([], ["d"], []), "neither a loss nor a retry goes on"
    if ends == "retry":
        groups.retry("g")
    elif ends == "drop":
        groups.drop("g", expected="a")
    else:
        world.tick(55_000)
        world.sweep()
    world.sweep()
    assert sorted(world.queued()) == (["a", "b", "c"] if ends == "retry" else ["b", "c"])
    assert (groups.get("g").state, groups.verify()) == ("waiting", [])


def test_what_a_block_has_halted_stays_halted_by_a_second_one(world: World) -> None:
    for id in "abcd":
        world.park(id, limits=THREE_AT_ONCE)
    a, b, c = begin_all(world)
    world.gate.surrender([(c, False)], world.lists("q"))
    assert world.fail(a).blocked and world.fail(b).blocked
    assert world.pop() is not None and world.queued() == []  # the ticket, stale by now
    groups = Groups(world.app, world.gate)
    groups.pause("g")
    groups.resume("g")
    for id in "ab":
        world.idle_sweeps(5000)
        assert (world.queued(), groups.get("g").state, groups.verify()) == ([], "blocked", [])
        groups.skip("g", expected=id)
    world.sweep()
    assert [ticket.id for ticket in begin_all(world)] == ["c", "d"]


def test_a_finish_that_finds_only_a_stale_ticket_of_a_group_with_limits(world: World) -> None:
    world.park("a", "A", limits=THREE_AT_ONCE)
    message = world.pop()
    assert message is not None and world.begin(ticket_of(message)) is not None
    b = world.run("b", "B")
    world.redis.lpush("q", message)
    done = world.finish(b, "B", take="lists", lists=world.lists("q"))
    assert (done.stale, done.taken, done.invites) == (False, None, False)
    assert world.queued() == [] and world.depth("B") == 0


def test_lost_ones_come_again_and_nothing_overtakes_them(world: World) -> None:
    for id in "abcd":
        world.park(id, limits=THREE_AT_ONCE)
    begin_all(world)
    for _ in range(40):
        world.tick(1000)
        world.sweep(owner="w2")
    assert sorted(world.queued()) == ["a", "b", "c"] and world.waiting() == ["d"]
    again = begin_all(world)
    assert len(world.group().flights) == 3
    world.finish(again[0])
    assert world.queued() == ["d"]


def test_both_limits(world: World) -> None:
    both = Limits(Rate(2, 1000), 3).text()
    for id in "abcd":
        world.park(id, limits=both)
    a, _ = begin_all(world)
    flights = [(flight.id, flight.state) for flight in world.group().flights]
    assert flights == [("a", "running"), ("b", "running"), ("c", "held")], "two started within this second"
    world.finish(a)
    assert world.queued() == []
    world.tick(1001)
    world.sweep()
    assert [ticket.id for ticket in begin_all(world)] == ["c", "d"]


@pytest.mark.parametrize("limits", [TWO_A_SECOND, THREE_AT_ONCE])
def test_a_group_without_limits_has_no_trace_of_them(world: World, limits: str) -> None:
    world.park("a", limits=limits)
    world.park("b")
    world.finish(begun(world))
    world.finish(begun(world))
    world.idle_sweeps(2000)
    world.park("c")
    assert world.group().flags == "" and world.redis.hkeys(world.keys.begins) == [b"q"]
