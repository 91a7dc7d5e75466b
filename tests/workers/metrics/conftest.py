"""A crew whose worker tells what happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from celery_groupfifo.testing import embedded
from tests.support.crews.workers import Crew
from tests.support.databases import Database


@pytest.fixture
def crew(redis_server: embedded.Server, redis_url: str, tmp_path: Path) -> Iterator[Crew]:
    """No worker is started yet."""
    crew = Crew(tmp_path, redis_url, Database.RESULTS.of(redis_server.url), groupfifo_lease_ttl=2.0)
    yield crew
    crew.close()
