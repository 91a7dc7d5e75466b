"""verify: each invariant that is broken by hand is named, and repaired without losing a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest

from celery_groupfifo import Groups
from celery_groupfifo.gate.evaluator import Ahead
from celery_groupfifo.groups import verify
from tests.gate.support import TTL_MS, World, ticket_of
from tests.groups.scripted import crowd

Break = Callable[[World], object]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "PAUSE", 0)


def three(world: World) -> None:
    """A runs, b and c wait."""
    world.run("a")
    world.park("b")
    world.park("c")


def held(world: World) -> None:
    ticket = world.run("a")
    world.hold(ticket, 60_000)
    world.park("b")


def two_groups(world: World) -> None:
    """The first runs, b is released, and behind a stands c."""
    world.run("a")
    world.park("b", "other")
    world.park("c")


def held_and_another(world: World) -> None:
    held(world)
    world.park("z", "other")


def both_run(world: World) -> None:
    world.run("a")
    world.run("b", "other")
    world.park("c")


def nothing(world: World) -> None:
    """The gate was used, and holds no task."""
    world.finish(world.run("a"))


def test_all_is_well_in_every_state(world: World, groups: Groups) -> None:
    three(world)
    world.park("released", "R")
    world.park("later", "L", delay=1000)
    ticket = world.run("h", "H", "q2")
    world.hold(ticket, 60_000, "H", "q2")
    for key in ("P", "D"):
        world.park(f"{key}1", key)
        world.park(f"{key}2", key)
    groups.pause("P")
    groups.drain("D")
    world.gate.revoke("D2")
    world.gate.store.mark_unsent(world.keys, "D1")
    assert groups.verify() == []


@pytest.mark.parametrize(("size", "most"), [(4000, 2), (0, 40)], ids=["long", "short"])
def test_long_messages_are_read_a_few_at_a_time(
    world: World, groups: Groups, monkeypatch: pytest.MonkeyPatch, size: int, most: int
) -> None:
    """Their length is not known before the first ones were read."""
    monkeypatch.setattr(verify, "BYTES", 10_000 if size else 1_000_000)
    monkeypatch.setattr(verify, "CENSUS", 40)
    for n in range(200):
        world.park(f"t{n}", body="x" * size)
    limits = []
    send = Ahead.send

    def noted(self: Ahead, name: str, keys: Sequence[str], args: Sequence[Any]) -> None:
        limits.extend(args[3:] if name == "census" else ())
        send(self, name, keys, args)

    monkeypatch.setattr(Ahead, "send", noted)
    assert groups.verify() == []
    assert limits[0] == 10 and max(limits[1:]) == most and min(limits) >= 1
    assert all(after <= 2 * before for before, after in pairwise(limits)), "some of them may be longer"


def test_a_line_of_many_parts_is_read_to_its_end(world: World, groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "CHUNK", 10)
    monkeypatch.setattr(verify, "PLACES", 15)
    for n in range(35):
        world.park(f"t{n}", "long")
        world.park(f"u{n}", f"g{n // 5}")
    assert groups.verify() == []
    world.redis.rpop(world.keys.line("long"))
    world.redis.rpop(world.keys.line("g6"))
    found = {(breach.name, breach.key, breach.task_id) for breach in groups.verify()}
    assert found == {("orphan", "long", "t34"), ("orphan", "g6", "u34")}


def test_an_entry_in_the_line_of_another_group_is_an_orphan(world: World, groups: Groups) -> None:
    three(world)
    world.park("x", "other")
    line = world.keys.line
    world.redis.rpush(line("other"), world.redis.rpop(line("g")))
    assert [(found.name, found.task_id) for found in groups.verify()] == [("orphan", "c")]


def end_by_hand(world: World, id: str) -> None:
    """A run is over, and nobody lets the group go on."""
    world.redis.hdel(world.keys.entries, id)
    world.redis.hdel(world.keys.flight, id)
    world.redis.hdel(world.keys.group("g"), f"f {id}")
    world.redis.zrem(world.keys.due, f"l {id}")
    world.redis.zincrby(world.keys.depth, -1, "g")


CASES: dict[str, tuple[Callable[[World], None], Break, str]] = {
    "depth": (three, lambda w: w.redis.zadd(w.keys.depth, {"g": 9}), "Its depth is 9, but it has 3 entries."),
    "depth of nothing": (
        three,
        lambda w: w.redis.zadd(w.keys.depth, {"no": 2}),
        "Its depth is 2, but it has 0 entries.",
    ),
    "depth lost": (three, lambda w: w.redis.delete(w.keys.depth), "Its depth is 0, but it has 3 entries."),
    "orphan": (
        three,
        lambda w: w.redis.lrem(w.keys.line("g"), 0, w.redis.lindex(w.keys.line("g"), 0)),
        "no line",
    ),
    "orphan after its eta": (
        lambda w: w.park("a", delay=1000) and None,
        lambda w: w.redis.zrem(w.keys.due, "e g a"),
        "It stands in no line and has no ETA.",
    ),
    "stuck": (three, lambda w: end_by_hand(w, "a"), "Tasks stand in its line, and nothing of it is under way."),
    "lease": (three, lambda w: w.redis.zrem(w.keys.due, "l a"), "It runs without a lease that ends."),
    "ticket": (lambda w: w.park("a") and None, lambda w: w.redis.delete(w.keys.on_the_way), "its ticket is not known"),
    "hold": (held, lambda w: w.redis.zrem(w.keys.due, "h a"), "It is held without a time at which it goes out."),
    "unlinked": (three, lambda w: w.redis.hdel(w.keys.group("g"), "f a"), "its group does not name it"),
    "dangling": (
        three,
        lambda w: w.redis.hset(w.keys.group("g"), "f z", 1),
        "Its group names it as under way, but it is not.",
    ),
    "stop": (
        three,
        lambda w: w.redis.hset(w.keys.flight, "a", w.redis.hget(w.keys.flight, "a").replace(b" - - g", b" - p g")),
        "It is stopped by a pause, but its group is not paused.",
    ),
    "concurrency": (two_groups, lambda w: crowd(w, "b", "other"), "It is one of 2 under way."),
    "crowd of held ones": (held_and_another, lambda w: crowd(w, "z", "other"), "It is one of 2 under way."),
    "crowd that runs": (both_run, lambda w: crowd(w, "b", "other"), "It runs, and the group goes on when all have"),
    "flag": (nothing, lambda w: w.redis.hset(w.keys.group("g"), "draining", "{}"), "It is draining, and holds no task"),
    "flag of a block": (nothing, lambda w: w.redis.hset(w.keys.group("g"), "blocked", "{}"), "It is blocked, and"),
    "places": (nothing, lambda w: w.redis.rpush(w.keys.line("g"), *["1 z"] * 250), "Its line holds places of"),
    "pause of nothing": (nothing, lambda w: w.redis.hset(w.keys.group("g"), "paused", "{}"), "paused, but not listed"),
    "paused_list": (three, lambda w: w.redis.zadd(w.keys.paused, {"g": 1}), "listed as paused, but is not"),
    "record": (three, lambda w: w.redis.hset(w.keys.flight, "z", "nonsense"), "its message is gone"),
    "unreadable record": (three, lambda w: w.redis.hset(w.keys.flight, "a", "nonsense"), "its record can't be read"),
    "record with a word for a number": (
        three,
        lambda w: w.redis.hset(w.keys.flight, "a", b"running 6 x 0 1800 w1 - - - g q"),
        "its record can't be read",
    ),
    "record without a time": (
        three,
        lambda w: w.redis.hset(w.keys.flight, "a", b"running 6 7 0 x w1 - - - g q"),
        "its record can't be read",
    ),
    "message": (held, lambda w: w.redis.hdel(w.keys.entries, "a"), "its message is gone"),
}


def finish_all(world: World) -> list[str]:
    """A living fleet: sweeps, releases again, and runs whatever comes until nothing is left."""
    order, quiet = [], 0
    world.redis.delete(world.keys.pulse)
    while quiet < 2 * TTL_MS // 1000 + 5:
        world.sweep(world.lists("q"))
        world.rerelease()
        quiet += 1
        while message := world.pop():
            ticket = ticket_of(message)
            if world.begin(ticket):
                order.append(ticket.id)
                world.finish(ticket)
                quiet = 0
        world.tick(1000)
    return order


@pytest.mark.parametrize("name", CASES)
def test_a_breach_is_named_and_repaired(world: World, groups: Groups, name: str) -> None:
    prepare, damage, what = CASES[name]
    prepare(world)
    entries = {id.decode() for id in world.redis.hkeys(world.keys.entries)}
    damage(world)
    if name == "stuck":
        entries.remove("a")
    found = groups.verify()
    assert any(what in breach.what for breach in found), found
    assert not any(breach.repaired for breach in found)
    repaired = groups.verify(repair=True)
    assert all(breach.repaired == bool(breach.repair) for breach in repaired)
    if name in ("stop", "pause of nothing"):
        groups.resume("g")
    order = finish_all(world)
    dead = {known[1] for known, _ in world.dead()}
    assert set(order) | dead == entries, "no task is lost"
    assert groups.verify() == []
    assert world.residue() == {}


def test_a_recalled_entry_runs_next(world: World, groups: Groups) -> None:
    two_groups(world)
    crowd(world, "b", "other")
    (found,) = groups.verify(repair=True)
    assert (found.name, found.task_id, found.repaired) == ("concurrency", "b", True)
    assert not world.begin(world.receive()), "its ticket counts no more"
    assert world.waiting() == ["b", "c"]


def test_an_entry_that_begins_before_it_is_recalled_runs_on(world: World, groups: Groups) -> None:
    """Timeline: verify has looked three times, the ticket is begun, and only then the repair comes."""
    two_groups(world)
    crowd(world, "b", "other")
    run = world.gate.store.run

    def begin_in_between(name: str, *args: object) -> object:
        if name == "recall":
            assert world.begin(world.receive())
        return run(name, *args)  # type: ignore[arg-type]

    world.gate.store.run = begin_in_between  # type: ignore[method-assign, assignment]
    groups.verify(repair=True)
    assert [breach.name for breach in groups.verify()] == ["concurrency"]
    assert not any(breach.repair for breach in groups.verify())


def test_a_pause_and_the_places_under_it_last(world: World, groups: Groups) -> None:
    groups.pause("g")
    world.park("a")
    world.gate.revoke("a")
    assert groups.verify() == []


def test_what_cannot_be_read_is_named(world: World, groups: Groups) -> None:
    three(world)
    world.redis.hset(world.keys.entries, "b", "garbage")
    found = groups.verify()
    assert [(breach.name, breach.task_id, breach.repair) for breach in found if breach.task_id] == [
        ("unreadable", "b", "")
    ]


def test_many_entries_and_partitions_are_walked(world: World, groups: Groups) -> None:
    for n in range(1500):
        world.park(f"t{n}", f"g{n % 7}")
    assert groups.verify() == []
    world.redis.hdel(world.keys.flight, "t3")
    assert {breach.name for breach in groups.verify()} == {"dangling", "orphan"}
