"""A pool of the user's own that takes no task from within a callback of its own."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.faults.stalls import looping
from tests.faults.stalls.scene import QUICK, Scene, opened

GROUPS, TASKS = 4, 10
WHERE = ("elsewhere", "same")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scene]:
    """Some groups, at once where the gate is another server than the broker and where it is the same one."""
    directory = tmp_path_factory.mktemp("own-pool")
    with ExitStack() as stack:
        stages = {
            where: stack.enter_context(opened(directory / where, broker=where == "elsewhere", pool="custom"))
            for where in WHERE
        }
        for stage in stages.values():
            variables = {"CELERY_CUSTOM_WORKER_POOL": f"{looping.__name__}:LoopPool"}
            stage.launch(2, environment=variables, options=QUICK)
        for stage in stages.values():
            stage.workers[0].ready()
            stage.send_plain(1)
            for seq in range(1, TASKS + 1):
                for group in range(GROUPS):
                    stage.send(f"g{group}", seq, seconds=0.02)
        return {where: Scene.ended(stage) for where, stage in stages.items()}


@pytest.mark.parametrize("where", WHERE)
def test_all_tasks_run_in_order(scenes: dict[str, Scene], where: str) -> None:
    scenes[where].assert_sound("g")
    scenes[where].assert_first_runs("g")
    for group in range(GROUPS):
        assert scenes[where].order(f"g{group}") == list(range(1, TASKS + 1))


@pytest.mark.parametrize("where", WHERE)
def test_so_do_plain_ones(scenes: dict[str, Scene], where: str) -> None:
    assert len(scenes[where].of("plain")) == 1


@pytest.mark.parametrize("where", WHERE)
def test_nothing_is_left(scenes: dict[str, Scene], where: str) -> None:
    scenes[where].assert_nothing_left()
