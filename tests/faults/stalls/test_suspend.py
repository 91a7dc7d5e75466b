"""A machine that is suspended for longer than a lease, and wakes up with clocks that have not noticed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.faults.stalls import tasks as tasks
from tests.faults.stalls.scene import LEASE, QUICK, Scene, begun, opened, rest
from tests.support.stages.fleet import Worker
from tests.support.stages.stage import Stage
from tests.support.waiting import until

#: Longer than a lease and a sweep.
SECONDS = LEASE + 3.0
POOLS = ("prefork", "threads")
#: Of GroupFifoTask and of plain Celery, each also of a class whose own call runs them inside of something.
KINDS = ("bare", "keyed", "flask", "plain_flask")
KEYED = ("keyed", "plain_flask")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Two workers are suspended, each with a run of each kind and a task that waits for a slot; a third takes over."""
    directory = tmp_path_factory.mktemp("suspend") / "stage"
    conf: dict[str, Any] = {"worker_prefetch_multiplier": 4, "task_ignore_result": False}
    with opened(directory, results=True, module="tests.faults.stalls.app", **conf) as stage:
        for pool in POOLS:
            stage.launch(len(KINDS), pool=pool, name=pool, suspendable=True, options=("-Q", pool, *QUICK))
        rescue = stage.launch(12, name="rescue", options=("-Q", "rescue", *QUICK))
        for worker in stage.workers:
            worker.ready()
        results = _send(stage)
        suspended = stage.workers[: len(POOLS)]
        _suspend(stage, suspended, rescue)
        (directory / "go-0").touch()  # the suspended runs end, too late
        until(lambda: len(_late_ends(stage, suspended)) == len(results), stage.describe)
        rest(time.monotonic() + 1.0)  # for a result to be stored that must not be
        states = {name: result.state for name, result in results.items()}
        (directory / "go-1").touch()
        scene = Scene.ended(stage, states=states)
        scene.facts["results"] = {name: result.result for name, result in results.items()}
        return scene


def _send(stage: Stage) -> dict[str, Any]:
    results = {}
    for pool in POOLS:
        for kind in KINDS:
            key = f"{pool}-{kind}"
            results[key] = stage.send(
                key, 1, "go", task=f"stalls.{kind}", queue=pool, **({"group_key": key} if kind in KEYED else {})
            )
    until(lambda: len(stage.watch.look().open) == len(results), stage.describe)
    for pool in POOLS:
        for seq in (1, 2):
            stage.send(f"{pool}-waiting", seq, queue=pool)
    until(lambda: begun(stage) == len(POOLS) * (len(KINDS) + 1), "the workers have not begun what waits")
    return results


def _suspend(stage: Stage, workers: list[Worker], rescue: Worker) -> None:
    for pool in POOLS:
        stage.app.control.add_consumer(pool, destination=[rescue.hostname], reply=True)
    since = time.monotonic()
    for worker in workers:
        worker.freeze(SECONDS)
    rest(since + SECONDS)
    until(lambda: _taken_over(stage, rescue), stage.describe)
    for worker in workers:
        worker.thaw()


def _taken_over(stage: Stage, rescue: Worker) -> bool:
    starts = [event for event in stage.watch.look().started if event["worker"] == rescue.hostname]
    return len(starts) >= len(POOLS) * (len(KINDS) + 2)


def _late_ends(stage: Stage, workers: list[Worker]) -> list[Any]:
    """Ends of the runs that the workers were suspended in; not of those that must not start."""
    names = [worker.hostname for worker in workers]
    ends = [event for event in stage.events if event["ev"] == "end" and event["worker"] in names]
    return [event for event in ends if not event["group"].endswith("-waiting")]


@pytest.mark.parametrize("pool", POOLS)
def test_a_stale_run_does_not_start(scene: Scene, pool: str) -> None:
    group = f"{pool}-waiting"
    assert scene.order(group) == [1, 2], scene.of("start", group)
    assert {event["worker"] for event in scene.of("start", group)} == {"rescue@chaos"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pool", POOLS)
def test_its_result_is_not_stored(scene: Scene, pool: str, kind: str) -> None:
    name = f"{pool}-{kind}"
    assert [event["worker"] for event in scene.of("start", name)] == [f"{pool}@chaos", "rescue@chaos"]
    assert scene.facts["states"][name] != "SUCCESS", "of the run that lost its lease"
    assert scene.facts["results"][name] == "rescue@chaos" + (" in a context" if "flask" in kind else "")


@pytest.mark.parametrize("pool", POOLS)
def test_its_worker_is_told(scene: Scene, pool: str) -> None:
    scene.assert_sound(f"{pool}-")


def test_nothing_is_left(scene: Scene) -> None:
    scene.assert_nothing_left()
