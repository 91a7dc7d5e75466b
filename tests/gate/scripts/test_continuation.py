"""finish with a continuation: a run goes on later, at the head of its group, and nothing comes between."""

from __future__ import annotations

import json

from celery_groupfifo.gate.keys import quote
from tests.support.world import TTL_MS, World


def test_the_group_waits_out_the_countdown(world: World) -> None:
    ticket = world.run("a")
    world.park("b")
    assert world.hold(ticket, 5000).due == 5
    assert (world.queued(), world.waiting(), world.depth()) == ([], ["b"], 2)
    world.tick(4999)
    assert world.sweep(world.lists("q")).next_due == 0.001
    assert world.queued() == []
    world.tick(1)
    world.sweep(world.lists("q"))
    again = world.receive()
    begun = world.begin(again)
    assert again.id == "a" and begun is not None and begun.fence > ticket.fence
    world.finish(again)
    assert world.queued() == ["b"]


def test_a_continuation_without_a_delay_goes_out_with_the_finish(world: World) -> None:
    ticket = world.run("a")
    world.park("b")
    assert world.hold(ticket, 0).due == 0
    assert world.queued() == ["a"]


def test_the_continuation_is_a_new_message_and_may_go_elsewhere(world: World) -> None:
    world.hold(world.run("a", queue="q1"), 0, queue="q2", body="second")
    payload = json.loads(world.pop("q2") or b"")
    assert payload["body"] == "second"
    assert world.redis.llen("q1") == 0


def test_it_keeps_the_time_it_was_parked(world: World) -> None:
    ticket = world.run("a")
    world.tick(7000)
    world.hold(ticket, 0)
    assert world.receive().parked_us == ticket.parked_us


def test_the_worker_leaves_with_its_next_task(world: World) -> None:
    ticket = world.run("a", "A")
    world.park("b", "B")
    done = world.hold(ticket, 5000, "A", take="lists", lists=world.lists("q"))
    assert done.due == 5
    assert b'"id": "b"' in (done.taken or b"")


def test_a_run_that_lost_its_lease_stores_nothing(world: World) -> None:
    old = world.run("a", queue="q")
    world.gate.surrender([(old, True)])
    assert world.hold(old, 1000, body="zombie").stale
    new = world.receive()
    world.begin(new)
    done = world.hold(old, 1000, body="zombie")
    assert done.stale and done.due is None
    assert world.finish(new).due is None
    assert world.residue() == {}


def test_the_same_finish_again_gives_the_same_answer_and_stores_nothing_more(world: World) -> None:
    for delay in (5000, 0):
        call = world.holding(world.run("a"), delay, lists=world.lists("q"))
        first = world.gate.finish(call)
        assert first.due == delay / 1000
        assert world.gate.finish(call) == first
        assert world.stat("tasks_held") == world.stat("runs_finished")
        assert world.depth() == 1
        world.gate.revoke("a")
        world.redis.delete("q")


def test_repeated_later_it_says_how_long_is_left(world: World) -> None:
    call = world.holding(world.run("a"), 5000)
    world.gate.finish(call)
    for left in (3.0, 1.0, 0.0, 0.0):
        world.tick(2000)
        assert world.gate.finish(call).due == left


def test_a_worker_lost_before_its_finish_runs_the_task_again(world: World) -> None:
    """Nothing of the continuation is at the gate: the task itself goes out once more."""
    world.run("a")
    world.idle_sweeps(TTL_MS + 1000)
    assert world.receive().lost == 1


def test_a_held_entry_can_be_neither_begun_nor_finished(world: World) -> None:
    ticket = world.run("a")
    world.hold(ticket, 5000)
    assert not world.begin(ticket)
    assert world.finish(ticket).stale
    assert world.depth() == 1


# -- stored before the finish: the task has been replaced, and a task of the same group goes on under its id --


def test_nothing_goes_out_while_the_original_runs(world: World) -> None:
    ticket = world.run("a")
    world.replace("a", delay=100)
    for _ in range(20):
        world.tick(1000)
        world.gate.renew(quote("w1"), [ticket])
        world.sweep(world.lists("q"))
    assert world.queued() == []
    assert world.finish(ticket).due == 0
    assert world.queued() == ["a"]


def test_a_worker_lost_between_replacement_and_finish_loses_no_replacement(world: World) -> None:
    world.run("a")
    world.replace("a", delay=60_000, body="second")
    world.idle_sweeps(2 * TTL_MS + 1000)
    world.sweep(world.lists("q"))
    message = json.loads(world.pop() or b"")
    assert message["body"] == "second"
    assert message["headers"]["groupfifo"].split(" ")[3] == "1", "a worker was lost with it"


def test_a_surrendered_run_with_a_replacement_waits_for_its_due_time(world: World) -> None:
    ticket = world.run("a")
    world.replace("a", delay=5000)
    world.gate.surrender([(ticket, False)])
    assert world.queued() == []
    world.tick(5000)
    world.sweep(world.lists("q"))
    assert world.queued() == ["a"]


def test_what_comes_with_the_finish_wins_over_a_replacement(world: World) -> None:
    ticket = world.run("a")
    world.replace("a", delay=60_000, body="replaced")
    assert world.hold(ticket, 0, body="retried").due == 0
    assert json.loads(world.pop() or b"")["body"] == "retried"
