"""The counts of a gate: what each state of a task adds to them, and what the totals follow from."""

from __future__ import annotations

import pytest

from benchmarks.scenarios.watch import finished_runs
from celery_groupfifo import Groups
from celery_groupfifo.gate import counts
from celery_groupfifo.gate.keys import quote
from tests.support.stored import stored_fields
from tests.support.world import TTL_MS, World


def counted(groups: Groups, *names: str) -> tuple[int, ...]:
    stats = groups.stats()
    assert stats.depth == sum(getattr(stats, name) for name in ("parked", "waiting", "running", "held"))
    return tuple(getattr(stats, name) for name in names)


def test_heads_that_a_flag_stops_are_held(world: World, groups: Groups) -> None:
    world.fail(world.run("a", "blocked"), "blocked")
    world.run("b", "paused while it runs")
    world.park("c", "paused")
    world.park("d", "paused")
    groups.pause("paused")
    groups.pause("paused while it runs")
    groups.pause("empty")
    assert counted(groups, "held", "running", "waiting", "parked") == (2, 1, 0, 1)
    assert counted(groups, "groups", "paused_groups", "blocked_groups") == (3, 3, 1)


def test_heads_that_wait_for_their_time_or_for_room_are_held(
    world: World, groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred heads and two hundred ETAs come due at once in a queue that has room for some of them."""
    tickets = [world.run(f"h{n}", f"held{n}") for n in range(220)]
    for n, ticket in enumerate(tickets):
        world.hold(ticket, 1000, f"held{n}")
    for n in range(220):
        world.park(f"e{n}", f"later{n}", delay=1000)
    assert counted(groups, "held", "parked", "scheduled") == (220, 220, 220)
    world.tick(1001)
    for _ in range(20):
        world.sweep(world.lists("q"))
    waiting, held, parked, scheduled = counted(groups, "waiting", "held", "parked", "scheduled")
    assert 0 < waiting < 440 and scheduled == 0
    released = {row.head for row in groups.list(limit=1000) if row.state == "waiting" and row.queue}
    assert held == sum(f"h{n}" not in released for n in range(220))
    assert parked == sum(f"e{n}" not in released for n in range(220))


def test_runs_of_a_lost_worker_count_until_they_are_taken_back(world: World, groups: Groups) -> None:
    world.run("a", "A")
    world.tick(TTL_MS + 1)
    world.gate.store.client.zrem(world.keys.due, "w w1")
    world.gate.store.client.zadd(world.keys.due, {"v w1": 3e14 + world.now})
    assert counted(groups, "running") == (1,)


def test_lost_workers_are_found_among_many_due_members(
    world: World, groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "AT_ONCE", 5)
    world.run("a", "A")
    world.redis.zrem(world.keys.due, "w w1")
    world.redis.zadd(world.keys.due, {f"a g{n}": 3e14 + world.now for n in range(30)})
    world.redis.zadd(world.keys.due, {"v w1": 3e14 + world.now + 1})
    assert counted(groups, "running") == (1,)


def test_many_flags_and_runs_are_read_in_parts(world: World, groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "AT_ONCE", 5)
    for n in range(600):
        groups.pause(f"empty{n}")
    for n in range(12):
        world.run(f"t{n}", f"g{n}")
    assert counted(groups, "groups", "paused_groups", "running") == (12, 600, 12)


def test_each_total(world: World, groups: Groups) -> None:
    """Four are parked: one ends after a retry, one is revoked, one becomes a dead letter and comes back, one runs."""
    ticket = world.run("a")
    world.hold(ticket, 1000)
    world.tick(1001)
    world.sweep()
    ticket = world.receive()
    assert world.begin(ticket)
    world.finish(ticket)
    world.park("b")
    world.gate.revoke("b")
    world.receive()
    world.fail(world.run("c", "C"), "C", "dead_letter")
    groups.redrive("c")
    world.receive()
    world.run("d", "D")
    totals = groups.stats().totals
    assert (totals.tasks_parked, totals.runs_finished) == (4, 3)
    assert (totals.tasks_held, totals.tasks_revoked, totals.tasks_redriven) == (1, 1, 1)


def test_a_run_counts_for_the_worker_that_has_it(world: World, groups: Groups) -> None:
    """A worker's lane still names a run that another one has by now."""
    world.run("a", "A")
    for lane, said in stored_fields(world.redis.hgetall(world.keys.runs(quote("w1")))).items():
        world.redis.hset(world.keys.runs(quote("w2")), lane, said)
    world.redis.zadd(world.keys.due, {"w w2": world.now + TTL_MS})
    assert counted(groups, "running") == (1,)


def test_the_benchmarks_see_the_ends_of_tasks(world: World) -> None:
    progress = finished_runs(world.redis)
    for number in range(3):
        assert progress() == number
        world.finish(world.run(f"t{number}"))
    assert progress() == 3
