"""An entry that nobody can read goes to the dead letters, and its group goes on."""

from __future__ import annotations

import pytest

from celery_groupfifo import Groups
from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.gate.keys import quote
from tests.support.world import TTL_MS, World

DAMAGE = [b"", b"garbage", b"\x00\xff\n", b"1 g q\nno cut", b"x g q 3\nabc", b"1 g q x\nabc", b"1 g q 3 no newline"]


@pytest.mark.parametrize("text", DAMAGE, ids=repr)
def test_in_the_middle_of_a_group(world: World, text: bytes) -> None:
    ticket = world.run("a")
    for id in ("bad", "c"):
        world.park(id)
    world.redis.hset(world.keys.entries, "bad", text)
    world.finish(ticket)
    assert world.queued() == ["c"]
    assert world.depth() == 1
    (known, kept), *others = world.dead()
    assert (known[:3], kept, others) == (["g", "bad", "corrupt"], text, [])


def test_many_in_a_row(world: World) -> None:
    ticket = world.run("a")
    for n in range(5):
        world.park(f"bad{n}")
        world.redis.hset(world.keys.entries, f"bad{n}", "garbage")
    world.park("last")
    world.finish(ticket)
    assert world.queued() == ["last"]
    assert [known[1] for known, _ in world.dead()] == [f"bad{n}" for n in reversed(range(5))]
    assert world.stat("tasks_dead_lettered") == 5


def test_a_whole_group_leaves_only_dead_letters(world: World) -> None:
    ticket = world.run("a")
    world.park("bad")
    world.redis.hset(world.keys.entries, "bad", "garbage")
    world.finish(ticket)
    assert len(world.dead()) == 1
    assert world.residue() == {}


def sweep_on(world: World, ms: int) -> None:
    for _ in range(0, ms, 1000):
        world.tick(1000)
        world.sweep(world.lists("q"))
        world.rerelease()


@pytest.mark.parametrize("damage", ["corrupt", "missing"])
def test_of_a_running_task_that_must_go_out_again(world: World, damage: str) -> None:
    ticket = world.run("a")
    world.park("b")
    if damage == "corrupt":
        world.redis.hset(world.keys.entries, "a", "garbage")
    else:
        world.redis.hdel(world.keys.entries, "a")
    world.gate.surrender([(ticket, True)], world.lists("q"))
    sweep_on(world, 2000)
    assert world.queued() == ["b"]
    assert world.dead()[0][0][:3] == ["g", "a", damage]
    assert world.depth() == 1


def test_of_a_running_task_that_ends(world: World) -> None:
    ticket = world.run("a")
    world.park("b")
    world.redis.hset(world.keys.entries, "a", "garbage")
    assert not world.finish(ticket).stale
    assert world.queued() == ["b"]


def test_of_a_released_head_whose_ticket_was_lost(world: World) -> None:
    world.park("a")
    world.park("b")
    world.redis.hset(world.keys.entries, "a", "garbage")
    world.redis.delete("q")
    sweep_on(world, TTL_MS + 10_000)
    assert world.queued() == ["b"]
    assert world.dead()[0][0][:2] == ["g", "a"]
    assert world.depth() == 1


def test_of_a_held_head(world: World) -> None:
    ticket = world.run("a")
    world.park("b")
    world.hold(ticket, 1000)
    world.redis.hset(world.keys.entries, "a", "garbage")
    sweep_on(world, 3000)
    assert world.queued() == ["b"]
    assert world.dead()[0][0][:2] == ["g", "a"]


def test_of_a_delayed_one(world: World) -> None:
    world.park("a", delay=1000)
    world.redis.hset(world.keys.entries, "a", "garbage")
    sweep_on(world, 5000)
    assert world.dead()[0][0][1] == "a"
    assert world.residue() == {}


