"""Fairness: a tenant with many groups takes turns with the others. What is counted is starts, never seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest

from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Dedup, Ticket
from celery_groupfifo.gate.records import Fair, Flight, Limits
from celery_groupfifo.groups import Groups
from celery_groupfifo.settings import OnDuplicate
from celery_groupfifo.windows import Rate
from tests.support.stored import all_stored
from tests.support.world import World, make_entry, ticket_of


def of(tenant: str, weight: int = 1) -> str:
    """The words of an entry of a tenant."""
    return Fair(weight, quote(tenant)).text()


def park(world: World, id: str, key: str, tenant: str | None, weight: int = 1, **more: Any) -> None:
    """Park an entry of a tenant."""
    assert world.park(id, key, fair=of(tenant, weight) if tenant else "", **more)


def fill(world: World, tenant: str, groups: int, each: int = 1, weight: int = 1) -> None:
    """Park entries of many groups of a tenant."""
    for number in range(groups):
        for turn in range(each):
            park(world, f"{tenant}{number}.{turn}", f"{tenant}-{number}", tenant, weight)


def begin(world: World, ticket: Ticket | None = None) -> Ticket:
    """Begin the next ticket, as a worker does: what its answer invites goes out at once."""
    ticket = ticket or world.receive()
    ticket = ticket._replace(lane=str(ticket.release))
    keys, more, args = world.gate.begin_call(ticket, quote("w1"), world.gate.call_name())
    reply = world.gate.store.run("begin", keys, more, args)
    begun = world.gate.granted(ticket, reply)
    assert begun is not None
    if members := world.gate.invited(begun, reply):
        advance(world, begun, members)
    return begun


def advance(world: World, ticket: Ticket, members: list[str]) -> list[bytes]:
    """Make the call that a begin invites to; the tickets to publish."""
    keys, more, args = world.gate.advance_call(ticket, world.lists("q"), members)
    words = world.gate.store.run("advance", keys, more, args)[2:]
    world.gate.publish(words)
    return list(words)


def key_of(ticket: Ticket) -> str:
    """The key of a ticket's group."""
    return str(ticket.group)


def finish(world: World, ticket: Ticket, take: str = "lists") -> Ticket | None:
    """End a run; the next one that the worker takes with it."""
    done = world.finish(ticket, key_of(ticket), take=take, lists=world.lists("q") if take == "lists" else ())
    return ticket_of(done.taken) if done.taken else None


def starts(world: World, slots: int = 1, most: int = 10_000) -> list[str]:
    """Run all that goes out on so many slots, and return the ids in the order in which they start.

    A slot takes its next task with the end of one, or else from the broker.
    """
    order: list[str] = []
    running: list[Ticket] = []
    while len(order) < most:
        while len(running) < slots and world.queued():
            running.append(begin(world))
            order.append(running[-1].id)
        if not running:
            break
        taken = finish(world, running.pop(0))
        if taken is not None:
            running.append(taken)
            order.append(taken.id)
    return order


def tenants(order: Iterable[str]) -> str:
    """The tenants of the starts."""
    return "".join(id[0] for id in order)


def left(world: World) -> set[bytes]:
    """The members of tenants in the gate's keys."""
    found = all_stored(world.redis.zrange(world.keys.on_the_way, 0, -1))
    due = all_stored(world.redis.zrange(world.keys.due, 0, -1))
    return {each for each in found if each.startswith(b"\x7f")} | {each for each in due if each.startswith(b"f ")}


def head(world: World, key: str) -> Flight:
    """The head of a group."""
    flight = world.flight(key)
    assert flight is not None
    return flight


# -- the bound ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [1, 3])
def test_a_tenant_with_one_group_starts_every_other_time(world: World, slots: int) -> None:
    fill(world, "a", 100)
    for number in range(10):
        park(world, f"b{number}", "b", "b")
    assert world.queued() == ["a0.0", "b0"]
    order = tenants(starts(world, slots))
    assert len(order) == 110
    at = [place for place, tenant in enumerate(order) if tenant == "b"]
    # Its next task is there when the one before has ended: after one turn of the slots, and one start of the other.
    assert max(later - before for before, later in pairwise(at)) <= slots + 1
    assert at[0] == 1 and not left(world)


def test_without_fair_keys_it_waits_for_all_others(world: World) -> None:
    for number in range(100):
        park(world, f"a{number}", f"a-{number}", None)
    for number in range(2):
        park(world, f"b{number}", "b", None)
    order = tenants(starts(world))
    assert order == "a" * 100 + "bb" and not left(world)


