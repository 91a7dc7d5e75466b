"""Exchanges and quorum queues with real workers: what is sent before the first one, what waits, what is retried."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Connection

from celery_groupfifo import Groups
from celery_groupfifo.testing.embedded import Server
from tests.support.databases import Database
from tests.support.waiting import until
from tests.workers.brokers.routed import RETRY
from tests.workers.brokers.setups import Setup

MakeSetup = Callable[..., Setup]


@pytest.fixture
def make(tmp_path: Path, redis_url: str) -> Iterator[MakeSetup]:
    made: list[Setup] = []

    def make(name: str, broker: str, **conf: Any) -> Setup:
        made.append(Setup(name, broker, redis_url, tmp_path, **conf))
        return made[-1]

    yield make
    for setup in made:
        setup.close()


@pytest.fixture(params=["gate", "redis", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def broker(request: pytest.FixtureRequest, redis_server: Server, redis_url: str) -> str:
    """The gate's own Redis, another one, or RabbitMQ; none of it knows a queue."""
    if request.param == "rabbitmq":
        url: str = request.getfixturevalue("rabbitmq_url")
        _forget(url, "video", "default", "celery")
        return url
    url = redis_url if request.param == "gate" else Database.RESULTS.of(redis_server.url)
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


def _forget(url: str, *queues: str) -> None:
    with Connection(url) as connection:
        for name in queues:
            connection.default_channel.queue_delete(name)
        connection.default_channel.exchange_delete("media")


def test_a_topic_exchange_before_the_first_worker_and_after_it(make: MakeSetup, broker: str) -> None:
    """Waiting tasks, retries and plain tasks go where a plain one goes."""
    setup = make("topic", broker)
    for number in range(3):
        setup.send("grouped", "g", number)
        setup.send("plain", "p", number)
    setup.worker()
    ready = time.monotonic()
    setup.started("g", 3)
    setup.started("p", 3)
    assert time.monotonic() - ready < 30, "nothing had to be looked for, after a minute"
    setup.send("grouped", "g", 3, 1)
    setup.send("grouped", "g", 4)
    events = setup.started("g", 6)
    assert [event["number"] for event in events] == [0, 1, 2, 3, 3, 4]
    setup.drained()
    assert "ERROR" not in setup.log and "lost on its way" not in setup.log


def test_it_is_declared_by_whoever_publishes(make: MakeSetup, broker: str, redis_url: str) -> None:
    """The ticket of a task that waited goes out from an app that knows nothing of its exchange."""
    setup = make("topic", broker)
    stranger = Celery("stranger", broker=broker, set_as_current=False)
    stranger.conf.groupfifo_url = redis_url
    groups = Groups(stranger)
    groups.pause("g")
    setup.send("grouped", "g", 1)
    groups.resume("g")
    stranger.close()
    setup.worker()
    setup.started("g", 1)


@pytest.fixture
def quorum(make: MakeSetup, rabbitmq_url: str) -> Setup:
    _forget(rabbitmq_url, "work")
    return make("quorum", rabbitmq_url)


@pytest.mark.rabbitmq
def test_a_countdown_counts_once_with_quorum_queues(quorum: Setup) -> None:
    quorum.worker()
    sent, countdown = time.time(), 7
    for kind in ("grouped", "plain"):
        quorum.send(kind, kind, 1, countdown=countdown)
    quorum.send("grouped", "r", 1, 2)
    quorum.send("grouped", "r", 2)
    for kind in ("grouped", "plain"):
        [start] = quorum.started(kind, 1)
        assert countdown - 0.1 <= start["at"] - sent < 2 * countdown, f"{kind}: {start['at'] - sent}"
    starts = quorum.started("r", 4)
    assert [(start["number"], start["retries"]) for start in starts] == [(1, 0), (1, 1), (1, 2), (2, 0)]
    waits = [later["at"] - earlier["at"] for earlier, later in pairwise(starts[:3])]
    assert all(RETRY - 0.1 <= wait < 2 * RETRY for wait in waits), waits


@pytest.mark.rabbitmq
def test_order_in_quorum_queues_over_two_workers(quorum: Setup) -> None:
    for _ in range(2):
        quorum.worker()
    until(lambda: "Global QoS is disabled" in quorum.log, lambda: quorum.log)
    for number in range(60):
        quorum.send("grouped", f"g{number % 6}", number, 0, 0.01)
    for group in range(6):
        quorum.started(f"g{group}", 10)
        starts, ends = quorum.events(f"g{group}"), quorum.events(f"g{group}", "end")
        assert [start["number"] for start in starts] == list(range(group, 60, 6))
        assert all(end["at"] <= start["at"] for end, start in zip(ends, starts[1:], strict=False))
    quorum.drained()
