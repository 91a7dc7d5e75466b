"""One worker for each pool, started when first needed and used by all tests that do it no harm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from celery_groupfifo.testing import embedded
from tests.support.crews.workers import Crew
from tests.support.databases import Database

#: The untuned one is prefork without the changes of Celery that only save time.
POOLS = ("prefork", "threads", "gevent", "eventlet", "solo", "untuned")


@pytest.fixture(scope="session", params=POOLS)
def pool_crew(
    request: pytest.FixtureRequest, redis_server: embedded.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Crew]:
    name = request.param
    crew = Crew(
        tmp_path_factory.mktemp(name),
        Database[name.upper()].of(redis_server.url),
        Database.RESULTS.of(redis_server.url),
        "prefork" if name == "untuned" else name,
        1 if name == "solo" else 4,
        groupfifo_tuning=name != "untuned",
    )
    yield crew
    crew.close()


@pytest.fixture
def crew(pool_crew: Crew) -> Crew:
    """A crew that is well: after a test that broke it, a new worker on an empty database."""
    return pool_crew.ready()


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A group of the test's own."""
    return str(request.node.name)


@pytest.fixture
def make_crew(redis_server: embedded.Server, tmp_path: Path) -> Iterator[Callable[..., Crew]]:
    """Makes a crew of the test's own, for what would harm others or needs settings; its worker is not started."""
    crews: list[Crew] = []

    def make(
        pool: str = "prefork",
        slots: int = 4,
        server: embedded.Server = redis_server,
        results: embedded.Server = redis_server,
        **conf: Any,
    ) -> Crew:
        directory = tmp_path / str(len(crews))
        directory.mkdir()
        urls = Database.OWN.of(server.url), Database.RESULTS.of(results.url)
        crews.append(Crew(directory, *urls, pool, slots, **conf))
        crews[-1].redis.flushdb()
        return crews[-1]

    yield make
    for crew in crews:
        crew.close()
