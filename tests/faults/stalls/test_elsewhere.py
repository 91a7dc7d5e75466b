"""The broker hangs, or the result backend does, and the gate is well: nobody's lease is lost, nobody's task is late."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest

from tests.faults.stalls.scene import LEASE, QUICK, Scene, opened, rest
from tests.support.stages.stage import Stage
from tests.support.waiting import until

#: Long enough for a lease to be lost, and for another worker to run into what the first one ran into.
SECONDS = 2 * LEASE + 6.0
#: When tasks come due, in seconds from the beginning of the hang: long before its end.
DUE = (0.5, 2 * LEASE + 0.5)
#: What waited for a broker starts before this after its end; what counts as lost on its way goes out after a minute.
AFTERWARDS = 20.0
#: Three workers: one after the other runs into what hangs, and the last one would take the leases of the first one.
POOLS = ("prefork", "threads", "gevent")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Scene]]:
    """Two stages at once; on each of them three workers live through a hang of a server that is not the gate's."""
    directory = tmp_path_factory.mktemp("elsewhere")
    with opened(directory / "broker", broker=True) as first, opened(directory / "backend", backend=True) as second:
        for stage in (first, second):
            for pool in POOLS:
                stage.launch(2, pool=pool, name=pool, options=("-Q", pool, *QUICK))
        for stage in (first, second):
            for worker in stage.workers:
                worker.ready()
            for pool in POOLS:
                stage.send(f"{pool}-long", 1, "wait", name="go", queue=pool)
                stage.send(f"{pool}-long", 2, queue=pool)
            until(partial(_all_run, stage), stage.describe)
        revoked = _to_revoke(second)
        now = time.monotonic()
        due = {f"{pool}-due-{number}": at for number, at in enumerate(DUE) for pool in POOLS}
        for stage in (first, second):
            for group, at in due.items():
                stage.send(group, 1, queue=group.split("-")[0], countdown=at + now - time.monotonic())
        with first.broker.hanging(), second.backend.hanging():
            (second.directory / "go-fail").touch()
            rest(now + SECONDS)
        back = time.monotonic()
        for stage in (first, second):
            (stage.directory / "go").touch()
        ended = {
            name: Scene.ended(stage, back=back, due={group: now + at for group, at in due.items()})
            for name, stage in (("broker", first), ("backend", second))
        }
        with suppress(AssertionError):  # for the tests to say
            until(lambda: all(result.state == "REVOKED" for result in revoked.values()))
        ended["backend"].facts["states"] = [result.state for result in revoked.values()]
        yield ended


def _all_run(stage: Stage) -> bool:
    return len(stage.watch.look().open) == len(POOLS)


def _to_revoke(stage: Stage) -> dict[int, Any]:
    """Send what the result backend is told of: a group whose first task cancels the rest, and an expired task."""
    stage.send("cancel", 1, "fail", name="go-fail", queue="prefork", group_on_failure="cancel_rest")
    results = {seq: stage.send("cancel", seq, queue="prefork", ignore_result=False) for seq in (2, 3)}
    for seq in results:
        stage.gone("cancel", seq)
    until(lambda: stage.watch.starts("cancel"))
    soon = datetime.now(timezone.utc) + timedelta(seconds=SECONDS / 2)
    stage.send("threads-long", 3, queue="threads", expires=soon, ignore_result=False)
    stage.gone("threads-long", 3)
    return results


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("server", ["broker", "backend"])
def test_a_living_worker_keeps_its_leases(scenes: dict[str, Scene], server: str, pool: str) -> None:
    scenes[server].assert_sound(f"{pool}-long")
    scenes[server].assert_first_runs(f"{pool}-long")


@pytest.mark.parametrize("pool", POOLS)
def test_while_the_broker_hangs_what_is_due_waits_for_nothing_else(scenes: dict[str, Scene], pool: str) -> None:
    assert max(_starts_of_due(scenes["broker"], pool)) < scenes["broker"].facts["back"] + AFTERWARDS


@pytest.mark.parametrize("pool", POOLS)
def test_while_the_backend_hangs_what_is_due_is_in_time(scenes: dict[str, Scene], pool: str) -> None:
    starts, back = _starts_of_due(scenes["backend"], pool), scenes["backend"].facts["back"]
    assert max(starts) < back, "it has not waited for the end of the hang"


def _starts_of_due(scene: Scene, pool: str) -> list[float]:
    starts = {event["group"]: event["t"] for event in scene.of("start", f"{pool}-due-")}
    assert len(scene.of("start", f"{pool}-due-")) == len(starts) == len(DUE)
    return list(starts.values())


def test_what_the_backend_has_to_be_told_it_is_told_when_it_is_back(scenes: dict[str, Scene]) -> None:
    assert scenes["backend"].order("cancel") == [1]
    assert scenes["backend"].facts["states"] == ["REVOKED"] * 2


@pytest.mark.parametrize("server", ["broker", "backend"])
def test_nothing_is_left(scenes: dict[str, Scene], server: str) -> None:
    scenes[server].assert_nothing_left()