def test_between_two_starts_of_a_tenant_come_the_weights_of_the_others(world: World) -> None:
    fill(world, "a", 30, weight=3)
    fill(world, "b", 30)
    fill(world, "c", 30, weight=2)
    order = tenants(starts(world, most=60))
    for tenant, others in (("a", 3), ("b", 5), ("c", 4)):
        at = [place for place, other in enumerate(order) if other == tenant]
        assert max(later - before for before, later in pairwise(at)) <= others + 1


def test_turns_are_as_many_as_the_weights_say(world: World) -> None:
    fill(world, "a", 100, weight=3)
    fill(world, "b", 100)
    order = tenants(starts(world, slots=2, most=80))
    assert (order.count("a"), order.count("b")) == (60, 20)


def test_a_lone_tenant_gets_all_slots_at_once(world: World) -> None:
    fill(world, "a", 10)
    running = [begin(world) for _ in range(8)]
    assert [ticket.id for ticket in running] == [f"a{number}.0" for number in range(8)]
    taken = [finish(world, ticket) for ticket in running[:2]]
    assert [ticket and ticket.id for ticket in taken] == ["a8.0", "a9.0"]


def test_the_order_of_each_group_is_as_ever(world: World) -> None:
    fill(world, "a", 5, each=4)
    order = starts(world, slots=3)
    assert len(order) == 20 and not left(world)
    for number in range(5):
        assert [id for id in order if id.startswith(f"a{number}")] == [f"a{number}.{turn}" for turn in range(4)]


def test_a_block_gives_back_the_turn_of_the_ticket_beside_it(world: World) -> None:
    for id in "ab":
        park(world, id, "g", "big", limits=Limits(concurrency=2).text())
    a = begin(world)
    park(world, "c", "other", "big")
    assert world.queued() == ["b"]
    assert world.fail(a).blocked
    assert [begin_next(world), begin_next(world)] == ["c", None]
    Groups(world.app, world.gate).skip("g", expected="a")
    assert begin_next(world) == "b"


@pytest.mark.parametrize("where", ["waits in the row", "waits in line"])
def test_what_waits_for_its_turn_beside_a_block_goes_out_after_it(world: World, where: str) -> None:
    for id in "ab":
        park(world, id, "g", "big", limits=Limits(concurrency=2).text())
    if where == "waits in the row":
        park(world, "c", "other", "big")
    a = begin(world) if where == "waits in the row" else world.begin(world.receive())
    assert a is not None and world.fail(a).blocked
    found = [begin_next(world), begin_next(world)]
    assert found == (["c", None] if where == "waits in the row" else [None, None])
    Groups(world.app, world.gate).skip("g", expected="a")
    assert begin_next(world) == "b"


def begin_next(world: World) -> str | None:
    """Sweep, and begin what has come out; drop stale tickets."""
    world.sweep()
    while world.queued():
        message = world.pop()
        assert message is not None
        ticket = ticket_of(message)
        if world.begin(ticket):
            return ticket.id
    return None


def test_heads_without_a_fair_key_share_the_queue(world: World) -> None:
    fill(world, "a", 5)
    for number in range(5):
        park(world, f"x{number}", f"x-{number}", None)
    assert world.queued() == ["a0.0", "x0", "x1", "x2", "x3", "x4"]
    assert tenants(starts(world)) == "axxxxxaaaa"


def test_a_tenant_has_its_turns_in_each_queue(world: World) -> None:
    for queue in ("q", "q2"):
        for number in range(2):
            park(world, f"{queue}{number}", f"{queue}-{number}", "a", queue=queue)
    assert world.queued() == ["q0"] and world.queued("q2") == ["q20"]


def test_names_that_only_begin_alike_are_different_tenants(world: World) -> None:
    for at, tenant in enumerate(["a", "a b", "a/1", "ab", "é", "a{}"]):
        park(world, f"t{at}", f"g{at}", tenant)
    assert len(world.queued()) == 6


# -- how a head comes to its turn --------------------------------------------------------------------------------------


def test_the_record_of_a_head_that_waits(world: World) -> None:
    fill(world, "a", 2)
    flight = head(world, "a-1")
    assert (flight.state, flight.stop, flight.due, flight.queue) == ("held", "t", None, "q")
    assert not world.redis.exists(world.keys.wake), "nobody has to wake for it"


def test_the_next_head_goes_out_with_the_begin_of_the_one_before(world: World) -> None:
    fill(world, "a", 3)
    ticket = world.receive()
    assert world.begin(ticket) is not None
    assert world.queued() == [], "the worker's next call lets it go out"
    assert world.gate.invited(ticket, [1, 5, b"f q a"]) == ["f q a"]
    advance(world, ticket, ["f q a"])
    assert world.queued() == ["a1.0"]
    advance(world, ticket, ["f q a"])
    assert world.queued() == ["a1.0"], "a repetition lets no other one go out"


