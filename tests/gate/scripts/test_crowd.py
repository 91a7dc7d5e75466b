"""Crowds that come due at once: a queue that is served gets only so much of one at a time."""

from __future__ import annotations

import pytest

from tests.support.world import TTL_MS, World

ROOM = 200
SOON, LATER = 20, 250


def begin_one(world: World, queue: str = "q") -> None:
    """From now on the queue is served."""
    world.finish(world.run(f"first-{queue}", f"first-{queue}", queue), f"first-{queue}")


def park_crowd(world: World, count: int = 500, queue: str = "q", delay: int = 1000) -> None:
    """ETAs of as many groups."""
    for n in range(count):
        world.park(f"{queue}{n}", f"g{queue}{n}", queue, delay=delay)


def sweep_all(world: World, *queues: str) -> float | None:
    """Sweep on while something is due that finds room, at one time. Returns when the next sweep is wanted."""
    due: float | None = 0
    turned_away = False
    for _ in range(20):
        due = world.sweep(world.lists(*queues or ("q",))).next_due
        turned_away = turned_away or due == 0.02
        if due != 0 and (due is None or due > 0.02):
            break
    return 0.02 if turned_away else due


def test_a_served_queue_gets_only_so_much_of_a_crowd(world: World) -> None:
    begin_one(world)
    park_crowd(world)
    world.tick(1000)
    assert sweep_all(world) == 0.02, "the next sweep comes soon, not at once"
    assert world.redis.llen("q") == ROOM
    world.park("light", "light")
    assert world.queued().index("light") == ROOM


def test_a_crowd_comes_in_as_room_is_made(world: World) -> None:
    begin_one(world)
    park_crowd(world)
    world.tick(1000)
    ran: list[str] = []
    while len(ran) < 500:
        sweep_all(world)
        assert 0 < world.redis.llen("q") <= ROOM
        for _ in range(min(150, world.redis.llen("q"))):
            ticket = world.receive()
            assert world.begin(ticket)
            world.finish(ticket, f"g{ticket.id}")
            ran.append(ticket.id)
        world.tick(LATER)
    assert sorted(ran) == sorted(f"q{n}" for n in range(500))
    world.sweep()
    assert world.residue().keys() <= {world.keys.groups, world.keys.due} and world.depth("gq0") == 0


def test_etas_of_one_group_keep_their_order_in_a_crowd(world: World) -> None:
    begin_one(world)
    world.park("b", "late", delay=1002)
    world.park("a", "late", delay=1001)
    park_crowd(world, ROOM)
    world.tick(1000)
    sweep_all(world)
    assert world.redis.llen("q") == ROOM
    world.tick(1)
    sweep_all(world)
    assert world.waiting("late") == ["a"], "it found no room"
    assert world.begin(world.receive()), "which makes room"
    world.tick(SOON)
    sweep_all(world)
    assert world.queued()[-1] == "a", "the first of its line finds it"
    assert world.waiting("late") == ["b"]


@pytest.mark.parametrize("served", ["never", "long ago"])
def test_a_queue_that_nobody_serves_takes_all(world: World, served: str) -> None:
    """Somebody must find the tickets at once when its workers are back; and nobody waits behind them."""
    if served == "long ago":
        begin_one(world)
        world.tick(60_000)
    park_crowd(world)
    world.tick(1000)
    sweep_all(world, "other")
    assert world.redis.llen("q") == 500


def test_a_queue_that_the_sweeping_worker_consumes_is_served(world: World) -> None:
    """Also before its first begin: a worker that has just started has a crowd to sweep."""
    park_crowd(world)
    world.tick(1000)
    sweep_all(world)
    assert world.redis.llen("q") == ROOM


def test_a_full_queue_keeps_nothing_from_another(world: World) -> None:
    begin_one(world, "q")
    begin_one(world, "other")
    park_crowd(world, 300, "q", delay=900)
    park_crowd(world, 100, "other")
    world.tick(1000)
    sweep_all(world, "q", "other")
    assert (world.redis.llen("q"), world.redis.llen("other")) == (ROOM, 100)


