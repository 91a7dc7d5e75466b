"""A RabbitMQ of the session's own."""

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