def test_a_sweep_does_it_when_the_worker_is_lost_after_the_begin(world: World) -> None:
    fill(world, "a", 3)
    world.begin(world.receive())
    world.sweep(world.lists("q"))
    assert world.queued() == ["a1.0"]


def test_a_finish_lets_the_next_one_go_out_behind_its_own_head(world: World) -> None:
    fill(world, "a", 3)
    park(world, "b0", "b", "b")
    park(world, "b1", "b", "b")
    first = begin(world)
    begun = finish(world, first)
    assert begun is not None and begun.id == "b0" and world.queued() == ["a1.0"]
    taken = finish(world, begun)
    assert taken is not None and taken.id == "a1.0"
    assert world.queued() == ["b1", "a2.0"], "both wait since the same step"


def test_a_finish_that_takes_nothing_lets_its_own_head_wait(world: World) -> None:
    fill(world, "a", 2, each=2)
    first = begin(world)
    assert world.queued() == ["a1.0"]
    done = world.finish(first, "a-0", take="none")
    assert done.held is None and done.due is None and head(world, "a-0").stop == "t"
    assert world.queued() == ["a1.0"]
    begin(world)
    assert world.queued() == ["a0.1"]


def test_a_new_head_does_not_overtake_those_that_wait(world: World) -> None:
    fill(world, "a", 2)
    world.begin(world.receive())  # and its worker has yet to let the next one go out
    park(world, "late", "late", "a")
    assert world.queued() == [] and starts(world) == []
    world.sweep(world.lists("q"))
    assert starts(world) == ["a1.0", "late"]


def test_a_begin_whose_answer_was_lost_invites_again(world: World) -> None:
    fill(world, "a", 2)
    ticket = world.receive()._replace(lane="1")
    keys, more, args = world.gate.begin_call(ticket, quote("w1"), "call")
    replies = [world.gate.store.run("begin", keys, more, args) for _ in range(2)]
    assert replies[0] == replies[1] and world.gate.invited(ticket, replies[1]) == ["f q a"]


def test_its_own_head_begins_at_once_when_nobody_waits(world: World) -> None:
    fill(world, "a", 1, each=2)
    taken = finish(world, begin(world))
    assert taken is not None and taken.id == "a0.1" and finish(world, taken) is None and not left(world)


@pytest.mark.parametrize("others", [True, False])
def test_on_other_brokers_a_group_keeps_its_slot_only_while_nobody_waits(world: World, others: bool) -> None:
    fill(world, "a", 1, each=2)
    first = begin(world)
    if others:
        park(world, "b0", "b", "b")
    taken = finish(world, first, take="own")
    assert (taken is None) is others
    assert world.queued() == (["b0", "a0.1"] if others else [])


@pytest.mark.parametrize("policy", ["dead_letter", "continue", "block"])
def test_a_final_failure(world: World, policy: str) -> None:
    fill(world, "a", 2, each=2)
    first = begin(world)
    world.fail(first, "a-0", policy)
    assert world.queued() == ["a1.0"]
    assert (head(world, "a-0").stop == "t") is (policy != "block")


# -- what keeps its turn, and what does not ----------------------------------------------------------------------------


def test_a_retry_that_is_due_waits_for_its_turn(world: World) -> None:
    fill(world, "a", 3)
    world.hold(begin(world), 1000, "a-0")
    world.tick(1000)
    world.sweep(world.lists("q"))
    assert world.queued() == ["a1.0"] and head(world, "a-0").stop == "t"
    assert starts(world) == ["a1.0", "a2.0", "a0.0"] and not left(world)


def test_a_retry_without_a_countdown_waits_for_its_turn(world: World) -> None:
    fill(world, "a", 3)
    world.hold(begin(world), 0, "a-0")
    assert starts(world) == ["a1.0", "a2.0", "a0.0"]


def test_a_retry_in_another_queue_has_its_turn_there(world: World) -> None:
    fill(world, "a", 3)
    first = begin(world)
    world.hold(first, 0, "a-0", "q2")
    assert world.queued("q2") == ["a0.0"] and world.queued() == ["a1.0"]


def test_a_surrendered_head_keeps_its_turn(world: World) -> None:
    fill(world, "a", 3)
    first = begin(world)
    world.gate.surrender([(first, True)], world.lists("q"))
    assert world.queued() == ["a0.0", "a1.0"]
    begin(world)
    assert world.queued() == ["a1.0"], "two were out, and one may be"
    assert starts(world) == ["a1.0", "a2.0"]


