"""A gate that answers, and refuses: no right to run a script, or a script that fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import NamedTuple

import pytest

from tests.faults.stalls.scene import QUICK, Scene, opened, rest
from tests.support.stages.stage import Stage
from tests.support.waiting import until

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


class Refusal(NamedTuple):
    """A way of the gate to refuse, its name at the server, and its length."""

    refusing: Callable[[Stage], AbstractContextManager[None]]
    name: str
    seconds: float


REFUSALS = {
    "no-right": Refusal(lambda stage: stage.gate.refusing("NOPERM"), "NOPERM", 5.0),
    "script-error": Refusal(_foreign_keys, "WRONGTYPE", 2.0),
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scene]:
    """Each kind on a stage of its own, with runs that end meanwhile and tickets that wait at the broker already."""
    directory = tmp_path_factory.mktemp("refused")
    with ExitStack() as stack:
        stages = {
            kind: stack.enter_context(opened(directory / kind, broker=True, groupfifo_lease_ttl=LEASE))
            for kind in REFUSALS
        }
        for stage in stages.values():
            for pool in POOLS:
                stage.launch(2, pool=pool, name=pool, options=("-Q", pool, *QUICK))
        for stage in stages.values():
            _prepare(stage)
        faults = {kind: stack.enter_context(_refused(stage, kind)) for kind, stage in stages.items()}
        since = time.monotonic()
        for stage in stages.values():
            (stage.directory / "go").touch()
        for kind in sorted(REFUSALS, key=lambda kind: REFUSALS[kind].seconds):
            rest(since + REFUSALS[kind].seconds)
            faults[kind].close()
        return {kind: _ended(stage, REFUSALS[kind].name) for kind, stage in stages.items()}


def _ended(stage: Stage, name: str) -> Scene:
    scene = Scene.ended(stage, refusals=stage.gate.refusals().get(name, 0))
    scene.facts["alive"] = {worker.name for worker in stage.workers if worker.alive}
    return scene


def _prepare(stage: Stage) -> None:
    """Runs that wait for a word, and workers that stand still while tickets reach the broker."""
    for worker in stage.workers:
        worker.ready()
    for pool in POOLS:
        for seq in (1, 2):
            stage.send(f"{pool}-running", seq, "wait", name="go", queue=pool)
    until(lambda: len(stage.watch.look().open) == len(POOLS), stage.describe)
    for worker in stage.workers:
        worker.freeze(0.5)
    for pool in POOLS:
        for group in range(GROUPS):
            for seq in (1, 2):
                stage.send(f"{pool}-{group}", seq, queue=pool)


@contextmanager
def _refused(stage: Stage, kind: str) -> Iterator[ExitStack]:
    """The gate refuses until what this yields is closed; the workers go on."""
    with ExitStack() as fault:
        fault.enter_context(REFUSALS[kind].refusing(stage))
        for worker in stage.workers:
            worker.thaw()
        yield fault


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("kind", REFUSALS)
def test_it_does_not_end_the_worker(scenes: dict[str, Scene], kind: str, pool: str) -> None:
    assert scenes[kind].facts["refusals"], "nothing was refused"
    assert pool in scenes[kind].facts["alive"]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("kind", REFUSALS)
def test_afterwards_everything_runs(scenes: dict[str, Scene], kind: str, pool: str) -> None:
    scenes[kind].assert_sound(f"{pool}-")
    scenes[kind].assert_first_runs(f"{pool}-")


@pytest.mark.parametrize("kind", REFUSALS)
def test_nothing_is_left(scenes: dict[str, Scene], kind: str) -> None:
    scenes[kind].assert_nothing_left()
