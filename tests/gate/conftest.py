"""A gate for each test, on the session's server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gate.support import World


@pytest.fixture
def world(redis_url: str) -> Iterator[World]:
    world = World(redis_url)
    yield world
    world.close()
