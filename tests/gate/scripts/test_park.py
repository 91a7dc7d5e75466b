"""park: an entry joins the line of its group; the first one is released at once."""

from __future__ import annotations

import json

import pytest

from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.gate.keys import quote
from tests.support.world import World, make_entry, ticket_of


def test_the_first_is_released_and_the_others_wait_in_order(world: World) -> None:
    for id in ("a", "b", "c"):
        assert world.park(id)
    assert world.queued() == ["a"]
    assert world.waiting() == ["b", "c"]
    assert world.depth() == 3


def test_groups_do_not_wait_for_each_other(world: World) -> None:
    for id, key in (("a1", "A"), ("a2", "A"), ("b1", "B"), ("c1", "C")):
        world.park(id, key)
    assert world.queued() == ["a1", "b1", "c1"]


def test_tasks_of_a_group_go_to_their_own_queues(world: World) -> None:
    first = world.run("a", queue="q1")
    world.park("b", queue="q2")
    world.finish(first)
    assert world.queued("q1") == []
    assert world.queued("q2") == ["b"]


def test_the_message_is_what_was_parked_with_the_ticket_at_its_two_places(world: World) -> None:
    world.park("a", body="hello")
    payload = json.loads(world.pop() or b"")
    tag = payload["properties"].pop("delivery_tag")
    assert payload.pop("headers") == {"groupfifo": tag, "id": "a", "task": "t"}
    info = {"exchange": "", "routing_key": "q"}
    assert payload == {"properties": {"delivery_info": info, "priority": 0}, "body": "hello"}


def test_the_ticket_names_gate_release_losses_and_time(world: World) -> None:
    world.park("a")
    ticket = world.receive()
    assert ticket == (world.keys.tag, world.now * 1000, 0, world.now * 1000, "a", "g", 0, "")


def test_an_id_that_is_parked_released_or_running_is_not_parked_again(world: World) -> None:
    world.park("a")
    world.park("b")
    assert not world.park("a"), "released"
    assert not world.park("b"), "parked"
    ticket = world.receive()
    world.begin(ticket)
    assert not world.park("a"), "running"
    assert (world.waiting(), world.depth(), world.stat("tasks_parked")) == (["b"], 2, 2)
    world.finish(ticket)
    assert world.park("a"), "an id that has ended is free again"


def test_a_repeated_call_parks_once(world: World) -> None:
    entry, number = make_entry(world.gate, "a"), world.gate.number()
    assert world.gate.park(entry, number)
    ticket = world.receive()
    world.begin(ticket)
    world.finish(ticket)
    assert world.gate.park(entry, number), "the caller learns that it is parked"
    assert world.queued() == [], "but it ran already, and does not run again"
    assert world.residue() == {}


def test_many_are_parked_in_order_in_one_round_trip(world: World) -> None:
    entries = [make_entry(world.gate, f"t{n}", f"g{n % 3}") for n in range(12)]
    numbers = world.gate.numbers(12)
    assert world.gate.park_all(entries, numbers) == [True] * 12
    assert world.queued() == ["t0", "t1", "t2"]
    assert world.waiting("g1") == ["t4", "t7", "t10"]
    assert world.gate.park_all(entries, numbers) == [True] * 12, "the same numbers again"
    assert world.waiting("g1") == ["t4", "t7", "t10"]


def test_one_bad_entry_of_many_is_named_and_stops_no_other(world: World) -> None:
    world.redis.set(world.keys.line(quote("bad")), "foreign")
    entries = [make_entry(world.gate, id, id) for id in ("good1", "bad", "good2")]
    first, bad, last = world.gate.park_all(entries, world.gate.numbers(3))
    assert first is True and last is True
    assert isinstance(bad, GroupFifoError) and "groupfifo_namespace" in str(bad)
    assert world.queued() == ["good1", "good2"]


def test_a_delayed_entry_joins_the_line_when_it_is_due(world: World) -> None:
    world.park("late", delay=5000)
    world.park("now")
    assert (world.queued(), world.depth()) == (["now"], 2), "it blocks nobody"
    ticket = world.receive()
    world.begin(ticket)
    world.tick(4999)
    world.sweep()
    assert world.waiting() == []
    world.tick(1)
    world.sweep()
    assert world.waiting() == ["late"]
    world.finish(ticket)
    assert world.queued() == ["late"]


def test_due_entries_of_many_groups_go_out_by_due_time(world: World) -> None:
    for n, delay in enumerate((3000, 1000, 2000)):
        world.park(f"t{n}", f"g{n}", delay=delay)
    world.tick(3000)
    world.sweep(world.lists("q"))
    assert world.queued() == ["t1", "t2", "t0"]


def test_a_sooner_delay_wakes_a_sleeping_sweeper_and_a_later_one_does_not(world: World) -> None:
    world.park("a", delay=5000)
    assert world.redis.llen(world.keys.wake) == 1
    world.redis.delete(world.keys.wake)
    world.park("b", delay=9000)
    assert world.redis.llen(world.keys.wake) == 0
    world.park("c", delay=100)
    assert world.redis.llen(world.keys.wake) == 1
    assert 0 < world.redis.pttl(world.keys.wake) <= 5000


def test_a_replacement_of_the_running_entry_goes_out_after_it(world: World) -> None:
    ticket = world.run("a")
    world.park("b")
    entry, number = make_entry(world.gate, "a", body="replaced"), world.gate.number()
    assert world.gate.park(entry, number, replaces=True)
    assert world.queued() == [], "the original still runs"
    world.finish(ticket)
    message = world.pop() or b""
    assert (ticket_of(message).id, json.loads(message)["body"]) == ("a", "replaced")
    assert world.waiting() == ["b"]


def test_a_replacement_of_what_does_not_run_is_a_duplicate(world: World) -> None:
    world.park("a")
    assert not world.gate.park(make_entry(world.gate, "a"), world.gate.number(), replaces=True)


@pytest.mark.parametrize("priority, key", [(0, "q"), (2, "q"), (3, "q\x06\x163"), (9, "q\x06\x169")])
def test_a_priority_goes_to_the_list_that_kombu_serves_for_it(world: World, priority: int, key: str) -> None:
    world.park("a", priority=priority)
    assert world.queued(key) == ["a"]


def test_fences_grow_over_an_emptied_redis_and_a_clock_set_back(world: World) -> None:
    first = world.run("a")
    world.tick(-60_000)
    world.finish(first)
    second = world.run("a")
    assert (second.release, second.fence) == (first.fence + 1, first.fence + 2), "the clock went back, they do not"
    world.redis.flushdb()
    world.tick(120_000)
    assert world.run("a").fence > second.fence


def test_fences_keep_their_sixteen_digits_when_they_outrun_the_clock(world: World) -> None:
    numbers = []
    for n in range(15):
        ticket = world.run(f"t{n}", f"g{n}")
        numbers += [ticket.release, ticket.fence]
    assert numbers == list(range(world.now * 1000, world.now * 1000 + 30))


def test_parks_whose_numbers_were_drawn_early_are_not_taken_for_repetitions(world: World) -> None:
    early = world.gate.number()
    assert world.park("a", "A") and world.park("b", "B")
    assert world.gate.park(make_entry(world.gate, "c", "C"), early)
    assert world.queued() == ["a", "b", "c"]
