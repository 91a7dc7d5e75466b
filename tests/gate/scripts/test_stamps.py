"""The stamp of a partition: who may use what is stored there, and what a change of it does to those that may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from celery_groupfifo.errors import UnsupportedState
from celery_groupfifo.gate import stamps
from celery_groupfifo.gate.stamps import own_release
from tests.gate.scripted import CASES, Case
from tests.support.world import World


def begin_edition(world: World, version: int = 2) -> None:
    """Let a later release take the state over, as its first call does."""
    world.gate.store.meet()
    keys = world.keys.in_edition(2)
    stamp = f"2 {version} 1 9.9.9"
    done = world.gate.store.run("stamp", keys, [keys.stamp, *world.keys.base], [world.keys.stamped, stamp, 0, ""])
    assert done == 1


def everything(world: World) -> dict[Any, Any]:
    return {key: world.redis.dump(key) for key in world.redis.scan_iter(count=1000)}


@pytest.mark.parametrize("case", [case for case in CASES if case.script[:7] not in ("stamp", "observe")], ids=str)
def test_a_script_of_an_older_release_changes_nothing(world: World, case: Case) -> None:
    call = case.prepare(world)
    begin_edition(world)
    before = everything(world)
    with pytest.raises(UnsupportedState, match=r"holds state of version 2, which celery-groupfifo 9\.9\.9 has written"):
        call()
    assert everything(world) == before
