"""The number of commands that the scripts of the hot path call: they are what a task costs Redis."""

from __future__ import annotations

import pytest

from tests.support.world import World, ticket_of


@pytest.fixture(autouse=True)
def servers_clock(world: World) -> None:
    """The scripts ask the server for the time, as they do in use."""
    world.gate.store.clock = ""


def commands(world: World) -> int:
    """The commands since the last reset, inside of scripts."""
    stats = world.redis.info("commandstats")
    own = {"cmdstat_evalsha", "cmdstat_script", "cmdstat_info", "cmdstat_config"}  # Redis 6.2 has no "script|load"
    return sum(each["calls"] for name, each in stats.items() if name.partition("|")[0] not in own)


def test_a_park_to_a_busy_group(world: World) -> None:
    world.park("a")
    world.park("b")
    world.redis.config_resetstat()
    world.park("c")
    assert commands(world) <= 5


def test_an_end_that_takes_another_group_s_head_and_releases_its_own(world: World) -> None:
    """The mean of ten: one in ten notes in addition how far its queue has come, by the last digit of a time."""
    runs = [world.run(f"{group}1", group) for group in "abcdefghij"]
    for group in "abcdefghij":
        world.park(f"{group}2", group)
    world.park("first", "other")
    world.redis.config_resetstat()
    lists = world.lists("q")
    taken = [world.finish(run, run.id[0], take="lists", lists=lists, extends=False).taken for run in runs]
    assert [ticket_of(message).id for message in taken if message] == ["first", *(f"{group}2" for group in "abcdefghi")]
    assert commands(world) / len(runs) < 14 + 1
