"""Flower in this process and in its own, on a gate with no worker unless a test starts one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from celery.result import AsyncResult

from celery_groupfifo import GroupFifoTask, Groups
from celery_groupfifo.flower import adapter
from celery_groupfifo.flower.outcome_counts import outcome_counts

#: Keys as customers may have them.
HOSTILE = ["a%b", "é漢", "a?b#c&d", "x/y/../z", "new\nline", "<b>evil</b>", "..", ".", "a+b c", "'\"`", "k" * 200]


class Shop:
    """An app with an ordered task."""

    def __init__(self, url: str) -> None:
        self.app = Celery("shop", broker=url, backend=url, set_as_current=False)
        self.groups = Groups(self.app)

        @self.app.task(base=GroupFifoTask, group_key="{key}", name="shop.send", shared=False)
        def send(key: str, number: int = 0) -> None:
            """Never run here."""

        self.task = send
        self._results: list[AsyncResult] = []

    def send(self, key: str, *ids: str, **options: Any) -> None:
        """Send tasks with these ids."""
        for number, id in enumerate(ids):
            result = self.task.apply_async((key, number), task_id=id, **options)
            result.backend = None  # nobody waits for it

    def close(self) -> None:
        self.app.close()


@pytest.fixture
def shop(redis_url: str) -> Iterator[Shop]:
    shop = Shop(redis_url)
    yield shop
    shop.close()


Make = Callable[..., Any]


@pytest.fixture
def make_client(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Starts Flower with some options; without others its API is open, as an operator may have it."""
    adapter.install()
    from tests.flower.client import Client

    clients: list[Client] = []
    outcome_counts.__init__()  # type: ignore[misc]

    def make(app: Celery | None = None, open_api: bool = True, **options: Any) -> Client:
        monkeypatch.setenv("FLOWER_UNAUTHENTICATED_API", "1" if open_api else "0")
        clients.append(Client(app or shop.app, **options))
        return clients[-1]

    yield make
    for client in reversed(clients):
        client.close()


@pytest.fixture
def client(make_client: Make) -> Any:
    return make_client()
