"""Batches: a run takes the entries behind its own along, and whatever ends it leaves nothing of them lost or twice."""

from __future__ import annotations

from typing import Any

import pytest

from celery_groupfifo import Groups
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.gate.records import Flight, Limits
from celery_groupfifo.windows import Breaker
from tests.support.world import TTL_MS, World, ticket_of


def begun(world: World) -> Ticket:
    """The ticket that comes next, begun."""
    ticket = world.begin(world.receive())
    assert ticket is not None
    return ticket


def gather(world: World, ticket: Ticket, most: int = 10, task: str = "t") -> list[str]:
    """Gather, and return the ids of the followers."""
    return [ticket_of(message).id for message in world.gate.gather(ticket, task, most)]


def flights(world: World) -> dict[str, Flight]:
    """The records of the group by id, in order."""
    return {flight.id: flight for flight in world.group().flights}


def led(world: World, ids: str = "abcd", most: int = 10, **more: Any) -> Ticket:
    """Park entries, begin the first one, and let it gather."""
    for id in ids:
        world.park(id, **more)
    ticket = begun(world)
    assert gather(world, ticket, most) == list(ids[1 : most + 1])
    return ticket


def rest(world: World) -> list[str]:
    """Run all that is left, one by one."""
    order = []
    while world.queued():
        ticket = begun(world)
        order.append(ticket.id)
        world.finish(ticket)
    return order


def test_the_entries_behind_a_run_follow_it(world: World) -> None:
    ticket = led(world)
    assert world.waiting() == []
    run, *others = flights(world).values()
    assert [each.id for each in others] == ["b", "c", "d"]
    assert {(each.state, each.stop, each.fence, each.owner, each.call) for each in others} == {
        ("running", "f", ticket.fence, run.owner, run.call)
    }


def test_no_more_follow_than_asked_for(world: World) -> None:
    led(world, "abcd", most=2)
    assert world.waiting() == ["d"]


def test_a_repeated_gather_gives_the_same_entries(world: World) -> None:
    ticket = led(world, "abc")
    world.park("d")
    assert gather(world, ticket) == ["b", "c"]


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("another queue", {"queue": "other"}),
        ("an ETA in its place", {"limits": "l0/0/0/+5000", "reserves": True}),
        ("beside others", {"limits": Limits(concurrency=2).text()}),
    ],
)
def test_an_entry_that_does_not_fit_ends_a_batch(world: World, name: str, more: dict[str, Any]) -> None:
    for id in "ab":
        world.park(id)
    world.park("c", **more)
    world.park("d")
    assert gather(world, begun(world)) == ["b"]
    assert world.waiting() == ["c", "d"]


def test_only_entries_of_the_same_task_follow(world: World) -> None:
    for id in "ab":
        world.park(id)
    ticket = begun(world)
    assert gather(world, ticket, task="another") == []
    assert world.waiting() == ["b"]
    assert gather(world, ticket) == ["b"]


def test_a_revoked_entry_does_not_follow(world: World) -> None:
    for id in "abcd":
        world.park(id)
    ticket = begun(world)
    assert world.gate.revoke("c") is not None
    assert gather(world, ticket) == ["b", "d"]
    assert world.group().empty == 0


def test_a_follower_counts_as_running(world: World) -> None:
    led(world)
    assert world.gate.revoke("c") is None
    assert not world.park("c")
    assert world.depth() == 4


def test_nothing_follows_where_nothing_may_start(world: World) -> None:
    for id in "ab":
        world.park(id)
    ticket = begun(world)
    Groups(world.app).pause("g")
    assert gather(world, ticket) == []


def test_nothing_follows_a_run_that_is_over(world: World) -> None:
    for id in "ab":
        world.park(id)
    ticket = begun(world)
    world.finish(ticket)
    assert gather(world, ticket) == []
    assert world.queued() == ["b"]


# -- the end -----------------------------------------------------------------------------------------------------------


