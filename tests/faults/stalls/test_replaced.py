"""A run that is replaced by a chain whose tail belongs to another group: each group goes on in its own line.

The tail has the id of what it stands for: Celery gives it that, and the chain is sent while the run still goes on.
"""

from __future__ import annotations

import time

import pytest

from tests.faults.stalls.scene import LEASE, QUICK, Scene, opened, rest
from tests.support.stages.fleet import Worker
from tests.support.stages.stage import Stage
from tests.support.waiting import until

POOLS = {"prefork": 2, "threads": 2}
FATES = ("slow", "killed")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Of each pool one worker is killed right after the replacement, and one goes on when the tail has ended."""
    with opened(tmp_path_factory.mktemp("replaced") / "stage") as stage:
        cases = [(pool, fate) for pool in POOLS for fate in FATES]
        first = {case: _launch(stage, *case) for case in cases}
        for worker in first.values():
            worker.ready()
        for pool, fate in cases:
            name, queue = f"{pool}-{fate}", {"queue": f"{pool}-{fate}"}
            stage.send(f"{name}-new", 1, "wait", name="go-tail", queue=f"{name}-tail")
            stage.send(f"{name}-old", 1, "substitute", other=f"{name}-new", tail=2, name="go-end", **queue)
            stage.send(f"{name}-old", 2, **queue)
        until(lambda: len(_substituted(stage)) == len(cases), stage.describe)
        second = [stage.launch(4, options=("-Q", _queues(cases), *QUICK))]
        for pool in POOLS:
            first[pool, "killed"].kill()
        second[0].ready()
        (stage.directory / "go-tail").touch()
        rest(time.monotonic() + LEASE + 1.0)  # the slow ones are slower than a lease, and than their tails
        (stage.directory / "go-end").touch()
        return Scene.ended(stage)


def _launch(stage: Stage, pool: str, fate: str) -> Worker:
    name = f"{pool}-{fate}"
    return stage.launch(POOLS[pool], pool=pool, name=name, options=("-Q", name, *QUICK))


def _queues(cases: list[tuple[str, str]]) -> str:
    """All but those that the living first workers serve; and that of the chain's own parts."""
    names = ["celery", *(f"{pool}-{fate}-tail" for pool, fate in cases)]
    return ",".join([*names, *(f"{pool}-{fate}" for pool, fate in cases if fate == "killed")])


def _substituted(stage: Stage) -> set[str]:
    return {event["group"] for event in stage.events if event["ev"] == "substituted"}


CASES = pytest.mark.parametrize(("pool", "fate"), [(pool, fate) for pool in POOLS for fate in FATES])


@CASES
def test_the_old_group_goes_on(scene: Scene, pool: str, fate: str) -> None:
    """A run that is killed after its replacement was sent may count as ended, or is run again."""
    group = f"{pool}-{fate}-old"
    if fate == "killed" and scene.order(group) == [1, 2]:
        first, second = scene.of("start", group)
        killed = [event["t"] for event in scene.of("kill") if first["pid"] in event["target"]]
        assert killed[-1] < second["t"] and first["fence"] < second["fence"]
        return
    scene.assert_sound(group)
    assert scene.order(group) == ([1, 2] if fate == "slow" else [1, 1, 2])
    if fate == "slow":
        scene.assert_first_runs(group)


@CASES
def test_the_tail_runs_in_its_own_line(scene: Scene, pool: str, fate: str) -> None:
    """After what was there before it. Behind a killed worker the whole replacement may be sent again."""
    group = f"{pool}-{fate}-new"
    runs = scene.order(group)
    assert runs[:2] == [1, 2] and set(runs[2:]) <= ({2} if fate == "killed" else set()), runs
    first, tail = scene.of("start", group)[:2]
    ended = next(event["t"] for event in scene.of("end", group) if event["fence"] == first["fence"])
    assert ended < tail["t"] and first["fence"] < tail["fence"]


def test_nothing_is_left(scene: Scene) -> None:
    scene.assert_nothing_left()
