"""The servers of the conformance runs, beside RabbitMQ: the embedded Valkey, and a Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from celery_groupfifo.testing import embedded
from tests.support.needs import need


@pytest.fixture(scope="session")
def valkey() -> Iterator[embedded.Server]:
    """The server that comes with the package's extra."""
    with embedded.start(appendonly=False) as server:
        yield server


@pytest.fixture(scope="session")
def redis_itself() -> Iterator[embedded.Server]:
    """A Redis of the system's."""
    need("redis-server")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(embedded.BINARY_VARIABLE, "redis-server")
        server = embedded.start(appendonly=False)
    with server:
        yield server
