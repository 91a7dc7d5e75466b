"""Tens of thousands of groups: a page costs a page, and no command keeps Redis from its other callers."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from celery.bin.base import CLIContext
from click.testing import CliRunner

from celery_groupfifo import Groups
from celery_groupfifo.cli import groupfifo
from celery_groupfifo.flower.index import read_index
from celery_groupfifo.gate.evaluator import Ahead
from celery_groupfifo.gate.gate import _ATTRIBUTE
from celery_groupfifo.gate.keys import BASE, Keys
from celery_groupfifo.groups import pace, state
from celery_groupfifo.groups.pace import Pace
from celery_groupfifo.groups.reader import AT_ONCE, Reader
from celery_groupfifo.groups.survey import PAGE
from celery_groupfifo.groups.view import Sort
from celery_groupfifo.testing import embedded
from tests.gate.scripted import recorded
from tests.support.world import World, make_entry

MANY = 30_000


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with embedded.start(appendonly=False) as server:
        world = World(f"{server.url}/0")
        for start in range(0, MANY, 1000):
            entries = [make_entry(world.gate, f"t{n}", f"customer:{n}") for n in range(start, start + 1000)]
            world.tick(1)
            world.gate.park_all(entries, world.gate.numbers(len(entries)))
        for n in range(3):
            world.park(f"deep{n}", "customer:27777")
        yield world
        world.close()


@pytest.fixture
def groups(world: World) -> Groups:
    return Groups(world.app, world.gate)


def calls(world: World) -> dict[str, int]:
    """Return the number of calls of each command, those inside of scripts too."""
    return {name.removeprefix("cmdstat_"): each["calls"] for name, each in world.redis.info("commandstats").items()}


def test_pages_by_depth_hold_every_group_once(world: World, groups: Groups) -> None:
    page = groups.list(limit=20)
    assert page[0].key == "customer:27777" and len(page) == 20 and page.cursor == "20"
    rest = groups.list(limit=MANY, cursor=page.cursor)
    assert len({group.key for group in (*page, *rest)}) == MANY and rest.cursor is None


def test_a_page_by_key_costs_a_page(world: World, groups: Groups) -> None:
    world.redis.config_resetstat()
    assert len(groups.list(sort="key", limit=20)) >= 20
    assert sum(calls(world).values()) < 20 * 10


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The scripts of `verify`, and how many keys of their own each call has."""
    made: list[tuple[str, int]] = []
    send = Ahead.send

    def noted(self: Ahead, name: str, keys: Sequence[str], args: Sequence[object]) -> None:
        made.append((name, len(keys) - len(BASE)))
        send(self, name, keys, args)

    monkeypatch.setattr(Ahead, "send", noted)
    return made


def sizes(sent: list[tuple[str, int]], script: str) -> list[int]:
    return [size for name, size in sent if name == script]


@pytest.mark.parametrize(("sort", "command", "other"), [("age", "lindex", "llen"), ("depth", "llen", "lindex")])
def test_a_page_by_rank_costs_a_short_command_for_each_group_and_no_script(
    world: World, groups: Groups, sort: Sort, command: str, other: str
) -> None:
    world.redis.config_resetstat()
    assert len(groups.list(sort=sort, limit=20)) == 20
    made = calls(world)
    assert "evalsha" not in made, "Redis serves other clients between any two commands"
    assert MANY <= made[command] <= 1.2 * MANY and made.get(other, 0) <= 40, "a group whose page was asked for twice"
    assert MANY / (3 * PAGE) <= made["hscan"] <= 1.2 * MANY / PAGE, "HSCAN gives about so many"


def test_the_oldest_come_first(groups: Groups) -> None:
    page = groups.list(sort="age", limit=20)
    assert all(int(group.key.split(":")[1]) < 1000 for group in page), "of the first chunk"
    assert len(page) == 20 and page.cursor == "20"