def crowded_queue(world: World, crowd: int) -> None:
    """It is served, and full, and its crowd has joined its lines."""
    begin_one(world)
    park_crowd(world, crowd)
    world.tick(1000)
    for _ in range(crowd // 100 + 2):
        world.sweep(world.lists("q"))
    assert world.redis.llen("q") == ROOM


def test_a_crowd_that_waits_delays_nobody(world: World) -> None:
    begin_one(world, "other")
    crowded_queue(world, 1500)
    world.park("o", "O", "other", delay=5)
    world.hold(world.run("r", "R", "other"), 5, "R", "other")
    world.tick(5)
    world.sweep(world.lists("q", "other"))
    assert sorted(world.queued("other")) == ["o", "r"]


def test_a_crowd_that_waits_costs_next_to_nothing(world: World) -> None:
    crowded_queue(world, 600)
    world.tick(SOON)
    looks = []
    for _ in range(8):
        before = int(world.redis.info("stats")["total_commands_processed"])
        due = world.sweep(world.lists("q")).next_due
        looks.append(int(world.redis.info("stats")["total_commands_processed"]) - before)
        assert due is not None and due >= LATER / 1000 - 0.001
        world.tick(LATER)
    assert max(looks) < 30, looks


def test_who_left_the_crowd_in_another_way_counts_no_more(world: World) -> None:
    """Its row stays until its turn, and then brings nothing in: not even what has its name by then."""
    begin_one(world)
    ran = world.run("again", "again")
    for n in range(ROOM):
        world.park(f"full{n}", f"full{n}")
    world.hold(ran, 10, "again")
    world.tick(10)
    assert sweep_all(world) == 0.02
    assert world.redis.zcard(world.keys.crowd) == 1
    assert world.gate.revoke("again") and world.park("again", "again")
    for _ in range(ROOM):
        ticket = world.receive()
        assert world.begin(ticket)
        world.finish(ticket, ticket.id)
    ticket = world.receive()
    assert world.begin(ticket)
    world.hold(ticket, 10_000, "again")
    world.tick(LATER)
    world.sweep(world.lists("q"))
    assert world.queued() == [] and not world.redis.exists(world.keys.crowd)
    world.tick(10_000)
    world.sweep(world.lists("q"))
    assert world.queued() == ["again"]


def test_retries_that_come_due_at_once_are_a_crowd(world: World) -> None:
    for n in range(350):
        world.hold(world.run(f"t{n}", f"g{n}"), 1000, f"g{n}")
    world.tick(1000)
    assert sweep_all(world) == 0.02
    assert world.redis.llen("q") == ROOM
    held = {f"t{n}" for n in range(350)} - set(world.queued())
    for _ in range(ROOM):
        ticket = world.receive()
        assert world.begin(ticket)
        world.finish(ticket, f"g{ticket.id[1:]}")
    world.tick(LATER)
    sweep_all(world)
    assert set(world.queued()) == held


def test_what_a_lost_worker_had_waits_for_no_room(world: World) -> None:
    world.idle_sweeps(TTL_MS)
    world.run("lost", "L")
    park_crowd(world, 300, delay=TTL_MS)
    world.idle_sweeps(TTL_MS)
    sweep_all(world)
    assert world.redis.llen("q") >= ROOM
    assert world.queued()[0] == "lost"


def test_what_is_parked_waits_for_no_room(world: World) -> None:
    """A sender, and a worker that takes the next one, need not ask."""
    begin_one(world)
    for n in range(ROOM + 1):
        world.park(f"t{n}", f"g{n}")
    assert world.redis.llen("q") == ROOM + 1
    park_crowd(world, 10)
    world.tick(1000)
    sweep_all(world)
    assert world.redis.llen("q") == ROOM + 1
    assert world.park("late", "gq0"), "a group that waits for room goes on with a new task"
    assert world.queued()[-1] == "q0" and world.waiting("gq0") == ["late"]
