"""A gate that answers, and refuses: no right to run a script, or a script that fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.chaos.stage import Stage
from tests.stalls.scene import QUICK, Scene, opened, rest
from tests.waiting import until

#: Longer than any refusal here: living workers' leases must not end by it.
LEASE = 6.0
POOLS = ("prefork", "threads")
GROUPS = 3


@contextmanager
def _foreign_keys(stage: Stage) -> Iterator[None]:
    """All that the gate keeps is of another type meanwhile: every script fails with its first look at it."""
    pipe = stage.redis.pipeline()
    names = [name for name in stage.redis.scan_iter(match="{groupfifo:*}:*") if stage.redis.type(name) != b"string"]
    for name in names:
        pipe.rename(name, b"moved:" + name).set(name, "something else")
    pipe.execute()
    try:
        yield
    finally:
        for name in names:
            pipe.delete(name).rename(b"moved:" + name, name)
        pipe.execute()


Refusing = Callable[[Stage], AbstractContextManager[None]]

#: How it refuses, what the server calls that, and for how long it does.
REFUSALS: dict[str, tuple[Refusing, str, float]] = {
    "no-right": (lambda stage: stage.gate.refusing("NOPERM"), "NOPERM", 5.0),
    "script-error": (_foreign_keys, "WRONGTYPE", 2.0),
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """One refusal after the other, each with runs that end meanwhile and tickets that wait at the broker already."""
    directory = tmp_path_factory.mktemp("refused") / "stage"
    alive: dict[str, list[str]] = {}
    refusals: dict[str, int] = {}
    with opened(directory, broker=True, groupfifo_lease_ttl=LEASE) as stage:
        for kind, (refusing, name, seconds) in REFUSALS.items():
            for pool in POOLS:
                if not any(worker.alive and worker.name.startswith(pool) for worker in stage.workers):
                    options = ("-Q", pool, *QUICK)
                    stage.launch(2, pool=pool, name=f"{pool}-{len(stage.workers)}", options=options).ready()
            _refuse(stage, kind, refusing(stage), seconds)
            refusals[kind] = stage.gate.refusals().get(name, 0)
            alive[kind] = [worker.name for worker in stage.workers if worker.alive]
        return Scene.ended(stage, within=10.0, alive=alive, refusals=refusals)


def _refuse(stage: Stage, kind: str, refusing: AbstractContextManager[None], seconds: float) -> None:
    for pool in POOLS:
        for seq in (1, 2):
            stage.send(f"{pool}-{kind}-running", seq, "wait", name=f"go-{kind}", queue=pool)
    until(lambda: len(stage.watch.look().open) == len(POOLS), stage.describe)
    workers = [worker for worker in stage.workers if worker.alive]
    for worker in workers:
        worker.freeze(0.5)
    for pool in POOLS:
        for group in range(GROUPS):
            for seq in (1, 2):
                stage.send(f"{pool}-{kind}-{group}", seq, queue=pool)
    with refusing:
        since = time.monotonic()
        for worker in workers:
            worker.thaw()
        (stage.directory / f"go-{kind}").touch()
        rest(since + seconds)
    rest(time.monotonic() + 3.0)  # begins and finishes are tried again


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("kind", REFUSALS)
def test_it_does_not_end_the_worker(scene: Scene, kind: str, pool: str) -> None:
    assert scene.facts["refusals"][kind], "nothing was refused"
    assert any(name.startswith(pool) for name in scene.facts["alive"][kind])


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("kind", REFUSALS)
def test_afterwards_everything_runs(scene: Scene, kind: str, pool: str) -> None:
    scene.assert_sound(f"{pool}-{kind}")
    scene.assert_first_runs(f"{pool}-{kind}")


def test_nothing_is_left(scene: Scene) -> None:
    scene.assert_nothing_left()
