"""A broker that closes a channel ends no worker that has started, and no run: `broker_channel_error_retry`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Connection, Queue

from celery_groupfifo.testing import embedded
from celery_groupfifo.worker.reconnect import SETTING, ChannelClosed, after_channel_errors
from tests.support.waiting import until
from tests.workers.brokers.setups import Setup

MakeSetup = Callable[..., Setup]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[MakeSetup]:
    made: list[Setup] = []

    def make(broker: str, gate: str, name: str = "usual", **conf: Any) -> Setup:
        made.append(Setup(name, broker, gate, tmp_path, **conf))
        return made[-1]

    yield make
    for setup in made:
        setup.close()


@pytest.mark.rabbitmq
def test_a_run_that_outlasts_rabbitmqs_consumer_timeout(
    make: MakeSetup, rabbitmq_url: str, redis_url: str, short_consumer_timeout: None
) -> None:
    with Connection(rabbitmq_url) as connection:
        connection.default_channel.queue_delete("celery")
    setup = make(rabbitmq_url, redis_url)
    worker = setup.worker()
    setup.send("grouped", "g", 1, 0, 6.0)
    setup.send("grouped", "g", 2)
    starts = setup.started("g", 2)
    until(lambda: "PRECONDITION_FAILED" in setup.log, lambda: setup.log)
    assert worker.poll() is None, setup.log
    assert [start["number"] for start in starts] == [1, 2], "the run went on, and was not repeated"
    setup.drained()


@pytest.fixture
def server() -> Iterator[embedded.Server]:
    """A server of the test's own, whose settings it changes."""
    with embedded.start(appendonly=False) as server:
        yield server


def refuses(server: embedded.Server, yes: bool) -> None:
    """A Redis without the replicas that it must have refuses writes."""
    with redis.Redis.from_url(server.url) as client:
        client.config_set("min-replicas-to-write", int(yes))


def test_a_redis_without_its_replicas(make: MakeSetup, server: embedded.Server) -> None:
    setup = make(f"{server.url}/0", f"{server.url}/0")
    worker = setup.worker()
    setup.send("grouped", "g", 1)
    setup.started("g", 1)
    setup.drained()
    refuses(server, True)
    until(lambda: "NOREPLICAS" in setup.log, lambda: setup.log)
    until(lambda: "Trying to re-establish" in setup.log or worker.poll() is not None, lambda: setup.log)
    refuses(server, False)
    setup.send("grouped", "g", 2)
    setup.started("g", 2)
    assert worker.poll() is None


def test_where_the_user_wants_it_celery_ends_the_worker(make: MakeSetup, server: embedded.Server) -> None:
    setup = make(f"{server.url}/0", f"{server.url}/0", broker_channel_error_retry=False)
    worker = setup.worker()
    refuses(server, True)
    until(lambda: worker.poll() is not None, lambda: setup.log)


@pytest.mark.rabbitmq
def test_a_first_start_that_fails_ends_the_worker(make: MakeSetup, rabbitmq_url: str, redis_url: str) -> None:
    """A queue that is declared otherwise stays so: a worker that tried again and again would only hide it."""
    with Connection(rabbitmq_url) as connection:
        channel = connection.default_channel
        channel.queue_delete("celery")
        Queue("celery", durable=False)(channel).queue_declare()
    setup = make(rabbitmq_url, redis_url)
    with pytest.raises(AssertionError, match="PRECONDITION_FAILED"):
        setup.worker()
    with Connection(rabbitmq_url) as connection:
        connection.default_channel.queue_delete("celery")


# -- the setting ---------------------------------------------------------------


class Refused(Exception):
    """An error of a channel."""


def consumer(conf: Any = None, **settings: Any) -> Any:
    app = Celery("setting", set_as_current=False)
    if conf is not None:
        app.config_from_object(conf, namespace="CELERY")
    app.conf.update(settings)

    def loop() -> None:
        raise Refused("closed")

    return SimpleNamespace(app=app, loop=loop, channel_errors=(Refused,))


def test_it_is_set_when_the_worker_has_started() -> None:
    one = consumer()
    after_channel_errors(one)
    assert one.app.conf[SETTING] is False, "a start that fails is no reason to go on"
    with pytest.raises(ChannelClosed, match="closed"):
        one.loop()
    assert one.app.conf[SETTING] is True


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("namespaced", [True, False])
def test_what_the_user_says_counts(value: bool, namespaced: bool) -> None:
    name = f"CELERY_{SETTING.upper()}"
    one = consumer({name: value} if namespaced else None, **({} if namespaced else {SETTING: value}))
    after_channel_errors(one)
    with pytest.raises(Refused):
        one.loop()
    assert one.app.conf[SETTING] is value


def test_other_errors_are_left_alone() -> None:
    one = consumer()

    def loop() -> None:
        raise KeyError("ours")

    one.loop = loop
    after_channel_errors(one)
    with pytest.raises(KeyError):
        one.loop()
