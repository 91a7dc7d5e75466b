"""The broker hangs up on the workers, and on nobody else: three times, and what is different ever after."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.chaos.stage import Stage
from tests.stalls.scene import QUICK, Scene, opened, rest
from tests.waiting import until

POOLS = ("prefork", "threads")
WHERE = ("elsewhere", "same")
GROUPS, TASKS, SECONDS = 4, 40, 0.04
#: For a heartbeat whose connection is a black hole: it takes a third of a lease and a timeout until it knows.
LEASE = 10.0
#: Two timeouts of the gate's clients, and what a busy machine takes.
NOTICED = 12.0


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
        return {where: Scene.ended(stage, within=15.0) for where, stage in stages.items()} | {
            "black hole": _black_hole(stages["elsewhere"])
        }


def _progress(stage: Stage, share: float) -> None:
    goal = GROUPS * TASKS * len(POOLS) * share
    with suppress(AssertionError):  # stuck already: for the tests to say
        until(lambda: len(stage.watch.look().done) >= goal, within=10.0)


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
        until(lambda: len(stage.watch.look().open) >= len(POOLS), within=10.0)
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


SLOTS, EACH = 8, 0.25


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, float]]:
    """Mean number of busy slots, some tasks after a reconnect."""
    with opened(tmp_path_factory.mktemp("slots") / "stage", worker_prefetch_multiplier=1) as stage:
        _launch(stage, SLOTS)
        for worker in stage.workers:
            worker.ready()
        for number in range(int(SLOTS / EACH * 6)):
            for pool in POOLS:
                stage.send(f"{pool}-{number}", 1, seconds=EACH, queue=pool)
        until(lambda: len(stage.watch.look().open) == 2 * SLOTS, stage.describe)
        _hang_up(stage)
        cut = time.monotonic()
        rest(cut + 4.0)
        yield {pool: _mean_busy(Scene(stage), pool, cut + 2.0, cut + 4.0) for pool in POOLS}


def _mean_busy(scene: Scene, pool: str, since: float, to: float) -> float:
    ends = {(event["group"], event["fence"]): event["t"] for event in scene.of("end", f"{pool}-")}
    spans = [(each["t"], ends.get((each["group"], each["fence"]), to)) for each in scene.of("start", f"{pool}-")]
    return sum(max(min(end, to) - max(start, since), 0.0) for start, end in spans) / (to - since)


@pytest.mark.parametrize("pool", POOLS)
def test_all_slots_work_again(busy: dict[str, float], pool: str) -> None:
    """Celery takes what was running from the prefetch count when a connection breaks, and gives it back."""
    assert busy[pool] > 0.75 * SLOTS, busy
