"""revoke: an entry that does not run yet is taken out, and its group goes on."""

from __future__ import annotations

import pytest

from celery_groupfifo import Groups
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Ticket
from tests.support.world import World


def test_a_parked_entry_never_starts(world: World) -> None:
    ticket = world.run("a")
    for id in ("b", "c"):
        world.park(id)
    assert world.gate.revoke("b")
    assert (world.waiting(), world.depth()) == (["c"], 2)
    world.finish(ticket)
    assert world.queued() == ["c"]


def test_a_released_head_gives_way_to_the_next(world: World) -> None:
    world.park("a")
    world.park("b")
    ticket = world.receive()
    assert world.gate.revoke("a")
    assert not world.begin(ticket), "its ticket is stale"
    assert world.queued() == ["b"]
    assert world.depth() == 1


def test_a_held_head_gives_way_to_the_next(world: World) -> None:
    ticket = world.run("a")
    world.park("b")
    world.hold(ticket, 60_000)
    assert world.gate.revoke("a")
    assert world.queued() == ["b"]
    assert world.redis.zrange(world.keys.due, 0, -1) == [b"w w1"], "the worker's lease"


def test_a_delayed_entry_never_joins(world: World) -> None:
    world.park("a", delay=1000)
    assert world.gate.revoke("a")
    world.tick(1000)
    world.sweep()
    assert world.queued() == []
    assert world.residue() == {}


def test_a_running_entry_is_celerys_to_revoke(world: World) -> None:
    ticket = world.run("a")
    assert not world.gate.revoke("a")
    assert not world.finish(ticket).stale


def test_unknown_and_ended_ids_are_no_error(world: World) -> None:
    world.finish(world.run("a"))
    assert not world.gate.revoke("a")
    assert not world.gate.revoke("never seen")


def test_revoking_all_leaves_nothing_behind(world: World) -> None:
    ids = [f"t{n}" for n in range(10)]
    for id in ids:
        world.park(id)
    for id in reversed(ids):
        assert world.gate.revoke(id)
    assert world.residue() == {}


def test_a_revoked_id_that_is_parked_again_takes_its_new_place(world: World) -> None:
    ticket = world.run("a")
    for id in ("b", "c"):
        world.park(id)
    world.gate.revoke("b")
    world.tick(1)
    assert world.park("b")
    assert world.waiting() == ["c", "b"]
    order = []
    for _ in range(2):
        world.finish(ticket)
        ticket = world.receive()
        world.begin(ticket)
        order.append(ticket.id)
    world.finish(ticket)
    assert order == ["c", "b"]
    assert world.residue() == {}


def line_of(world: World) -> tuple[int, int]:
    """Return the number of places in line, and how many of them are empty."""
    return world.redis.llen(world.keys.line(quote("g"))), world.group("g").empty


def test_places_at_the_front_of_a_line_go_at_once(world: World) -> None:
    ticket = world.run("first")
    for n in range(6):
        world.park(f"t{n}")
    left = []
    for n in (0, 1, 3, 4, 2):
        world.gate.revoke(f"t{n}")
        left.append(line_of(world))
    assert left == [(5, 0), (4, 0), (4, 1), (4, 2), (1, 0)]
    world.finish(ticket)
    assert world.queued() == ["t5"]


def test_an_old_place_of_a_task_that_was_parked_again_goes(world: World) -> None:
    world.run("first")
    for id in ("a", "b", "c"):
        world.park(id)
    world.gate.revoke("b")
    world.tick(1)
    world.park("b")
    world.gate.revoke("a")
    assert line_of(world) == (2, 0) and world.waiting() == ["c", "b"]


@pytest.mark.parametrize("paused", [False, True])
def test_the_rest_of_a_long_row_of_empty_places_goes_with_the_sweep(world: World, paused: bool) -> None:
    ticket = world.run("first")
    if paused:
        Groups(world.app, world.gate).pause("g")
    for n in range(1300):
        world.park(f"t{n}")
    world.park("last")
    for n in reversed(range(1300)):
        world.gate.revoke(f"t{n}")
    assert line_of(world) == (801, 800), "one call takes off five hundred at most"
    before = world.redis.info("commandstats")["cmdstat_evalsha"]["calls"]
    while world.sweep(world.lists("q")).next_due == 0:
        pass
    assert line_of(world) == (1, 0) and world.queued() == [], "its head runs, or it is paused"
    assert world.redis.info("commandstats")["cmdstat_evalsha"]["calls"] - before <= 5
    if not paused:
        world.finish(ticket)
        assert world.queued() == ["last"]


def run_before_revoked_ones(world: World, count: int) -> Ticket:
    """Run a task that was in line before so many places of revoked ones."""
    first = world.run("first")
    for n in range(count + 1):
        world.park(f"t{n}")
    for n in range(1, count + 1):
        world.gate.revoke(f"t{n}")
    world.finish(first)
    ticket = world.receive()
    world.begin(ticket)
    assert ticket.id == "t0" and line_of(world) == (count, count)
    return ticket


def test_a_walk_over_many_revoked_ones_goes_on_with_the_sweep(world: World) -> None:
    ticket = run_before_revoked_ones(world, 350)
    world.park("last")
    assert world.depth() == 2
    world.finish(ticket)
    assert world.queued() == [], "one call walks a hundred places at most"
    sweeps = 0
    while not world.redis.llen("q"):
        assert world.sweep(world.lists("q")).next_due == 0 or world.redis.llen("q")
        sweeps += 1
        assert sweeps <= 4
    assert world.queued() == ["last"]


def test_a_group_of_revoked_ones_only_disappears(world: World) -> None:
    world.finish(run_before_revoked_ones(world, 250))
    for _ in range(3):
        world.sweep()
    assert world.residue() == {}


def test_a_park_in_the_middle_of_such_a_walk_loses_nothing(world: World) -> None:
    world.finish(run_before_revoked_ones(world, 150))
    world.park("new")
    assert world.queued() == ["new"]
    world.begin(newest := world.receive())
    world.park("next")
    world.sweep()
    assert world.queued() == [], "the walk does not overtake the one that runs"
    world.finish(newest)
    assert world.queued() == ["next"]
