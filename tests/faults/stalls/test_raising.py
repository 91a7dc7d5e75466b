"""Exceptions between the begin of a task and the pool: they leave no lease that is renewed without a run."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest

from tests.faults.stalls import raising
from tests.faults.stalls.scene import QUICK, Scene, opened
from tests.support.stages.stage import Stage
from tests.support.waiting import until

POOLS = {"prefork": "RaisingPrefork", "threads": "RaisingThreads"}
TASKS = 6
#: Some leases and sweeps, and a few starts of a worker, on a slow machine.
SECONDS = 45.0


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """One worker of each pool, started again when it ends, as a supervisor would."""
    with opened(tmp_path_factory.mktemp("raising") / "stage", module=raising.__name__) as stage:
        for pool in POOLS:
            _launch(stage, pool)
        for worker in stage.workers:
            worker.ready()
        _send(stage, *(point for point in raising.POINTS if point != "rotate"))
        _supervised(stage)
        (stage.directory / "rotates").touch()
        _send(stage, "rotate")
        _supervised(stage)
        return Scene(stage, ended={worker.hostname for worker in stage.workers if not worker.alive})


def _launch(stage: Stage, pool: str) -> None:
    variables = {raising.NAME: pool, "CELERY_CUSTOM_WORKER_POOL": f"{raising.__name__}:{POOLS[pool]}"}
    name = f"{pool}-{len(stage.workers)}"
    stage.launch(4, pool="custom", name=name, environment=variables, options=("-Q", pool, *QUICK))


def _send(stage: Stage, *points: str) -> None:
    for seq in range(1, TASKS + 1):
        for point in points:
            for pool in POOLS:
                stage.send(f"{pool}-{point}", seq, task=f"raising.{point}", queue=pool, seconds=0.03)


def _supervised(stage: Stage) -> None:
    """Until nothing is left at the gate: what has failed for good on its way has no end in the history."""

    def done() -> bool:
        for pool in POOLS:
            if not any(worker.alive for worker in stage.workers if worker.name.startswith(pool)):
                _launch(stage, pool)
        return not stage.left()

    with suppress(AssertionError):  # for the tests to say
        until(done, within=SECONDS)


@pytest.mark.parametrize("point", raising.POINTS)
@pytest.mark.parametrize("pool", POOLS)
def test_the_group_goes_on(scene: Scene, pool: str, point: str) -> None:
    """The task that it happened to has failed, or is run again; all others run in order.

    And once, unless their worker has ended, as Celery's does after such an exception.
    """
    group = f"{pool}-{point}"
    starts, raised = scene.of("start", group), scene.of("raised", group)
    if point != "rotate":  # which nobody may have called
        assert raised, "nothing was raised"
    order = scene.order(group)
    missing = set(range(1, TASKS + 1)) - set(order)
    assert len(missing) <= len(raised), f"{missing} never ran"
    assert order == sorted(order), order
    for earlier, later in pairwise(starts):
        assert earlier["fence"] < later["fence"]
        assert earlier["seq"] < later["seq"] or earlier["worker"] in scene.facts["ended"], order
    for end, later in zip(scene.of("end", group), starts[1:], strict=False):
        assert end["t"] <= later["t"]


def test_nothing_is_left(scene: Scene) -> None:
    scene.assert_nothing_left()
