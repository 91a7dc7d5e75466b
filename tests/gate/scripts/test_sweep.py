"""sweep and surrender: lost workers' heads are taken back, and what is due goes on."""

from __future__ import annotations

import pytest

from celery_groupfifo.gate.keys import CLAIM_MS, quote
from celery_groupfifo.gate.recovery import GRACE_MS
from tests.support.world import TTL_MS, World


def test_a_dead_workers_head_goes_out_again_with_a_new_fence(world: World) -> None:
    ticket = world.run("a")
    world.park("b")
    world.idle_sweeps(TTL_MS + 1000)
    assert world.sweep(world.lists("q")).reclaimed == 0, "a sweep before it did"
    again = world.receive()
    assert (again.id, again.lost) == ("a", 1)
    assert world.waiting() == ["b"]
    assert world.stat("tasks_reclaimed") == 1
    assert world.gate.renew(quote("w1"), [ticket]) == [ticket], "the old owner is told"
    begun = world.begin(again)
    assert begun is not None and begun.fence > ticket.fence


def test_a_dead_workers_head_does_not_wait_behind_a_backlog(world: World) -> None:
    """It has had its turn: its ticket goes to the front of the list. And that tells nothing of those behind it."""
    world.idle_sweeps(TTL_MS)
    world.run("lost", "L")
    for n in range(50):
        world.park(f"t{n}", f"g{n}")
    world.idle_sweeps(TTL_MS)
    world.sweep(world.lists("q"))
    again = world.receive()
    assert again.id == "lost" and world.begin(again)
    world.tick(GRACE_MS + 1)
    assert world.rerelease() == 0, "what it has passed is not overtaken"
    world.gate.surrender([(again, True)], world.lists("q"))
    assert world.queued()[:2] == ["lost", "t0"], "also when only its process was lost"


def test_recovery_takes_no_longer_than_a_lease_and_a_sweep(world: World) -> None:
    world.idle_sweeps(TTL_MS * 2)
    world.run("a")
    waited = 0
    while not world.redis.llen("q"):
        world.sweep(world.lists("q"))
        world.tick(1000)
        waited += 1000
        assert waited <= TTL_MS + 2000
    assert waited >= TTL_MS


def test_a_living_worker_is_never_reclaimed(world: World) -> None:
    ticket = world.run("a")
    for _ in range(30):
        world.tick(TTL_MS // 3)
        assert world.gate.renew(quote("w1"), [ticket]) == []
        assert world.sweep(world.lists("q")).reclaimed == 0
    assert world.gate.lease(ticket) is not None


def test_after_a_time_without_sweeps_every_owner_renews_first(world: World) -> None:
    world.idle_sweeps(TTL_MS * 2)
    alive, dead = world.run("a", "A"), world.run("b", "B")
    world.tick(TTL_MS * 10)  # Redis was away
    assert world.sweep(world.lists("q")).reclaimed == 0
    assert world.gate.renew(quote("w1"), [alive]) == []
    for _ in range(TTL_MS // 1000):
        world.gate.renew(quote("w1"), [alive])
        world.sweep(world.lists("q"))
        world.tick(1000)
    world.sweep(world.lists("q"))
    assert world.queued() == ["b"], "the one that did not is lost a lease later"
    assert world.gate.lease(dead) is None


def test_the_first_sweep_ever_reclaims_nothing(world: World) -> None:
    world.run("a")
    world.tick(TTL_MS + 1)
    assert world.sweep().reclaimed == 0


def test_losses_add_up(world: World) -> None:
    world.park("a")
    for lost in range(4):
        ticket = world.receive()
        assert ticket.lost == lost
        world.begin(ticket)
        world.idle_sweeps(TTL_MS * 2)


def test_the_sweep_says_when_something_is_due_next(world: World) -> None:
    assert world.sweep().next_due is None
    world.park("a", delay=2500)
    assert world.sweep().next_due == 2.5
    world.tick(2000)
    assert world.sweep().next_due == 0.5


def test_a_batch_is_bounded_and_the_next_sweep_follows_at_once(world: World) -> None:
    for n in range(250):
        world.park(f"t{n}", f"g{n}", delay=1000)
    world.tick(1000)
    moved = []
    for _ in range(3):
        swept = world.sweep(world.lists("other"))
        moved.append(world.redis.llen("q"))
        if len(moved) < 3:
            assert swept.next_due == 0
    assert moved == [100, 200, 250]


def test_a_named_entry_that_its_sweeper_forgot_is_named_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.park("a", delay=1000)
    world.tick(1000)
    with monkeypatch.context() as patch:
        patch.setattr(world.gate, "_advance", lambda *_: -1)
        assert world.sweep().named == [("e g a", quote("g"))]
        assert world.sweep().named == [], "it is left to the first one"
    world.tick(CLAIM_MS)
    world.sweep()
    assert world.queued() == ["a"]


def test_two_sweepers_move_an_entry_once(world: World) -> None:
    world.park("a", delay=1000)
    world.park("b", delay=1000)
    world.tick(1000)
    world.sweep()
    world.gate._advance(world.keys, [("e g a", quote("g"))], world.lists("q"))
    assert (world.queued(), world.waiting(), world.depth()) == (["a"], ["b"], 2)


def test_a_surrendered_head_goes_out_at_once_before_its_successors(world: World) -> None:
    ticket = world.run("a")
    world.park("b")
    world.gate.surrender([(ticket, False)], world.lists("q"))
    again = world.receive()
    assert (again.id, again.lost) == ("a", 0) and again.release > ticket.release
    assert world.waiting() == ["b"]


def test_a_surrender_with_a_lost_worker_counts_it(world: World) -> None:
    ticket = world.run("a")
    world.gate.surrender([(ticket, True)])
    assert world.receive().lost == 1


def test_a_surrender_gives_back_only_what_is_held(world: World) -> None:
    mine, old = world.run("a", "A"), world.run("b", "B")
    world.gate.surrender([(old, False)])
    new = world.receive()
    world.begin(new, "w2")
    world.gate.surrender([(mine, False), (old, False), (mine, False)], world.lists("q"))
    assert world.queued() == ["a"]
    assert world.gate.lease(new) is not None


def test_more_than_a_batch_is_surrendered(world: World) -> None:
    runs = [world.run(f"t{n}", f"g{n}") for n in range(230)]
    world.gate.surrender([(run, False) for run in runs], world.lists("q"))
    assert world.queued() == [f"t{n}" for n in range(230)]


def test_runs_may_come_from_a_generator(world: World) -> None:
    run = world.run("a")
    world.gate.surrender((each, False) for each in [run])
    assert world.queued() == ["a"]


def test_an_old_and_a_new_run_of_one_task_on_one_worker_are_told_apart(world: World) -> None:
    old = world.run("a")
    world.gate.surrender([(old, False)])
    new = world.receive()
    assert world.begin(new)
    assert world.gate.renew(quote("w1"), [new, old]) == [old]
    assert world.gate.renew(quote("w1"), [old, new]) == [old]