def test_the_head_of_a_lost_worker_keeps_its_turn(world: World) -> None:
    fill(world, "a", 3)
    begin(world)
    for _ in range(62):
        world.sweep(world.lists("q"))
        world.tick(1000)
    assert world.queued() == ["a0.0", "a1.0"]


def test_a_lost_ticket_goes_out_again(world: World) -> None:
    fill(world, "a", 2)
    world.pop()
    world.tick(4000)
    assert world.rerelease() == 1 and world.queued() == ["a0.0"] and head(world, "a-1").stop == "t"
    assert starts(world) == ["a0.0", "a1.0"] and not left(world)


def test_an_unsent_ticket_goes_out_again(world: World) -> None:
    fill(world, "a", 2)
    assert world.gate.unsent(world.pop() or b"")
    world.sweep(world.lists("q"))
    assert starts(world) == ["a0.0", "a1.0"] and not left(world)


# -- what operators do -------------------------------------------------------------------------------------------------

LEAVES: dict[str, Callable[[World, Groups], object]] = {
    "revoke": lambda world, groups: world.gate.revoke("a0.0"),
    "purge": lambda world, groups: groups.purge("a-0"),
    "skip": lambda world, groups: groups.skip("a-0", expected="a0.0"),
    "pause": lambda world, groups: groups.pause("a-0"),
}


@pytest.mark.parametrize("way", LEAVES)
def test_the_next_one_goes_out_when_a_ticket_counts_no_more(world: World, way: str) -> None:
    fill(world, "a", 3)
    groups = Groups(world.app, world.gate)
    LEAVES[way](world, groups)
    assert world.redis.llen(world.keys.wake) == 1, "a sweep is woken for it"
    world.redis.delete(world.keys.wake)
    world.sweep(world.lists("q"))
    assert world.queued()[-1] == "a1.0" and head(world, "a-2").stop == "t"


@pytest.mark.parametrize("way", LEAVES)
def test_a_head_leaves_its_tenants_row(world: World, way: str) -> None:
    park(world, "first", "first", "a")
    fill(world, "a", 1)
    park(world, "last", "last", "a")
    groups = Groups(world.app, world.gate)
    LEAVES[way](world, groups)
    world.sweep(world.lists("q"))
    assert starts(world) == ["first", "last"]
    if way == "pause":
        groups.resume("a-0")
        assert starts(world) == ["a0.0"]
    assert not left(world)


def test_retry_lets_a_head_go_out_before_its_turn(world: World) -> None:
    fill(world, "a", 3)
    Groups(world.app, world.gate).retry("a-2")
    assert world.queued() == ["a0.0", "a2.0"]
    assert starts(world) == ["a0.0", "a2.0", "a1.0"] and not left(world)


def test_a_moved_task_takes_its_tenant_along(world: World) -> None:
    fill(world, "a", 2, each=2)
    assert Groups(world.app, world.gate).move("a-0", "other") == 1
    assert head(world, "other").stop == "t"
    assert set(starts(world)) == {"a0.0", "a1.0", "a0.1", "a1.1"} and not left(world)


def test_a_redriven_task_takes_its_tenant_along(world: World) -> None:
    fill(world, "a", 2)
    world.fail(begin(world), "a-0", "dead_letter")
    groups = Groups(world.app, world.gate)
    groups.redrive("a0.0")
    assert world.queued() == ["a1.0"] and head(world, "a-0").stop == "t"


# -- beside other options ----------------------------------------------------------------------------------------------


def test_a_rate_holds_a_head_back_before_it_waits_for_its_turn(world: World) -> None:
    rate = Limits(Rate(1, 1000)).text()
    for turn in range(2):
        park(world, f"a{turn}", "a-0", "a", limits=rate)
    park(world, "b0", "a-1", "a")
    park(world, "b1", "a-1", "a")
    first = begin(world)
    taken = finish(world, first)
    assert taken is not None and taken.id == "b0" and head(world, "a-0").stop == "l"
    assert finish(world, taken) is not None, "b1 is alone in the queue"
    world.tick(1001)
    world.sweep(world.lists("q"))
    assert world.queued() == ["a1"]


def test_several_tasks_of_a_group_at_once_take_one_turn_each(world: World) -> None:
    three = Limits(concurrency=3).text()
    for turn in range(4):
        park(world, f"a{turn}", "a-0", "a", limits=three)
    for turn in range(4):
        park(world, f"b{turn}", "a-1", "a", limits=three)
    running = [begin(world).id for _ in range(6)]
    assert sorted(running) == ["a0", "a1", "a2", "b0", "b1", "b2"] and world.queued() == []