def test_a_batch_ends_with_all_that_have_an_outcome(world: World) -> None:
    ticket = led(world)
    world.park("e")
    assert world.gate.settle(ticket, ["b", "c", "d"])
    assert world.gate.settle(ticket, ["b", "c", "d"]), "repeated"
    world.finish(ticket)
    assert world.stat("runs_finished") == 4
    assert rest(world) == ["e"]
    assert world.redis.hlen(world.keys.groups) == world.redis.hlen(world.keys.entries) == 0


def test_those_without_an_outcome_go_back_to_the_front(world: World) -> None:
    ticket = led(world)
    world.park("e")
    world.gate.settle(ticket, ["b"])
    assert world.waiting() == ["c", "d", "e"]
    world.finish(ticket)
    assert rest(world) == ["c", "d", "e"]


def test_a_retry_keeps_the_place_of_the_whole_batch(world: World) -> None:
    ticket = led(world)
    world.park("e")
    world.gate.settle(ticket, [])
    world.hold(ticket, 1000)
    world.tick(1000)
    world.sweep()
    again = begun(world)
    assert again.id == "a"
    assert gather(world, again, most=3) == ["b", "c", "d"]
    assert world.waiting() == ["e"]


def test_a_stale_run_settles_nothing(world: World) -> None:
    ticket = led(world)
    world.gate.surrender([(ticket, False)])
    before = world.group()
    assert not world.gate.settle(ticket, ["b", "c"])
    assert world.group() == before


@pytest.mark.parametrize("policy", ["dead_letter", "block", "cancel_rest"])
def test_a_follower_may_fail_by_its_own_policy(world: World, policy: str) -> None:
    ticket = led(world)
    world.park("e")
    failed = next(t for t in map(ticket_of, world.gate.gather(ticket, "t", 9)) if t.id == "b")
    world.gate.settle(ticket, [], ["b"])
    lane = failed.begun(ticket.fence)._replace(lane="999")
    assert world.fail(lane, policy=policy).blocked is (policy == "block")
    assert world.queued() == []
    world.finish(ticket)
    if policy == "block":
        assert (world.queued(), list(flights(world))) == ([], ["b"])
        Groups(world.app).retry("g")
        again = begun(world)
        assert again.id == "b" and gather(world, again) == ["c", "d", "e"]
    elif policy == "dead_letter":
        assert [entry for (_, entry, _), _ in world.dead()] == ["b"]
        assert rest(world) == ["c", "d", "e"]
    else:
        assert [id for id, _ in world.sweep().cancelled] == ["c", "d", "e"]


def failed_beside(world: World, ticket: Ticket, *ids: str) -> list[Ticket]:
    """The runs of followers that have failed, whose own ends come next."""
    found = [each for each in map(ticket_of, world.gate.gather(ticket, "t", 9)) if each.id in ids]
    world.gate.settle(ticket, [], ids)
    return [each.begun(ticket.fence)._replace(lane=f"99{at}") for at, each in enumerate(found)]


def test_two_calls_that_cancel_the_rest_lose_nothing_that_came_between(world: World) -> None:
    ticket = led(world, "abc")
    world.park("d")
    for id, run in zip("ef", failed_beside(world, ticket, "b", "c"), strict=True):
        world.fail(run, policy="cancel_rest")
        world.park(id)
    world.fail(ticket, policy="cancel_rest")
    assert sorted(id for id, _ in world.sweep().cancelled) == ["d", "e", "f"]
    assert world.redis.hlen(world.keys.groups) == world.redis.hlen(world.keys.entries) == 0


def test_of_two_calls_that_block_the_group_retry_lets_one_go_at_a_time(world: World) -> None:
    ticket = led(world, "abcd")
    for run in failed_beside(world, ticket, "b", "c"):
        world.fail(run)
    world.finish(ticket)
    Groups(world.app).retry("g")
    assert world.queued() == ["b"]
    assert gather(world, begun(world)) == ["c", "d"]


def test_what_still_waits_of_a_longer_batch_stays_behind_what_goes_back(world: World) -> None:
    world.gate.surrender([(led(world, "abcdef"), False)])
    again = begun(world)
    assert gather(world, again, most=2) == ["b", "c"]
    world.gate.settle(again, ["b"])
    world.finish(again)
    assert rest(world) == ["c", "d", "e", "f"]