@pytest.mark.parametrize("place", ["parked", "released"])
def test_revoking_it_stops_no_group(world: World, place: str) -> None:
    if place == "parked":
        ticket = world.run("first")
    world.park("a")
    world.park("b")
    world.redis.hset(world.keys.entries, "a", "garbage")
    world.gate.revoke("a")
    if place == "parked":
        world.finish(ticket)
    world.redis.ltrim("q", 1, 0)
    sweep_on(world, TTL_MS + 10_000)
    assert world.queued() == ["b"]
    assert world.depth() == 1


def test_a_foreign_type_under_a_groups_name_is_named_and_parks_nothing(world: World) -> None:
    world.redis.set(world.keys.line(quote("g")), "foreign")
    with pytest.raises(GroupFifoError, match=r"'park' found a key of another type.*groupfifo_namespace"):
        world.park("a")
    world.redis.delete(world.keys.line(quote("g")))
    assert world.park("a"), "it had not been accepted, so it is no duplicate"
    assert world.queued() == ["a"]
    assert world.depth() == 1


@pytest.mark.parametrize("state", ["released", "running", "held"])
def test_a_record_of_a_flight_that_nobody_can_read_stops_no_group(world: World, state: str) -> None:
    world.park("bad")
    world.park("next")
    ticket = world.receive()
    if state != "released":
        world.begin(ticket)
    if state == "held":
        world.hold(ticket, delay=60_000)
    world.redis.hset(world.keys.groups, "g", "- 0 0\nr bad garbage")
    assert not world.begin(ticket), "whoever reads it, sets its entry aside"
    world.tick(TTL_MS)
    world.sweep()
    world.sweep()
    assert world.queued() == ["next"]
    assert [known[1:3] for known, _ in world.dead()] == [["bad", "corrupt"]]
    ticket = world.receive()
    world.begin(ticket)
    world.finish(ticket)
    world.tick(60_000)
    world.sweep()
    world.rerelease()
    assert world.residue() == {}, "what the sweeps come by"


#: Calls that read the record of a running task, and what each of them does.
LOOKS = {
    "lease": lambda world, ticket: world.gate.lease(ticket),
    "list": lambda world, _: Groups(world.app, world.gate).list(sort="age"),
}
ACTS = {
    "begin": lambda world, ticket: world.begin(ticket),
    "renew": lambda world, ticket: world.gate.renew("w1", [ticket]),
    "finish": lambda world, ticket: world.finish(ticket),
    "fail": lambda world, ticket: world.gate.finish(world.failing(ticket, "g", "block")),
    "surrender": lambda world, ticket: world.gate.surrender([(ticket, False)]),
    "revoke": lambda world, _: world.gate.revoke("bad"),
    "park": lambda world, _: world.replace("bad"),
    "reclaim": lambda world, _: world.idle_sweeps(2 * TTL_MS),
}


@pytest.mark.parametrize("name", [*LOOKS, *ACTS])
@pytest.mark.parametrize("text", ["- 0 0\nr bad garbage", "bad", "- 0\n\nbad"])
def test_a_look_at_a_record_that_nobody_can_read_writes_nothing_and_an_act_sets_its_entry_aside(
    world: World, name: str, text: str
) -> None:
    ticket = world.run("bad")
    world.redis.hset(world.keys.groups, "g", text)
    {**LOOKS, **ACTS}[name](world, ticket)
    assert [known[1:3] for known, _ in world.dead()] == ([["bad", "corrupt"]] if name in ACTS else [])


def test_a_state_that_tells_no_entry_is_kept_among_the_dead_letters(world: World) -> None:
    world.run("a")
    world.park("b")
    world.redis.hset(world.keys.groups, "g", "garbage")
    world.park("c")
    world.sweep()
    assert [(known[1], text) for known, text in world.dead()] == [("-", b"garbage")]
    assert (world.receive().id, world.waiting()) == ("b", ["c"]), "the group goes on"


def test_a_queue_whose_list_is_something_else_parks_all_the_same(world: World) -> None:
    world.redis.set("q", "not a list")
    assert world.park("a")
    world.redis.delete("q")
    world.sweep()
    assert world.queued() == ["a"], "the ticket goes out again with the next sweep"
