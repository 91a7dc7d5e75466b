"""Flower in this process and in its own, on a gate with no worker unless a test starts one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from celery import Celery
from celery.result import AsyncResult

from celery_groupfifo import GroupFifoTask, Groups
from celery_groupfifo.flower import adapter
from celery_groupfifo.flower.outcome_counts import outcome_counts
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Failure, Finish, Ticket
from celery_groupfifo.gate.records import ticket_of

#: Keys as customers may have them.
HOSTILE = [
    *("a%b", "é漢", "a?b#c&d", "x/y/../z", "<b>evil</b>", "..", ".", "a+b c", "'\"`", "k" * 200),
    *("new\nline", "new\\nline", "\x1b[31mred", "\x1a[31mred", "a\u202eb", "a\xa0b", "a b"),
]


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
        self._numbers = count(1)

    def send(self, key: str, *ids: str, **options: Any) -> None:
        """Send tasks with these ids."""
        for number, id in enumerate(ids):
            result = self.task.apply_async((key, number), task_id=id, **options)
            result.backend = None  # nobody waits for it

    def begin(self, worker: str = "one@test") -> Ticket:
        """Begin the next task of the queue, as a worker does."""
        ticket = ticket_of(self.groups.gate.store.client.rpop("celery"))
        assert ticket is not None
        begun = self.groups.gate.begin(ticket._replace(lane=str(next(self._numbers))), quote(f"{worker}/1"))
        assert begun is not None
        return begun

    def finish(self, ticket: Ticket, key: str, failure: Failure | None = None, worker: str = "one@test") -> None:
        """End a run; with a failure, what its group's policy asks for."""
        number = next(self._numbers)
        owner = quote(f"{worker}/1")
        self.groups.gate.finish(Finish(ticket, owner, call=str(number), failure=failure))

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
    from tests.programs.flower.client import Client

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
