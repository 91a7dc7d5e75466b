"""Brokers that are not the gate's Redis, and their settings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from celery_groupfifo.testing.rabbitmq import Node


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
