"""Runs that go on as another run while Redis restarts: `self.retry()` and `self.replace()`, of one thread and many.

While it hangs: see test_hang.py.
"""

from __future__ import annotations

import time

import pytest

from tests.faults.stalls.scene import QUICK, Scene, opened, rest
from tests.support.stages.stage import Stage
from tests.support.waiting import until

#: How long Redis is away: longer than a lease, and than Celery's own publish policy.
AWAY = 4.0
POOLS = {"prefork": 4, "threads": 4}
WAYS = ("again", "replace")
CROWD = 60


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Runs of two workers, and of sixty threads of a third one, all go on as another run while Redis is away."""
    with opened(tmp_path_factory.mktemp("retries") / "stage") as stage:
        for pool, slots in {**POOLS, "crowd": CROWD}.items():
            kind = "threads" if pool == "crowd" else pool
            stage.launch(slots, pool=kind, name=pool, options=("-Q", pool, *QUICK))
        for worker in stage.workers:
            worker.ready()
        groups = [(f"{pool}-{way}", way, pool) for pool in POOLS for way in WAYS]
        groups += [(f"crowd-{way}-{number}", way, "crowd") for number in range(CROWD // 2) for way in WAYS]
        for seq in (1, 2):
            for group, way, queue in groups:
                stage.send(group, seq, way if seq == 1 else "work", queue=queue, **({"name": "go"} if seq == 1 else {}))
        until(lambda: len(stage.watch.look().open) == len(groups), stage.describe)
        _restart(stage, len(groups))
        return Scene.ended(stage)


def _restart(stage: Stage, runs: int) -> None:
    stage.gate.server.kill()
    since = time.monotonic()
    (stage.directory / "go").touch()
    until(lambda: sum(event["ev"] == "end" for event in stage.events) >= runs, "not all runs asked")
    rest(since + AWAY)
    stage.gate.server.restart()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("pool", POOLS)
def test_it_is_not_lost_and_keeps_its_place(scene: Scene, pool: str, way: str) -> None:
    group = f"{pool}-{way}"
    scene.assert_sound(group)
    assert scene.order(group) == [1, 1, 2]
    assert scene.of("end", group)[0]["reason"] == {"again": "retry", "replace": "replaced"}[way]
    scene.assert_first_runs(group)


@pytest.mark.parametrize("way", WAYS)
def test_nor_from_many_threads_at_once(scene: Scene, way: str) -> None:
    scene.assert_sound(f"crowd-{way}")
    orders = {event["group"]: scene.order(event["group"]) for event in scene.of("sent", f"crowd-{way}")}
    assert not {group: order for group, order in orders.items() if order != [1, 1, 2]}


def test_nothing_is_left(scene: Scene) -> None:
    scene.assert_nothing_left()
