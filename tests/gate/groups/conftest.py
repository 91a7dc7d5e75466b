"""Groups on a gate whose time a test holds in its hands."""

from __future__ import annotations

import pytest

from celery_groupfifo import Groups
from tests.support.shop import shop as shop
from tests.support.world import World


@pytest.fixture
def groups(world: World) -> Groups:
    return Groups(world.app, world.gate)
