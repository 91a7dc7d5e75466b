"""A running task gives its id to one with another key: that one joins its own line, and both groups go on."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from celery import Celery

from celery_groupfifo import Groups
from celery_groupfifo.errors import GroupDraining
from celery_groupfifo.gate.keys import NAMES, entry_names, quote, task_of
from celery_groupfifo.gate.model import Ticket
from lua import build
from tests.support.world import TTL_MS, World, make_entry


def begun(world: World) -> Ticket:
    ticket = world.receive()
    assert world.begin(ticket)
    return ticket


def test_it_joins_the_line_of_its_own_group(world: World) -> None:
    original, other = world.run("a", "A"), world.run("b", "B")
    world.park("a2", "A")
    assert world.replace("a", "B", body="replaced")
    world.park("b2", "B")
    assert world.waiting("B") == ["a;r", "b2"]
    assert (world.depth("A"), world.depth("B")) == (2, 3)
    assert not world.finish(original, "A").stale
    assert world.queued() == ["a2"], "the old group has gone on"
    world.finish(begun(world), "A")
    world.finish(other, "B")
    replacement = world.receive()
    assert (replacement.id, replacement.entry) == ("a", "a;r")
    assert world.begin(replacement)
    world.finish(replacement, "B")
    assert world.queued() == ["b2"]
    world.finish(begun(world), "B")
    assert world.residue() == {}


def test_the_first_of_its_line_starts_while_the_original_still_runs(world: World) -> None:
    original = world.run("a", "A")
    world.replace("a", "B")
    replacement = begun(world)
    assert (replacement.id, world.depth("B")) == ("a", 1)
    assert world.gate.renew(quote("w1"), [original, replacement]) == []
    assert world.finish(original, "A").due is None, "nothing goes on in its own group"
    assert world.gate.lease(replacement) is not None
    assert not world.finish(replacement, "B").stale
    assert world.residue() == {}


def test_a_worker_lost_with_the_original_disturbs_neither_group(world: World) -> None:
    world.run("a", "A")
    world.park("a2", "A")
    world.replace("a", "B")
    world.finish(begun(world), "B")
    world.idle_sweeps(TTL_MS + 1000)
    again = begun(world)
    assert (again.id, again.entry, again.lost) == ("a", "a", 1)
    world.finish(again, "A")
    world.finish(begun(world), "A")
    assert world.residue() == {}


def test_what_goes_on_for_the_replacement_keeps_its_place(world: World) -> None:
    original = world.run("a", "A")
    world.replace("a", "B")
    replacement = begun(world)
    world.park("b2", "B")
    assert world.replace("a", "B", body="of the replacement")
    assert world.queued() == []
    world.finish(replacement, "B")
    assert world.queued() == ["a"]
    assert (begun(world).entry, world.waiting("B")) == ("a;r", ["b2"])
    assert not world.finish(original, "A").stale


def test_a_retry_of_the_replacement_keeps_its_place(world: World) -> None:
    original = world.run("a", "A")
    world.replace("a", "B")
    world.hold(begun(world), 0, "B")
    assert begun(world).entry == "a;r"
    assert not world.finish(original, "A").stale


def test_a_taken_name_is_made_longer(world: World) -> None:
    world.run("a", "A")
    for _ in range(NAMES - 1):
        assert world.replace("a", "B")
    assert not world.replace("a", "B"), "so many wait already"
    assert [world.receive().entry, *world.waiting("B")] == entry_names("a")[1:]
    assert world.depth("B") == NAMES - 1


def test_a_name_that_has_ended_is_free_again(world: World) -> None:
    original = world.run("a", "A")
    world.replace("a", "B")
    replacement = begun(world)
    world.finish(original, "A")
    assert world.replace("a", "C"), "the run under the longer name goes on in another group"
    assert begun(world).entry == "a"
    assert not world.finish(replacement, "B").stale


def test_of_what_does_not_run_it_is_a_duplicate(world: World) -> None:
    world.park("a", "A")
    assert not world.replace("a", "B")
    assert world.depth("B") == 0


def test_a_delayed_one_joins_when_it_is_due(world: World) -> None:
    original = world.run("a", "A")
    assert world.replace("a", "B", delay=1000)
    assert (world.waiting("B"), world.depth("B")) == ([], 1)
    world.finish(original, "A")
    world.tick(1000)
    world.sweep(world.lists("q"))
    assert begun(world).entry == "a;r"


def test_a_draining_group_refuses_it(world: World) -> None:
    world.run("a", "A")
    world.run("b", "B")
    Groups(world.app, world.gate).drain("B")
    with pytest.raises(GroupDraining):
        world.replace("a", "B")
    assert world.depth("B") == 1


def test_a_repeated_call_parks_once(world: World) -> None:
    world.run("a", "A")
    world.run("b", "B")
    entry, number = make_entry(world.gate, "a", "B"), world.gate.number()
    assert world.gate.park(entry, number, replaces=True)
    assert world.gate.park(entry, number, replaces=True)
    assert (world.waiting("B"), world.depth("B")) == (["a;r"], 2)


def test_revoking_the_task_takes_out_what_does_not_run(world: World) -> None:
    original = world.run("a", "A")
    world.run("b", "B")
    assert not world.gate.revoke("a"), "it runs"
    world.replace("a", "B", body="replaced")
    raw = world.gate.revoke("a")
    assert raw and b'"replaced"' in raw
    assert (world.waiting("B"), world.depth("B")) == ([], 1)
    assert not world.finish(original, "A").stale


def test_revoking_finds_it_after_the_original_has_ended(world: World) -> None:
    original = world.run("a", "A")
    world.run("b", "B")
    world.replace("a", "B")
    world.finish(original, "A")
    assert world.gate.revoke("a", group=quote("A")) is None
    assert world.gate.revoke("a", group=quote("B")) is not None


def test_a_lost_ticket_of_it_is_released_again(world: World) -> None:
    world.run("a", "A")
    world.replace("a", "B")
    world.redis.delete("q")
    world.tick(4000)
    assert world.rerelease() == 1
    assert begun(world).entry == "a;r"


@pytest.mark.parametrize("id", ["a;r", "a;", ";r", "%3Br", "plain"])
def test_no_id_is_taken_for_a_longer_name(world: World, id: str) -> None:
    assert ";" not in quote(id)
    assert all(task_of(name) == id for name in entry_names(id))
    world.run(id, "A")
    world.replace(id, "B")
    ticket = world.receive()
    assert (ticket.id, ticket.entry) == (id, quote(id) + ";r")


def test_the_number_of_names_is_that_of_the_script() -> None:
    script = (build.ROOT / build.SOURCES / "lib" / "replace.lua").read_text("utf-8")
    assert re.findall(r"NAMES = (\d+)", script) == [str(NAMES)]


# -- two partitions ----------------------------------------------------------


@pytest.fixture
def wide(redis_url: str) -> Iterator[World]:
    app = Celery("gate-tests", broker=redis_url, set_as_current=False)
    app.conf.groupfifo_partitions = 2
    world = World(redis_url, app)
    yield world
    world.close()


def test_in_another_partition_its_name_is_free(wide: World) -> None:
    first, second = wide.gate.keyspace.partitions
    keys = {wide.gate.keyspace.of_group(quote(key)): key for key in ("A", "B", "C", "D")}
    here, there = keys[first], keys[second]
    original = wide.run("a", here)
    assert wide.replace("a", there)
    replacement = begun(wide)
    assert (replacement.tag, replacement.entry) == (second.tag, "a")
    assert wide.gate.renew(quote("w1"), [original, replacement]) == []
    wide.hold(replacement, 60_000, there)
    assert wide.gate.revoke("a"), "also where the one in the first partition runs"
    assert not wide.finish(original, here).stale
    for partition in (first, second):
        assert not wide.redis.exists(partition.entries, partition.groups)