def test_a_good_end_before_the_call_that_opens_a_breaker_does_not_close_it(world: World) -> None:
    breaker, ticket = Breaker(2, 60_000, 1000), led(world, "abc")
    world.park("d")
    for run in failed_beside(world, ticket, "b", "c"):
        opened = world.fail(run, policy="continue", breaker=breaker)
    assert opened.blocked
    world.finish(ticket)
    world.tick(1000)
    world.sweep()
    assert world.fail(begun(world), policy="continue", breaker=breaker).blocked, "the probe has failed"


# -- lost workers ------------------------------------------------------------------------------------------------------


def lose(world: World, ticket: Ticket) -> None:
    """Let the lease of the worker end, while another one sweeps."""
    for _ in range(TTL_MS // 1000 + 2):
        world.sweep(owner="w2")
        world.tick(1000)


def test_a_batch_of_a_lost_worker_waits_in_its_order(world: World) -> None:
    ticket = led(world)
    world.park("e")
    lose(world, ticket)
    assert world.queued() == ["a"]
    assert [(each.id, each.state, each.lost) for each in flights(world).values()] == [
        ("a", "released", 1),
        ("b", "held", 1),
        ("c", "held", 1),
        ("d", "held", 1),
    ]
    assert not world.gate.settle(ticket, ["b"])


def test_after_a_loss_each_runs_alone(world: World) -> None:
    """So a task that kills its worker is found, and the others are not lost with it again."""
    lose(world, led(world))
    world.park("e")
    order = []
    while world.queued():
        again = begun(world)
        order.append((again.id, again.lost))
        assert gather(world, again) == []
        world.finish(again)
    assert order == [("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 0)]
    assert world.redis.hlen(world.keys.groups) == 0


def test_a_worker_that_takes_one_after_a_loss_knows_of_it(world: World) -> None:
    lose(world, led(world))
    done = world.finish(begun(world), take="lists", lists=world.lists("q"))
    assert done.taken is not None and (ticket_of(done.taken).id, ticket_of(done.taken).lost) == ("b", 1)


def test_a_batch_that_was_given_back_is_gathered_again(world: World) -> None:
    ticket = led(world, "abcd", most=2)
    world.gate.surrender([(ticket, False)])
    again = begun(world)
    assert (again.id, again.lost) == ("a", 0)
    assert gather(world, again) == ["b", "c", "d"]
    assert world.waiting() == []


def test_a_batch_with_a_lost_process_counts_a_loss_each(world: World) -> None:
    ticket = led(world)
    world.gate.surrender([(ticket, True)])
    assert {each.lost for each in flights(world).values()} == {1}


def test_followers_go_on_when_their_leader_ends_without_them(world: World) -> None:
    """The answer to a gather came too late, and the worker has ended the run alone."""
    ticket = led(world)
    world.park("e")
    world.finish(ticket)
    assert world.queued() == ["b"]
    again = begun(world)
    assert gather(world, again, most=3) == ["c", "d", "e"]


def test_followers_go_on_when_their_waiting_leader_is_revoked(world: World) -> None:
    ticket = led(world)
    world.gate.surrender([(ticket, False)])
    assert world.gate.revoke("a") is not None
    assert world.gate.revoke("c") is not None
    stale = world.receive()
    assert world.begin(stale) is None
    assert rest(world) == ["b", "d"]


def test_a_paused_batch_stays_together(world: World) -> None:
    groups = Groups(world.app)
    ticket = led(world)
    world.gate.surrender([(ticket, False)])
    groups.pause("g")
    assert world.begin(world.receive()) is None
    assert not groups.verify()
    groups.resume("g")
    assert world.queued() == ["a"]
    assert gather(world, begun(world)) == ["b", "c", "d"]


def test_what_waits_behind_a_held_leader_is_not_let_go_by_retry(world: World) -> None:
    ticket = led(world)
    world.gate.surrender([(ticket, False)])
    again = begun(world)
    world.hold(again, 60_000)
    Groups(world.app).retry("g")
    assert world.queued() == ["a"]


def test_a_rate_counts_a_batch_once(world: World) -> None:
    for id in "abcde":
        world.park(id, limits="l2/1000/0")
    ticket = begun(world)
    assert gather(world, ticket, most=2) == ["b", "c"]
    world.gate.settle(ticket, ["b", "c"])
    world.finish(ticket)
    assert world.queued() == ["d"]
    world.finish(begun(world))
    assert world.queued() == []


def test_a_failed_call_of_a_batch_is_no_start(world: World) -> None:
    for id in "abc":
        world.park(id, limits="l2/1000/0")
    ticket = begun(world)
    (failed,) = map(ticket_of, world.gate.gather(ticket, "t", 1))
    world.gate.settle(ticket, [], ["b"])
    world.fail(failed.begun(ticket.fence)._replace(lane="999"), policy="dead_letter")
    assert world.finish(ticket).held is None
    assert world.queued() == ["c"]


def test_verify_knows_batches(world: World) -> None:
    groups = Groups(world.app)
    ticket = led(world)
    world.park("e")
    assert not groups.verify()
    group = groups.get("g")
    assert [each.task_id for each in group.running] == ["a", "b", "c", "d"]
    assert (group.state, group.depth, group.head) == ("running", 5, "a")
    world.gate.surrender([(ticket, False)])
    assert not groups.verify()
    assert (groups.get("g").state, groups.get("g").head) == ("waiting", "a")


def test_the_owner_is_the_leaders(world: World) -> None:
    led(world)
    assert {each.owner for each in flights(world).values()} == {quote("w1")}


# -- many --------------------------------------------------------------------------------------------------------------


def numbered(world: World, many: int, **more: Any) -> list[str]:
    """Park entries, and return their ids."""
    ids = [f"n{number:02}" for number in range(many)]
    for id in ids:
        world.park(id, **more)
    return ids


def test_a_batch_of_many_costs_few_commands(world: World) -> None:
    ids = numbered(world, 60)
    ticket = begun(world)
    gather(world, ticket, 0)
    world.gate.settle(ticket, [])  # the scripts are loaded
    before = int(world.redis.info("stats")["total_commands_processed"])
    assert gather(world, ticket, 49) == ids[1:50]
    assert world.gate.settle(ticket, ids[1:50])
    assert int(world.redis.info("stats")["total_commands_processed"]) - before < 30
    assert world.stat("runs_finished") == 49
    assert world.waiting() == ids[50:]


def test_revoked_entries_among_many_are_passed_over(world: World) -> None:
    ids = numbered(world, 40)
    ticket = begun(world)
    gone = {ids[at] for at in (1, 5, 16, 17, 18, 39)}
    for id in gone:
        assert world.gate.revoke(id) is not None
    left = [id for id in ids[1:] if id not in gone]
    assert gather(world, ticket, 30) == left[:30]
    assert world.waiting() == left[30:]
    world.gate.settle(ticket, left[:30])
    world.finish(ticket)
    assert rest(world) == left[30:]
    assert world.redis.hlen(world.keys.groups) == world.redis.hlen(world.keys.entries) == 0


@pytest.mark.parametrize("at", [1, 16, 17, 20])
def test_an_entry_that_does_not_fit_keeps_its_place_among_many(world: World, at: int) -> None:
    ids = numbered(world, at)
    world.park("other", queue="other")
    behind = [f"m{number:02}" for number in range(20)]
    for id in behind:
        world.park(id)
    assert gather(world, begun(world), 49) == ids[1:]
    assert world.waiting() == ["other", *behind]


def test_those_without_an_outcome_among_many_go_back_in_their_order(world: World) -> None:
    ids = numbered(world, 45)
    ticket = begun(world)
    assert gather(world, ticket, 40) == ids[1:41]
    over = [*ids[1:5], *ids[20:30]]
    assert world.gate.settle(ticket, over)
    left = [id for id in ids[1:] if id not in over]
    assert world.waiting() == left
    world.finish(ticket)
    assert rest(world) == left
