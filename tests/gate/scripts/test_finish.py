"""finish: the lease goes back, the next head goes out, and the worker leaves with its next task."""

from __future__ import annotations

from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.recovery import CALLS_KEEP, GRACE_MS
from tests.support.stored import stored
from tests.support.world import PLAIN, TTL_MS, World, ticket_of


def test_the_next_head_goes_out(world: World) -> None:
    ticket = world.run("a")
    world.park("b")
    world.park("c")
    done = world.finish(ticket)
    assert (done.stale, done.taken, done.due) == (False, None, None)
    assert (world.queued(), world.waiting(), world.depth()) == (["b"], ["c"], 2)


def test_the_last_one_leaves_nothing_behind(world: World) -> None:
    world.finish(world.run("a"))
    assert world.residue() == {}


def test_a_completion_with_an_old_fence_changes_nothing(world: World) -> None:
    old = world.run("a")
    world.park("b")
    world.gate.surrender([(old, True)])
    assert world.finish(old).stale, "released again"
    new = world.receive()
    world.begin(new, "w2")
    assert world.finish(old).stale, "and running elsewhere"
    assert (world.queued(), world.waiting(), world.depth()) == ([], ["b"], 2)
    assert not world.finish(new, owner="w2").stale


def test_a_completion_under_another_group_changes_nothing(world: World) -> None:
    ticket = world.run("a", "A")
    assert world.finish(ticket._replace(group=quote("B")), "B").stale
    assert not world.finish(ticket, "A").stale


def test_take_from_the_lists_serves_groups_in_the_brokers_order(world: World) -> None:
    ticket = world.run("a1", "A")
    world.park("a2", "A")
    world.park("b1", "B")
    done = world.finish(ticket, "A", take="lists", lists=world.lists("q"))
    taken = ticket_of(done.taken or b"")
    assert taken.id == "b1", "the successor queues up behind it"
    assert world.queued() == ["a2"]
    assert world.gate.lease(taken) is not None, "it is begun already"
    done = world.finish(taken, "B", take="lists", lists=world.lists("q"))
    assert ticket_of(done.taken or b"").id == "a2"


def test_what_is_taken_is_the_message_that_the_broker_had(world: World) -> None:
    ticket = world.run("a", "A")
    world.park("b", "B", body="unchanged")
    queued = world.redis.lindex("q", -1)
    assert world.finish(ticket, "A", take="lists", lists=world.lists("q")).taken == queued


def test_the_lists_are_looked_at_in_the_workers_order(world: World) -> None:
    ticket = world.run("a", "A", queue="low")
    world.park("b", "B", queue="low")
    world.park("c", "C", queue="high")
    done = world.finish(ticket, "A", take="lists", lists=world.lists("high", "low"))
    assert ticket_of(done.taken or b"").id == "c"
    assert world.queued("low") == ["b"]


def test_a_head_for_a_queue_that_the_worker_does_not_consume_is_published(world: World) -> None:
    ticket = world.run("a", queue="q1")
    world.park("b", queue="q2")
    done = world.finish(ticket, take="lists", lists=world.lists("q1"))
    assert done.taken is None
    assert world.queued("q2") == ["b"]


def test_a_plain_message_keeps_its_turn(world: World) -> None:
    ticket = world.run("a", "A")
    world.redis.lpush("q", PLAIN)
    world.park("b", "B")
    done = world.finish(ticket, "A", take="lists", lists=world.lists("q"))
    assert done.taken is None, "the worker lets go, and serves the plain one from the broker"
    assert world.pop() == PLAIN
    assert world.queued() == ["b"]


def test_a_ticket_of_another_gate_keeps_its_turn(world: World) -> None:
    ticket = world.run("a", "A")
    foreign = b'{"properties": {"delivery_tag": "gf other:0 1800000000000000 0 1 x g", "delivery_info": {}}}'
    world.redis.lpush("q", foreign)
    assert world.finish(ticket, "A", take="lists", lists=world.lists("q")).taken is None
    assert world.pop() == foreign


def test_a_plain_message_in_an_earlier_list_keeps_its_turn_over_later_lists(world: World) -> None:
    ticket = world.run("a", "A", queue="low")
    world.redis.lpush("high", PLAIN)
    world.park("b", "B", queue="low")
    assert world.finish(ticket, "A", take="lists", lists=world.lists("high", "low")).taken is None
    assert world.queued("low") == ["b"]


def test_stale_tickets_on_the_way_are_dropped(world: World) -> None:
    ticket = world.run("a", "A")
    world.park("b", "B")
    for _ in range(3):
        world.redis.lpush("q", stored(world.redis.lindex("q", -1)))  # doubled
    world.park("c", "C")
    first = ticket_of(world.finish(ticket, "A", take="lists", lists=world.lists("q")).taken or b"")
    second = ticket_of(world.finish(first, "B", take="lists", lists=world.lists("q")).taken or b"")
    assert (first.id, second.id) == ("b", "c")
    assert world.redis.llen("q") == 0


def test_a_heap_of_stale_tickets_does_not_make_one_call_long(world: World) -> None:
    ticket = world.run("a", "A")
    world.park("b", "B")
    stale = stored(world.redis.lindex("q", -1))
    world.begin(world.receive())
    world.redis.lpush("q", *[stale] * 50)
    assert world.finish(ticket, "A", take="lists", lists=world.lists("q")).taken is None
    assert world.redis.llen("q") == 30, "the rest is left to the broker's way"


