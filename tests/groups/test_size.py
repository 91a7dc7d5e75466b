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
from celery_groupfifo.gate.keys import BASE
from celery_groupfifo.groups import listing, pace, verify
from celery_groupfifo.groups.pace import Pace
from celery_groupfifo.groups.reader import AT_ONCE, SURVEYED, Reader
from celery_groupfifo.testing import embedded
from tests.gate.scripted import recorded
from tests.gate.support import World, make_entry

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


def test_the_deepest_first_costs_a_page(world: World, groups: Groups) -> None:
    world.redis.config_resetstat()
    page = groups.list(limit=20)
    assert page[0].key == "customer:27777" and len(page) == 20
    assert sum(calls(world).values()) < 20 * 10


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The scripts of surveys, and how many keys of their own each call has."""
    made: list[tuple[str, int]] = []
    send = Ahead.send

    def noted(self: Ahead, name: str, keys: Sequence[str], args: Sequence[object]) -> None:
        made.append((name, len(keys) - len(BASE)))
        send(self, name, keys, args)

    monkeypatch.setattr(Ahead, "send", noted)
    return made


def sizes(sent: list[tuple[str, int]], script: str) -> list[int]:
    return [size for name, size in sent if name == script]


def test_the_oldest_first_in_small_bites(world: World, groups: Groups, sent: list[tuple[str, int]]) -> None:
    with recorded(world.gate.store) as made:
        page = groups.list(sort="age", limit=20)
    assert not made, "no script is called by itself"
    assert all(int(group.key.split(":")[1]) < 1000 for group in page), "of the first chunk"
    assert len(page) == 20 and page.cursor == "20"
    for script in ("ages", "states"):
        assert sum(sizes(sent, script)) >= MANY and max(sizes(sent, script)) <= 3 * SURVEYED, (
            "ZSCAN gives about so many"
        )


def test_the_oldest_first_is_slowed_down_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A survey waits before it begins, and not before each of its bites."""
    waits: list[float] = []
    monkeypatch.setattr(pace, "sleep", waits.append)
    monkeypatch.setattr(Pace, "owed", lambda self: 5.0)
    assert len(Groups(world.app, world.gate).list(sort="age", limit=20)) == 20
    assert len(waits) < 10


def test_an_index_of_all_groups_in_small_bites(world: World, groups: Groups, sent: list[tuple[str, int]]) -> None:
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
    for script in ("ages", "states"):
        assert sum(sizes(sent, script)) >= MANY and max(sizes(sent, script)) <= 3 * SURVEYED
    assert len(sent) <= 3 * 1.5 * MANY / SURVEYED
    assert calls(world)["evalsha"] == len(sent), "no other scripts"


def test_a_large_page_is_read_in_parts(world: World, groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    read = world.gate.store.read

    def noted(name: str, build: Callable[[Any], object]) -> list[Any]:
        def counted(pipe: Any) -> None:
            build(pipe)
            asked.extend(len(args) for args, _ in pipe.command_stack)

        return read(name, counted)

    monkeypatch.setattr(world.gate.store, "read", noted)
    for sort in ("depth", "key"):
        assert len(groups.list(limit=3000, sort=sort)) >= 3000
    assert max(asked) <= 2 + 2 * AT_ONCE, "fields of one command"


def test_all_pages_by_key_name_every_group_once(world: World, groups: Groups) -> None:
    found, cursor = set(), None
    while True:
        page = groups.list(sort="key", limit=2000, cursor=cursor)
        found |= {group.key for group in page}
        cursor = page.cursor
        if cursor is None:
            break
    assert len(found) == MANY


def test_verify_looks_at_all_of_them_in_small_bites(world: World, groups: Groups, sent: list[tuple[str, int]]) -> None:
    world.redis.config_resetstat()
    assert groups.verify() == []
    assert MANY / (3 * verify.CENSUS) <= len(sizes(sent, "census")) <= 2 * MANY / verify.CENSUS
    assert sum(sizes(sent, "lines")) >= 2 * MANY and max(sizes(sent, "lines")) <= 2 * verify.GROUPS
    assert "keys" not in calls(world)
    assert calls(world)["evalsha"] == len(sent)


@pytest.mark.parametrize("words", [["list"], ["stats"], ["explain", "customer:5", "--no-workers"], ["find", "t5"]])
def test_the_command_line_asks_for_no_more_than_it_shows(world: World, groups: Groups, words: list[str]) -> None:
    world.redis.config_resetstat()
    setattr(world.app, _ATTRIBUTE, (os.getpid(), {"groupfifo": world.gate}))
    result = CliRunner().invoke(groupfifo, words, obj=CLIContext(app=world.app, no_color=True, workdir=None))
    assert result.exit_code == 0, result.output
    assert sum(calls(world).values()) < 1000


def test_a_rare_state_gives_a_short_page(world: World, groups: Groups) -> None:
    world.redis.config_resetstat()
    page = groups.list(state="held")
    assert page == [] and page.cursor is not None
    assert sum(calls(world).values()) < 10 * listing.LOOKED_AT
