"""Brokers that are not the gate's Redis: a RabbitMQ of the session's own, and kombu's filesystem transport."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from celery_groupfifo.testing.rabbitmq import Node, start


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node of its own."""
    with start(tmp_path_factory.mktemp("broker")) as node:
        yield node


@pytest.fixture(scope="session")
def rabbitmq_url(rabbitmq: Node) -> str:
    """The URL of the node."""
    return rabbitmq.url


@pytest.fixture
def short_consumer_timeout(rabbitmq: Node) -> Iterator[None]:
    """The node closes a channel that has not acknowledged for two seconds: as a rule it takes 30 minutes."""

    def says(expression: str) -> str:
        return rabbitmq.control("eval", expression)

    before = {
        name: says(f"application:get_env(rabbit, {name}).") for name in ("consumer_timeout", "channel_tick_interval")
    }
    says(
        "application:set_env(rabbit, consumer_timeout, 2000), application:set_env(rabbit, channel_tick_interval, 500)."
    )
    yield
    for name, value in before.items():
        number = value.removeprefix("{ok,").removesuffix("}")
        assert number.isdigit(), value
        says(f"application:set_env(rabbit, {name}, {number}).")
