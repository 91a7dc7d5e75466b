"""celery-singleton and GroupFifoTask in one class: a duplicate is not sent, and what is sent goes in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, Task
from celery_singleton import DuplicateTaskError, Singleton

from celery_groupfifo import GroupFifoTask
from tests.support.world import World


@pytest.fixture
def world(redis_url: str) -> Iterator[World]:
    app = Celery("singleton", broker=redis_url, backend=redis_url, set_as_current=False)
    app.conf.singleton_backend_url = redis_url
    world = World(redis_url, app)
    yield world
    world.close()


def made(app: Celery, name: str, *bases: type[Task], **options: Any) -> Any:
    base = type("Both", bases, {"abstract": True})

    def run(key: str, number: int) -> int:
        return number

    return app.task(name=name, base=base, lazy=False, shared=False, **options)(run)


@pytest.mark.parametrize("turned", [False, True], ids=["GroupFifoTask first", "Singleton first"])
def test_a_duplicate_is_not_sent(world: World, turned: bool) -> None:
    bases = [GroupFifoTask, Singleton]
    task = made(world.app, "once", *(bases[::-1] if turned else bases), group_key="{key}")
    first, other, again = task.delay("k", 1), task.delay("k", 2), task.delay("k", 1)
    assert again.id == first.id != other.id
    assert (world.depth("k"), world.waiting("k")) == (2, [other.id])


def test_as_beside_a_plain_one(world: World) -> None:
    plain = made(world.app, "plain", Singleton)
    assert plain.delay("k", 1).id == plain.delay("k", 1).id
    assert world.redis.llen("celery") == 1 and not world.residue()


def test_it_may_raise(world: World) -> None:
    task = made(world.app, "once", GroupFifoTask, Singleton, group_key="{key}", raise_on_duplicate=True)
    task.delay("k", 1)
    with pytest.raises(DuplicateTaskError):
        task.delay("k", 1)


def test_when_it_has_ended_it_may_be_sent_again(world: World) -> None:
    task = made(world.app, "once", GroupFifoTask, Singleton, group_key="{key}")
    first = task.delay("k", 1)
    task.on_success(1, first.id, ["k", 1], {})
    assert task.delay("k", 1).id != first.id
    assert world.depth("k") == 2
