"""The broker hangs up on the workers, and on nobody else: three times, and what is different ever after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial

import pytest

from tests.faults.stalls.scene import QUICK, Scene, has_connected_anew, opened
from tests.support.stages.stage import Stage
from tests.support.waiting import until

POOLS = ("prefork", "threads")
WHERE = ("elsewhere", "same")
GROUPS, TASKS, SECONDS = 4, 40, 0.04
#: For a heartbeat whose connection is a black hole: it takes a third of a lease and a timeout until it knows.
LEASE = 10.0
#: It takes two timeouts of the gate's clients, ten seconds; who does not notice goes on after hours.
NOTICED = 40.0


def _launch(stage: Stage, slots: int = 2) -> None:
    for pool in POOLS:
        stage.launch(slots, pool=pool, name=pool, by_proxy=True, options=("-Q", pool, *QUICK))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scene]:
    """Three reconnects under load, at once where the gate is another server and where it is the same one."""
    directory = tmp_path_factory.mktemp("reconnects")
    with ExitStack() as stack:
        stages = {
            where: stack.enter_context(
                opened(directory / where, broker=where == "elsewhere", groupfifo_lease_ttl=LEASE)
            )
            for where in WHERE
        }
        for stage in stages.values():
            _launch(stage)
        for stage in stages.values():
            for worker in stage.workers:
                worker.ready()
        for seq in range(1, TASKS + 1):
            for stage in stages.values():
                for group in range(GROUPS):
                    for pool in POOLS:
                        stage.send(f"{pool}-{group}", seq, seconds=SECONDS, queue=pool)
        for part in (1, 3, 5):
            for stage in stages.values():
                _progress(stage, part / 8)
                _hang_up(stage)
        return {where: Scene.ended(stage) for where, stage in stages.items()} | {
            "black hole": _black_hole(stages["elsewhere"])
        }


def _progress(stage: Stage, share: float) -> None:
    goal = GROUPS * TASKS * len(POOLS) * share
    with suppress(AssertionError):  # stuck already: for the tests to say
        until(lambda: len(stage.watch.look().done) >= goal)


def _hang_up(stage: Stage) -> None:
    """On the connections to the broker; those to the gate say so by their names."""
    for client in stage.broker.redis.client_list():
        if not client["name"].startswith("groupfifo") and int(client["id"]) != stage.broker.redis.client_id():
            stage.broker.redis.client_kill_filter(_id=client["id"])


def _black_hole(stage: Stage) -> Scene:
    """The connections to the gate go on to be open, and nobody answers on them; new ones work."""
    for pool in POOLS:
        stage.send(f"{pool}-x", 1, "wait", name="go", queue=pool)
        stage.send(f"{pool}-x", 2, queue=pool)
    with suppress(AssertionError):
        until(lambda: len(stage.watch.look().open) >= len(POOLS))
    stage.proxy.swallow()
    (stage.directory / "go").touch()
    return Scene.ended(stage, within=NOTICED + 3.0)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("where", WHERE)
def test_all_tasks_end_in_order_and_none_is_repeated(scenes: dict[str, Scene], where: str, pool: str) -> None:
    for group in range(GROUPS):
        scenes[where].assert_sound(f"{pool}-{group}")
        assert scenes[where].order(f"{pool}-{group}") == list(range(1, TASKS + 1))
    scenes[where].assert_first_runs(f"{pool}-")


@pytest.mark.parametrize("where", WHERE)
def test_nothing_is_left(scenes: dict[str, Scene], where: str) -> None:
    scenes[where].assert_nothing_left()


@pytest.mark.parametrize("pool", POOLS)
def test_afterwards_a_lost_answer_of_the_gate_is_noticed(scenes: dict[str, Scene], pool: str) -> None:
    scene = scenes["black hole"]
    scene.assert_sound(f"{pool}-x")
    scene.assert_first_runs(f"{pool}-x")
    (_, second), (end, _) = scene.of("start", f"{pool}-x"), scene.of("end", f"{pool}-x")
    assert second["t"] - end["t"] < NOTICED


SLOTS = 8


@pytest.fixture(scope="module")
def working(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """Return the number of slots that work at one time, after a reconnect in the middle of as many runs."""
    with opened(tmp_path_factory.mktemp("slots") / "stage", worker_prefetch_multiplier=1) as stage:
        _launch(stage, SLOTS)
        for worker in stage.workers:
            worker.ready()
        _fill(stage, "before")
        _hang_up(stage)
        for worker in stage.workers:
            until(partial(has_connected_anew, worker), worker.process.tail)
        (stage.directory / "before").touch()
        with suppress(AssertionError):  # for the tests to say
            _fill(stage, "after")
        yield {pool: _open(stage, f"{pool}-after") for pool in POOLS}
        (stage.directory / "after").touch()


def _fill(stage: Stage, name: str) -> None:
    """Let all slots work, until the stage is told the name."""
    for number in range(SLOTS):
        for pool in POOLS:
            stage.send(f"{pool}-{name}-{number}", 1, "wait", name=name, queue=pool)
    until(lambda: all(_open(stage, f"{pool}-{name}") == SLOTS for pool in POOLS), stage.describe)


def _open(stage: Stage, prefix: str) -> int:
    return sum(group.startswith(prefix) for group, _, _ in stage.watch.look().open)


@pytest.mark.parametrize("pool", POOLS)
def test_all_slots_work_again(working: dict[str, int], pool: str) -> None:
    """Celery takes what was running from the prefetch count when a connection breaks, and gives it back."""
    assert working[pool] == SLOTS, working
