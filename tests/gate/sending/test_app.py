"""An app that was not told of groups sends nothing to one: its workers would not tell the gate of any end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery, _state

from celery_groupfifo import GroupFifo, GroupFifoTask, InvalidSetting
from tests.support.world import World


def run(key: str) -> None: ...


SENDS: dict[str, Callable[[Celery], Any]] = {
    "with the call": lambda app: app.task(run, name="plain", shared=False).apply_async(("k",), group_key="k"),
    "in a header": lambda app: app.task(run, name="plain", shared=False).apply_async(
        ("k",), headers={"groupfifo_group_key": "k"}
    ),
    "on the task": lambda app: app.task(run, name="keyed", group_key="{key}", shared=False).delay("k"),
}


@pytest.fixture(autouse=True)
def nothing_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the ordered tasks that other tests share with each app of the process, as Celery does by default."""
    monkeypatch.setattr(_state, "_on_app_finalizers", set())


@pytest.mark.parametrize("way", SENDS)
def test_it_has_to_be_told(world: World, way: str) -> None:
    send = SENDS[way]
    with pytest.raises(InvalidSetting, match=r"to a group, but the app 'gate-tests' .*GroupFifo\(app\)"):
        send(world.app)
    assert not world.redis.keys("*")
    GroupFifo(world.app)
    send(world.app)
    assert world.redis.llen("celery") == 1


@pytest.mark.parametrize("options", [{"group_key": "k"}, {"headers": {"groupfifo_group_key": "k"}}])
def test_a_client_without_task_code_need_not_be_told(world: World, options: Any) -> None:
    """Its own workers, if there are any, don't know the task."""
    world.app.send_task("elsewhere", ("k",), **options)
    assert world.redis.llen("celery") == 1


def test_a_task_that_is_not_bound_yet_tells_it(world: World) -> None:
    world.app.task(run, name="ordered", base=GroupFifoTask, group_key="{key}", shared=False)
    assert not world.app.finalized
    world.app.send_task("ordered", ("k",), group_key="k")
    assert world.redis.llen("celery") == 1