def test_the_own_successor_is_begun_at_once_when_nobody_is_before_it(world: World) -> None:
    ticket = world.run("a1", "A", queue="low")
    world.park("a2", "A", queue="low", body="unchanged")
    world.park("z", "Z", queue="last")
    done = world.finish(ticket, "A", take="lists", lists=world.lists("high", "low", "last"))
    taken = ticket_of(done.taken or b"")
    assert taken.id == "a2" and done.fence > ticket.fence
    assert b"unchanged" in (done.taken or b"")
    assert (world.queued("low"), world.queued("last")) == ([], ["z"])
    assert world.gate.lease(taken) is not None
    world.redis.delete("last")
    world.finish(taken, "A")
    world.tick(GRACE_MS + 1)
    assert world.rerelease() == 1, "only the one that was lost: the successor was on no way"


def test_the_own_successor_waits_for_the_lists_before_its_own(world: World) -> None:
    ticket = world.run("a1", "A", queue="low")
    world.park("a2", "A", queue="low")
    world.redis.lpush("middle", PLAIN)
    done = world.finish(ticket, "A", take="lists", lists=world.lists("high", "middle", "low"))
    assert done.taken is None, "the plain one's turn is first"
    assert (world.pop("middle"), world.queued("low")) == (PLAIN, ["a2"])


def test_a_key_of_another_type_in_place_of_a_list_loses_nothing(world: World) -> None:
    ticket = world.run("a1", "A")
    world.park("a2", "A")
    world.redis.set("high", "foreign")
    assert world.finish(ticket, "A", take="lists", lists=world.lists("high")).taken is None
    assert world.queued() == ["a2"]


def test_own_hands_the_successor_over_without_a_broker(world: World) -> None:
    ticket = world.run("a", "A")
    world.park("b", "B")
    world.park("a2", "A")
    done = world.finish(ticket, "A", take="own")
    taken = ticket_of(done.taken or b"")
    assert taken.id == "a2" and done.fence > ticket.fence
    assert world.queued() == ["b"], "no ticket of it went out"
    assert world.gate.lease(taken) is not None
    assert not world.begin(taken), "it is begun already"
    world.finish(taken, "A")
    assert world.depth("A") == 0


def test_own_of_an_empty_group_takes_nothing(world: World) -> None:
    ticket = world.run("a", "A")
    world.park("b", "B")
    assert world.finish(ticket, "A", take="own").taken is None
    assert world.queued() == ["b"]


def test_the_same_finish_again_gives_the_same_answer(world: World) -> None:
    ticket = world.run("a", "A")
    world.park("b", "B")
    call = world.finishing(ticket, "A", take="lists", lists=world.lists("q"))
    first = world.gate.finish(call)
    world.park("c", "C")
    assert world.gate.finish(call) == first, "the same task, not the next one"
    assert world.queued() == ["c"]
    assert world.stat("runs_finished") == 1


def test_the_same_finish_again_takes_nothing_that_was_lost_meanwhile(world: World) -> None:
    world.idle_sweeps(TTL_MS + 1000)
    ticket = world.run("a", "A")
    world.park("b", "B")
    call = world.finishing(ticket, "A", take="lists", lists=world.lists("q"))
    taken = ticket_of(world.gate.finish(call).taken or b"")
    world.idle_sweeps(TTL_MS + 1000)
    again = world.gate.finish(call)
    assert (again.stale, again.taken) == (False, None), "its lease was reclaimed"
    assert world.queued() == ["b"]
    assert world.receive().release > taken.release


def test_a_repeated_finish_that_lost_what_it_took_ends_the_chain(world: World) -> None:
    ticket = world.run("a", "A")
    world.park("b", "B")
    call = world.finishing(ticket, "A", take="lists", lists=world.lists("q"))
    taken = ticket_of(world.gate.finish(call).taken or b"")
    world.gate.surrender([(taken, True)])
    assert world.gate.finish(call).taken is None


def test_the_calls_of_a_silent_worker_are_remembered_for_a_few_leases(world: World) -> None:
    calls, keep = world.keys.runs(quote("w1")), CALLS_KEEP * TTL_MS
    world.finish(world.run("a"))
    assert world.redis.pttl(calls) == -1, "what it has is found there, however long Redis was away"
    world.idle_sweeps(TTL_MS + 1000)
    assert keep - 5000 < world.redis.pttl(calls) <= keep


def test_a_worker_that_is_silent_for_long_loses_no_run_of_a_group(world: World) -> None:
    """Redis stands still while the worker dies: meanwhile keys expire, and nobody takes back its heads."""
    world.run("a")
    world.redis.pexpire(world.keys.pulse, 1)  # as if no worker had swept for ever
    assert world.redis.pttl(world.keys.runs(quote("w1"))) == -1
    world.idle_sweeps(2 * TTL_MS + 1000)
    assert world.queued() == ["a"]


def test_the_calls_of_a_failed_run_are_remembered_no_longer(world: World) -> None:
    world.fail(world.run("a"))
    assert world.redis.pttl(world.keys.runs(quote("w1"))) == -1
    world.idle_sweeps(TTL_MS + 1000)
    assert 0 < world.redis.pttl(world.keys.runs(quote("w1"))) <= CALLS_KEEP * TTL_MS