def test_a_reserved_eta_comes_first(world: World) -> None:
    park(world, "a0", "a-0", "a")
    park(world, "a1", "a-1", "a", delay=1000, reserves=True)
    assert head(world, "a-1").stop == "l"
    world.tick(1000)
    world.sweep(world.lists("q"))
    assert head(world, "a-1").stop == "t" and starts(world) == ["a0", "a1"] and not left(world)


def test_an_eta_that_comes_waits_for_its_turn(world: World) -> None:
    park(world, "a0", "a-0", "a")
    park(world, "a1", "a-1", "a", delay=1000)
    world.tick(1000)
    world.sweep(world.lists("q"))
    assert starts(world) == ["a0", "a1"] and not left(world)


@pytest.mark.parametrize("policy", ["replace", "keep_latest"])
def test_new_arguments_bring_their_tenant(world: World, policy: OnDuplicate) -> None:
    park(world, "first", "g", "a")
    park(world, "second", "g", "a", dedup=Dedup("k"))
    entry = make_entry(world.gate, "second", "g", dedup=Dedup("k"), fair=of("b", 7))
    entry.on_duplicate = policy
    world.gate.park(entry, world.gate.number())
    park(world, "b0", "b", "b")
    finish(world, begin(world), take="none")
    assert world.queued() == ["b0", "second"], "its weight is 7"


def test_new_arguments_keep_the_reserved_eta(world: World) -> None:
    park(world, "first", "g", "a")
    park(world, "second", "g", "a", delay=1000, reserves=True)
    entry = make_entry(world.gate, "second", "g", fair=of("b"))
    entry.on_duplicate = "replace"
    world.gate.park(entry, world.gate.number())
    finish(world, begin(world), take="none")
    assert head(world, "g").stop == "l" and world.queued() == []
    world.tick(1000)
    world.sweep(world.lists("q"))
    assert world.queued() == ["second"]


# -- what heals --------------------------------------------------------------------------------------------------------


def test_a_ticket_that_nobody_took_off_is_forgotten_by_a_look(world: World) -> None:
    fill(world, "a", 2)
    world.receive()
    world.redis.hdel(world.keys.groups, "a-0")  # as if Redis had lost the end of it
    world.redis.hdel(world.keys.entries, "a0.0")
    world.idle_sweeps(11_000)
    assert world.queued() == ["a1.0"]


def test_a_head_whose_entry_is_corrupt_is_set_aside(world: World) -> None:
    fill(world, "a", 3)
    world.redis.hset(world.keys.entries, "a1.0", "nonsense")
    begin(world)
    assert world.queued() == ["a2.0"]
    world.sweep(world.lists("q"))
    assert world.dead()[0][0] == ["a-1", "a1.0", "corrupt"]
    assert starts(world) == ["a2.0"]
    world.idle_sweeps(11_000)
    assert not left(world)


def test_a_look_comes_for_all_tenants_at_the_same_time(world: World) -> None:
    for tenant in "ab":
        fill(world, tenant, 2)
        world.tick(1234)
    times = {world.redis.zscore(world.keys.due, f"f q {tenant}") for tenant in "ab"}
    assert len(times) == 1


def test_an_answer_that_was_lost_names_the_tickets_again(world: World) -> None:
    fill(world, "a", 3)
    first = begin(world)
    world.pop()
    keys, more, args = world.gate.advance_call(first, (), ["f q a"])  # its broker is not the gate's Redis
    again = world.gate.store.run("advance", keys, more, args)[2:]
    assert [ticket_of(message).id for message in again[1::2]] == ["a1.0"]


def test_nothing_is_kept_of_tenants_when_their_groups_are_gone(world: World) -> None:
    fill(world, "a", 3, each=2)
    fill(world, "b", 2)
    assert len(starts(world, slots=2)) == 8
    world.sweep()
    assert not left(world) and not world.redis.exists(world.keys.groups, world.keys.on_the_way, world.keys.entries)


def test_a_head_that_an_operator_lets_go_against_its_rate_leaves_the_row(world: World) -> None:
    groups, twice = Groups(world.app, world.gate), Limits(Rate(2, 60_000)).text()
    park(world, "a", "a", "x", limits=twice)
    world.finish(begin(world), "a")
    park(world, "b", "b", "x")
    park(world, "c", "a", "x", limits=twice)
    assert world.queued() == ["b"], "c waits for its turn"
    groups.limit("a", rate="1/m")
    groups.retry("a")
    assert groups.get("a").turn == "" and world.queued() == ["b"], "its rate holds it back"
    assert groups.verify() == []