@pytest.mark.parametrize("sort", ["age", "depth"])
def test_a_page_by_rank_keeps_no_more_than_it_needs(groups: Groups, sort: Sort) -> None:
    groups.list(sort=sort, limit=20)
    tracemalloc.start()
    try:
        groups.list(sort=sort, limit=20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50 * MANY, "bytes per group: a page at a time is in memory"


def test_the_oldest_first_is_slowed_down_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A survey waits before it begins, and not before each of its bites."""
    waits: list[float] = []
    monkeypatch.setattr(pace, "sleep", waits.append)
    monkeypatch.setattr(Pace, "owed", lambda self: 5.0)
    assert len(Groups(world.app, world.gate).list(sort="age", limit=20)) == 20
    assert len(waits) < 10


def test_an_index_of_all_groups_in_small_bites(world: World) -> None:
    reader = Reader(world.gate)
    world.redis.config_resetstat()
    tracemalloc.start()
    try:
        index = read_index(reader)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(index.rows) == MANY and index.states == {"waiting": MANY}
    assert (index.tasks, index.in_flight, index.running) == (MANY + 3, MANY, 0)
    assert peak < 500 * MANY, "bytes per group"
    made = calls(world)
    assert "evalsha" not in made
    assert MANY <= made["llen"] == made["lindex"] <= 1.2 * MANY
    assert MANY / (3 * PAGE) <= made["hscan"] <= 1.2 * MANY / PAGE


def test_a_large_page_is_read_in_parts(world: World, groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    read = world.gate.store.read

    def noted(name: str, build: Callable[[Any], object], keys: Keys | None = None) -> list[Any]:
        def counted(pipe: Any) -> None:
            build(pipe)
            asked.extend(len(args) for args, _ in pipe.command_stack)

        return read(name, counted, keys)

    monkeypatch.setattr(world.gate.store, "read", noted)
    for sort in ("depth", "key"):
        assert len(groups.list(limit=3000, sort=sort)) >= 3000
    assert max(asked) <= 2 + 2 * AT_ONCE, "fields of one command"


def test_all_pages_by_key_name_every_group_once(world: World, groups: Groups) -> None:
    found, cursor = set(), None
    while True:
        page = groups.list(sort="key", limit=6000, cursor=cursor)
        found |= {group.key for group in page}
        cursor = page.cursor
        if cursor is None:
            break
    assert len(found) == MANY


def test_verify_looks_at_all_of_them_in_small_bites(world: World, groups: Groups, sent: list[tuple[str, int]]) -> None:
    groups.dead_letters()  # loads its script
    world.redis.config_resetstat()
    with recorded(world.gate.store) as made:
        assert groups.verify() == []
    assert MANY / (3 * state.CENSUS) <= len(sizes(sent, "census")) <= 2 * MANY / state.CENSUS
    assert MANY <= calls(world)["lrange"] <= 1.1 * MANY, "a line by a command of its own"
    assert "keys" not in calls(world)
    assert {call.script for call in made} == {"letters"}, "the only script that is called by itself"
    assert calls(world)["evalsha"] == len(sent) + len(made)


@pytest.mark.parametrize(
    "words", [["list", "--sort", "key"], ["stats"], ["explain", "customer:5", "--no-workers"], ["find", "t5"]]
)
def test_the_command_line_asks_for_no_more_than_it_shows(world: World, groups: Groups, words: list[str]) -> None:
    world.redis.config_resetstat()
    setattr(world.app, _ATTRIBUTE, (os.getpid(), {"groupfifo": world.gate}))
    result = CliRunner().invoke(groupfifo, words, obj=CLIContext(app=world.app, no_color=True, workdir=None))
    assert result.exit_code == 0, result.output
    assert sum(calls(world).values()) < 1000


@pytest.mark.parametrize("sort", ["depth", "age"])
def test_a_rare_state_is_found_among_all_groups(world: World, groups: Groups, sort: Sort) -> None:
    page = groups.list(state="held", sort=sort)
    assert page == [] and page.cursor is None


def test_a_rare_state_gives_a_short_page_by_key(world: World, groups: Groups) -> None:
    page = groups.list(state="held", sort="key")
    assert page == [] and page.cursor is not None
