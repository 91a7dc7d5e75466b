"""Quorum queues: Celery sends a countdown over queues that delay. The gate waits for an ETA by itself, and once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from celery import Celery
from celery.app.amqp import AMQP
from kombu import Exchange, Queue
from kombu.messaging import Producer

from celery_groupfifo import GroupFifoTask
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.sending.context import Continuation, continuing

WORK = Exchange("work", type="topic")
QUORUM = {"x-queue-type": "quorum"}
LATER = {"countdown": 5}, {"eta": datetime.now(timezone.utc) + timedelta(hours=1)}


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    app = Celery("quorum", broker="amqp://rabbit.invalid//", set_as_current=False)
    app.conf.update(
        groupfifo_url=redis_url,
        task_default_queue="work",
        task_default_exchange="work",
        task_default_exchange_type="topic",
        task_default_routing_key="work",
        task_queues=[
            Queue("work", WORK, "work", queue_arguments=QUORUM),
            Queue("slow", Exchange("slow", type="topic"), "slow.#", queue_arguments=QUORUM),
        ],
        task_ignore_result=True,
    )

    def send(key: str) -> None: ...

    app.task(base=GroupFifoTask, group_key="{key}", name="grouped", lazy=False, shared=False)(send)
    app.task(name="plain", lazy=False, shared=False)(send)
    yield app
    app.close()


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The calls of `Producer.publish`; nothing goes further."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(Producer, "publish", lambda self, body, **options: calls.append(options))
    return calls


def way(call: dict[str, Any]) -> tuple[str, str, list[str]]:
    exchange = call["exchange"]
    return getattr(exchange, "name", exchange), call["routing_key"], [queue.name for queue in call["declare"] or ()]


ROUTES: list[dict[str, Any]] = [
    {},
    {"queue": "slow"},
    {"queue": "slow", "routing_key": "slow.very"},
    {"queue": Queue("own", WORK, "own")},
    {"exchange": "work", "routing_key": "work.x", "exchange_type": "topic"},
]


@pytest.mark.parametrize("later", LATER, ids=["countdown", "eta"])
@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_a_task_of_a_group_goes_the_way_of_one_that_is_due(
    app: Celery, published: list[dict[str, Any]], route: dict[str, Any], later: dict[str, Any]
) -> None:
    app.tasks["grouped"].apply_async(("k",), **route)
    app.tasks["grouped"].apply_async(("k",), **route, **later)
    at_once, delayed = published
    assert way(delayed) == way(at_once)
    assert delayed["headers"]["eta"] and not at_once["headers"]["eta"]
    assert set(delayed) == set(at_once), "no option of ours is left"


def test_plain_tasks_keep_their_delay(app: Celery, published: list[dict[str, Any]]) -> None:
    app.tasks["plain"].apply_async(("k",), countdown=5)
    app.send_task("unknown", countdown=5)
    for call in published:
        name, key, _ = way(call)
        assert name == "celery_delayed_27" and key.endswith("1.0.1.work")


@pytest.mark.parametrize("name", ["grouped", "plain", "unknown"])
def test_a_call_by_name(app: Celery, published: list[dict[str, Any]], name: str) -> None:
    app.send_task(name, ("k",), group_key="k", countdown=5)
    assert way(published[0])[:2] == ("work", "work")


def test_the_first_call_by_name_of_an_app_that_is_not_finalized(
    redis_url: str, published: list[dict[str, Any]]
) -> None:
    app = Celery("lazy", broker="amqp://rabbit.invalid//", set_as_current=False)
    app.conf.update(groupfifo_url=redis_url, task_queues=[Queue("work", WORK, "work", queue_arguments=QUORUM)])
    app.conf.update(task_default_queue="work")

    @app.task(base=GroupFifoTask, group_key="{key}", name="grouped", shared=False)
    def grouped(key: str) -> None: ...

    app.send_task("grouped", ("k",), countdown=5)
    assert way(published[0])[:2] == ("work", "work")
    app.close()


def test_a_sender_that_does_not_know_groups_gets_no_option_of_ours(
    redis_url: str, published: list[dict[str, Any]]
) -> None:
    """An app that has sent before the import, and is used in a run of another one."""
    other = Celery("other", broker=redis_url, set_as_current=False)
    other.amqp.send_task_message = AMQP._create_task_sender.groupfifo(other.amqp)
    with continuing(Continuation(Ticket("groupfifo:0", 1, 0, 1, "running", quote("k")), "k", 0)):
        other.send_task("t", countdown=3)
    assert "groupfifo_routed" not in published[0]
    other.close()


def test_what_a_run_sends(app: Celery, published: list[dict[str, Any]]) -> None:
    """The retry of a plain task that was sent with a key belongs to its group; another plain task does not."""
    run = Continuation(Ticket("groupfifo:0", 1, 0, 1, "running", quote("k")), "k", 0)
    with continuing(run):
        app.tasks["plain"].apply_async(("k",), task_id="running", retries=1, countdown=3)
        app.tasks["plain"].apply_async(("k",), task_id="other", countdown=3)
    assert [way(call)[0] for call in published] == ["work", "celery_delayed_27"]
    assert all("groupfifo_routed" not in call for call in published)
