"""Identities: what makes a call a duplicate beside its id, and how long; see lua/lib/identity.lua."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from celery_groupfifo import DuplicateTask, Groups
from celery_groupfifo.gate.model import Bound, Dedup, Entry
from celery_groupfifo.settings import OnDuplicate
from tests.gate.scripts.test_exchange import between, bodies
from tests.support.world import World, make_entry


def entry_of(
    world: World, id: str, policy: OnDuplicate = "keep_latest", identity: str = "one", after: int = 0, **more: Any
) -> Entry:
    known = Dedup(f";{id}" if identity == "id" else identity, after)
    entry = make_entry(world.gate, id, body=id, dedup=known, **more)
    entry.on_duplicate = policy
    return entry


def send(world: World, id: str, policy: OnDuplicate = "keep_latest", **more: Any) -> Entry:
    """Send a task; its entry says what became of it."""
    entry = entry_of(world, id, policy, **more)
    world.gate.park(entry, world.gate.number())
    return entry


def dropped(entry: Entry) -> tuple[str, str, str] | None:
    """Id, body and reason of the task that a send has cost."""
    if entry.dropped is None:
        return None
    return entry.dropped[0], json.loads(entry.dropped[1])["body"], entry.reason


def latest(world: World, id: str, body: str) -> bool:
    entry = entry_of(world, id, identity="id")
    entry.message = make_entry(world.gate, id, body=body).message
    return world.gate.park(entry, world.gate.number())


# -- keep_latest by the id ---------------------------------------------------


def test_the_latest_of_an_id_keeps_the_place(world: World) -> None:
    for id in ("x", "a", "b"):
        world.park(id, body=id)
    assert not latest(world, "a", "new")
    assert world.waiting() == ["a", "b"]
    assert (bodies(world), world.residue()) == (["x", "new", "b"], {})


def test_beside_a_run_one_is_parked_and_later_ones_exchange_it(world: World) -> None:
    ticket = world.run("a")
    world.park("b", body="b")
    world.tick(1)
    assert [latest(world, "a", body) for body in ("1", "2", "3")] == [True, False, False]
    assert (world.waiting(), world.depth()) == (["b", "a;r"], 3)
    assert not world.park("a"), "and any other policy finds it"
    world.finish(ticket)
    assert not world.park("a"), "also when the first one has ended"
    assert not latest(world, "a", "4")
    assert bodies(world) == ["b", "4"]
    assert (world.residue(), world.stat("tasks_parked")) == ({}, 3)


def test_beside_the_one_that_was_parked_there_another_one_is(world: World) -> None:
    """Timeline: a runs, one is parked beside it, a ends, that one runs, another one is parked."""
    ticket = world.run("a")
    latest(world, "a", "1")
    world.finish(ticket)
    again = world.begin(world.receive())
    assert again is not None and (again.entry, again.id) == ("a;r", "a")
    assert latest(world, "a", "2")
    assert not latest(world, "a", "3")
    world.finish(again)
    assert (bodies(world), world.residue()) == (["3"], {})


@pytest.mark.parametrize("state", ["released", "held", "blocked"])
def test_a_head_is_left_alone(world: World, state: str) -> None:
    """Its ticket is on its way, or its retry waits: neither may be lost."""
    world.park("a", body="old")
    if state != "released":
        ticket = world.begin(world.receive())
        assert ticket is not None
        world.hold(ticket, 1000, body="retry") if state == "held" else world.fail(ticket)
    before = world.redis.hget(world.keys.entries, "a")
    assert latest(world, "a", "new")
    assert world.redis.hget(world.keys.entries, "a") == before
    assert world.waiting() == ["a;r"]


def test_what_goes_on_for_a_run_under_its_id_is_no_duplicate(world: World) -> None:
    """A chain gives the id of the run that it replaces to its last task, which has another key."""
    first = world.run("a")
    world.run("x", "other")
    assert world.replace("a", "other", body="replacement")
    with pytest.raises(DuplicateTask, match="another group"):
        send(world, "a", identity="id", key="third")
    assert latest(world, "a", "new")
    world.finish(first)
    assert bodies(world) == ["new"]
    assert world.waiting("other") == ["a;r"]


def test_an_id_of_another_group_stays_there(world: World) -> None:
    for id in ("x", "a"):
        world.park(id, body=id)
    with pytest.raises(DuplicateTask, match="or is in another group"):
        send(world, "a", identity="id", key="other")
    assert bodies(world) == ["x", "a"]


def test_one_that_goes_out_meanwhile_gets_one_beside_it(world: World) -> None:
    ticket = world.run("x")
    world.park("a", body="old")
    with between(world, lambda: world.finish(ticket)):
        assert latest(world, "a", "new")
    assert bodies(world) == ["old", "new"]


# -- a key of its own --------------------------------------------------------


def test_the_existing_one_is_named(world: World) -> None:
    world.run("x")
    assert send(world, "a", "return_existing").existing is None
    assert send(world, "b", "return_existing").existing == "a"
    assert send(world, "c", "return_existing", identity="another").existing is None
    assert send(world, "d", "return_existing", key="other").existing is None, "each group has its own"
    with pytest.raises(DuplicateTask, match="Task e of group 'g' is a duplicate of task a, which is parked or running"):
        send(world, "e", "raise")
    assert world.waiting() == ["a", "c"]


@pytest.mark.parametrize("policy", ["replace", "keep_latest"])
@pytest.mark.parametrize("place", ["in line", "late", "ETA"])
def test_the_newest_task_gets_the_place_of_the_parked_one(world: World, policy: OnDuplicate, place: str) -> None:
    world.run("x")
    delay = {"in line": 0, "late": 1000, "ETA": 5000}[place]
    send(world, "a", policy, delay=delay)
    world.tick(1)
    for id in ("y", "z"):
        world.park(id, body=id)
    if place == "late":  # it is not in the order of parking
        world.tick(1000)
        world.sweep()
        world.tick(5)
        world.park("last", body="last")
    entry = send(world, "b", policy, queue="q")
    assert dropped(entry) == ("a", "a", "replaced by task b")
    entry = send(world, "c", policy)
    assert dropped(entry) == ("b", "b", "replaced by task c")
    lines = {"in line": ["c", "y", "z"], "late": ["y", "z", "c", "last"], "ETA": ["y", "z"]}
    assert world.waiting() == lines[place]
    assert world.stat("tasks_revoked") == 2
    if place == "ETA":
        world.tick(4998)
        world.sweep()
        assert world.waiting() == ["y", "z"], "it keeps its time"
        world.tick(1)
        world.sweep()
        assert world.waiting() == ["y", "z", "c"]


def test_a_replacing_one_raises_beside_the_head_and_the_latest_does_not(world: World) -> None:
    send(world, "a")
    with pytest.raises(DuplicateTask, match=r"Task a of group 'g' can't be replaced: .* another group_dedup_key"):
        send(world, "b", "replace")
    assert [dropped(send(world, id)) for id in ("b", "c")] == [None, ("b", "b", "replaced by task c")]
    assert (bodies(world), world.residue()) == (["a", "c"], {})


def test_the_id_of_the_run_may_replace_the_one_beside_it(world: World) -> None:
    send(world, "a")
    send(world, "b")
    assert dropped(send(world, "a")) == ("b", "b", "replaced by task a")
    assert world.waiting() == ["a;r"]
    assert (bodies(world), world.residue()) == (["a", "a"], {})


def test_an_id_that_is_elsewhere_replaces_nothing(world: World) -> None:
    world.run("x")
    world.park("b", body="b")
    send(world, "a", "replace")
    with pytest.raises(DuplicateTask):
        send(world, "b", "replace")
    assert world.waiting() == ["b", "a"]


def test_a_group_that_is_full_or_drains_takes_the_newest(world: World) -> None:
    world.run("x")
    send(world, "a")
    Groups(world.app, world.gate).drain("g")
    assert dropped(send(world, "b", bound=Bound(1, "raise"))) == ("a", "a", "replaced by task b")
    assert world.waiting() == ["b"]


def test_the_oldest_one_that_makes_room_frees_its_identity(world: World) -> None:
    world.run("x")
    send(world, "a")
    entry = send(world, "b", identity="two", bound=Bound(1, "drop_oldest"))
    assert dropped(entry) == ("a", "a", "revoked")
    assert world.identities() == {"i g two": "- b", "n b": "0 two"}
    assert send(world, "c", "return_existing").existing is None
    assert world.waiting() == ["b", "c"]


def test_a_repetition_costs_the_same_task(world: World) -> None:
    """The answer of an exchange was lost."""
    world.run("x")
    send(world, "a")
    number, run = world.gate.number(), world.gate.store.run
    entry = entry_of(world, "b")

    def twice(*args: Any) -> Any:
        run(*args)
        return run(*args)

    world.gate.store.run = twice  # type: ignore[method-assign, assignment]
    assert world.gate.park(entry, number)
    del world.gate.store.run
    assert dropped(entry) == ("a", "a", "replaced by task b")
    again = entry_of(world, "b")
    assert world.gate.park(again, number), "nor does the whole call again"
    assert dropped(again) == ("a", "a", "replaced by task b")
    assert world.waiting() == ["b"]


def test_in_bulk(world: World) -> None:
    world.run("x")
    entries = [entry_of(world, id) for id in "abc"] + [entry_of(world, "d", "return_existing")]
    answers = world.gate.park_all(entries, world.gate.numbers_of(entries))
    assert answers == [True, True, True, False]
    assert [dropped(entry) for entry in entries][1:3] == [
        ("a", "a", "replaced by task b"),
        ("b", "b", "replaced by task c"),
    ]
    assert entries[3].existing in ("a", "c")
    assert world.waiting() == ["c"]


# -- the end -----------------------------------------------------------------


def _skipped(world: World, groups: Groups) -> None:
    groups.pause("g")
    groups.skip("g", expected="a")


def _failed(policy: str) -> Callable[[World, Groups], None]:
    def end(world: World, groups: Groups) -> None:
        ticket = world.begin(world.receive())
        assert ticket is not None
        world.fail(ticket, policy=policy)
        if policy == "block":
            groups.drop("g", expected="a")

    return end


ENDS: dict[str, Callable[[World, Groups], Any]] = {
    "success": lambda world, groups: bodies(world),
    "dead letter": _failed("dead_letter"),
    "block and drop": _failed("block"),
    "revoke": lambda world, groups: world.gate.revoke("a"),
    "purge": lambda world, groups: groups.purge("g"),
    "skip": _skipped,
    "move": lambda world, groups: (groups.pause("g"), groups.move("g", "h")),
}


@pytest.mark.parametrize("way", ENDS)
def test_each_end_frees_it(world: World, way: str) -> None:
    if way == "move":
        world.run("x")
    send(world, "a", "return_existing", after=60_000 if way in ("revoke", "purge", "skip", "move") else 0)
    ENDS[way](world, Groups(world.app, world.gate))
    kept = {"i h one": "- a", "n a": "60000 one"} if way == "move" else {}
    assert world.identities() == kept, "at once, and not when somebody asks"
    assert send(world, "b", "return_existing").existing is None
    if way == "move":
        assert send(world, "c", "return_existing", key="h").existing == "a", "it has it there"


def test_what_is_cancelled_with_its_group_frees_it(world: World) -> None:
    ticket = world.run("x")
    send(world, "a")
    world.fail(ticket, policy="cancel_rest")
    send(world, "b")
    assert [id for id, _ in world.sweep().cancelled] == ["a"]
    assert (bodies(world), world.residue()) == (["b"], {})


def test_a_retry_keeps_it(world: World) -> None:
    send(world, "a", "return_existing")
    for rejoins in (False, True):
        ticket = world.begin(world.receive())
        assert ticket is not None
        world.finish(ticket, continuation=make_entry(world.gate, "a", body="retry")) if not rejoins else world.hold(
            ticket, 0, rejoins=True
        )
        assert send(world, "b", "return_existing").existing == "a"
    bodies(world)
    assert world.residue() == {}


@pytest.mark.parametrize("fails", [False, True])
def test_it_counts_for_a_time_after_the_end(world: World, fails: bool) -> None:
    send(world, "a", "return_existing", after=5000)
    ticket = world.begin(world.receive())
    assert ticket is not None
    world.fail(ticket, policy="dead_letter") if fails else world.finish(ticket)
    world.tick(4999)
    assert send(world, "b", "return_existing").existing == "a"
    with pytest.raises(DuplicateTask, match="duplicate of task a, which has ended, but counts for its group_dedup_for"):
        send(world, "b", "raise")
    with pytest.raises(DuplicateTask, match="it can't be replaced any more"):
        send(world, "b", "replace")
    assert world.park("plain"), "another task is none"
    assert bodies(world) == [""]
    world.tick(1)
    world.sweep()
    assert world.residue() == {}
    assert send(world, "b", "return_existing").existing is None


def test_the_time_is_over_without_a_sweep_too(world: World) -> None:
    """And the sweep leaves the identity of the task that has it since."""
    send(world, "a", "return_existing", after=5000)
    bodies(world)
    world.tick(5000)
    send(world, "b", "return_existing", after=5000)
    world.sweep()
    assert send(world, "c", "return_existing").existing == "b"


def test_the_latest_is_parked_within_the_time(world: World) -> None:
    send(world, "a", "return_existing", after=5000)
    bodies(world)
    assert send(world, "b").existing is None
    assert bodies(world) == ["b"]


def test_an_id_counts_for_a_time(world: World) -> None:
    send(world, "a", "return_existing", identity="id", after=5000)
    bodies(world)
    entry = entry_of(world, "a", "return_existing", identity="id", after=5000)
    assert not world.gate.park(entry, world.gate.number())
    with pytest.raises(DuplicateTask, match="a duplicate of itself: it has ended"):
        send(world, "a", "raise", identity="id", after=5000)
    world.tick(5000)
    assert world.gate.park(entry, world.gate.number())


def test_one_whose_entry_was_set_aside_is_free(world: World) -> None:
    world.run("x")
    send(world, "a")
    world.redis.hset(world.keys.entries, "a", "no entry")
    assert send(world, "b", "return_existing").existing is None


def test_a_group_without_any_pays_nothing(world: World) -> None:
    world.park("a")
    world.park("b")
    assert (world.identities(), world.group().flags) == ({}, "")
    send(world, "c")
    assert world.group().flags == "i"
    bodies(world)
    assert world.residue() == {}
