"""An app on a gate whose time a test holds in its hands, as operators see it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from celery import Celery
from celery.result import AsyncResult

from celery_groupfifo import GroupFifoTask, Groups
from celery_groupfifo.gate.gate import _ATTRIBUTE
from celery_groupfifo.gate.model import Ticket
from tests.support.world import World


class Shop:
    """An app with an ordered task and a result backend, on a gate whose time stands still; no worker lives.

    Args:
        url: Of an empty database.
    """

    def __init__(self, url: str) -> None:
        self.app = Celery("shop", broker=url, backend=url, set_as_current=False)
        self.world = World(url, self.app)
        setattr(self.app, _ATTRIBUTE, (os.getpid(), {"groupfifo": self.world.gate}))
        self.groups = Groups(self.app)

        @self.app.task(base=GroupFifoTask, group_key="{key}", name="shop.send", max_retries=5, shared=False)
        def send(key: str, number: int = 0) -> None:
            """Never run here."""

        self.task = send

    def send(self, key: str, id: str, **options: object) -> AsyncResult:
        """Send one task; time goes by meanwhile."""
        self.world.tick(1)
        return self.task.apply_async((key, 7), task_id=id, **options)

    def state(self, id: str) -> str:
        """Return the state in the result backend."""
        return str(self.app.AsyncResult(id).state)

    def begin(self, owner: str = "celery@host/0a1b2c3d") -> Ticket:
        """A worker takes the next ticket."""
        begun = self.world.begin(self.world.receive("celery"), owner)
        assert begun is not None
        return begun


@pytest.fixture
def shop(redis_url: str) -> Iterator[Shop]:
    shop = Shop(redis_url)
    assert shop.groups.gate is shop.world.gate
    yield shop
    shop.world.close()
