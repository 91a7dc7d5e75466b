"""Tasks that a worker comes to know after its start; Celery serves them once it has connected anew, or a new pool."""

from __future__ import annotations

import time
from functools import partial

import pytest

from tests.faults.stalls.scene import QUICK, Scene, has_connected_anew, opened
from tests.support.stages.stage import Stage
from tests.support.waiting import until

LATE = "tests.faults.stalls.late"
POOLS = {"threads": 2, "solo": 1, "prefork": 2}
KINDS = ("ordered", "keyed")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Workers learn of new tasks, lose their connections to the broker, and are sent some of these."""
    directory = tmp_path_factory.mktemp("late") / "stage"
    with opened(directory, broker=True, module="tests.faults.stalls.app", worker_pool_restarts=True) as stage:
        for pool, slots in POOLS.items():
            stage.launch(slots, pool=pool, name=pool, options=("-Q", pool, *QUICK))
        for worker in stage.workers:
            worker.ready()
        _load(stage)
        stage.broker.kill_clients()
        for worker in stage.workers:
            until(partial(has_connected_anew, worker), worker.process.tail)
        for seq in (1, 2, 3):
            for pool in POOLS:
                for kind in KINDS:
                    key = f"{pool}-{kind}"
                    stage.send_by_name(f"late.{kind}", key, seq, queue=pool)
        return Scene.ended(stage)


def _load(stage: Stage) -> None:
    """The module comes in by a task, or where that would be a child's, by Celery's own command."""
    prefork = next(worker for worker in stage.workers if worker.name == "prefork")
    old = set(prefork.children())
    stage.app.control.pool_restart(modules=[LATE], destination=[prefork.hostname], reply=True, timeout=5)
    for pool in set(POOLS) - {"prefork"}:
        stage.send(f"{pool}-load", 1, "load", module=LATE, queue=pool)
    stage.drained()

    def replaced() -> bool:
        """A process of the pool goes with its next task."""
        stage.send_plain(0, 0.05, queue="prefork")
        time.sleep(0.1)  # the load, no waiting for anything
        return not old & set(prefork.children()) and len(prefork.children()) == len(old)

    until(replaced, prefork.process.tail)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pool", POOLS)
def test_it_runs_gated_and_in_order(scene: Scene, pool: str, kind: str) -> None:
    group = f"{pool}-{kind}"
    scene.assert_sound(group)
    assert scene.order(group) == [1, 2, 3]
    scene.assert_first_runs(group)


def test_nothing_is_left(scene: Scene) -> None:
    scene.assert_nothing_left()
