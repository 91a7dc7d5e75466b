"""One worker for each pool, started when first needed and used by all tests that do it no harm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from celery_groupfifo import embedded
from tests.worker.workers import Crew

#: Databases of the session's server; results of all crews share one. The untuned pool is prefork without the changes of
#: Celery that only save time.
DATABASES = {"prefork": 1, "threads": 2, "gevent": 3, "eventlet": 4, "solo": 5, "untuned": 7}
OWN = 6
RESULTS = 8


@pytest.fixture(scope="session", params=list(DATABASES))
def pool_crew(
    request: pytest.FixtureRequest, redis_server: embedded.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Crew]:
    name = request.param
    crew = Crew(
        tmp_path_factory.mktemp(name),
        f"{redis_server.url}/{DATABASES[name]}",
        f"{redis_server.url}/{RESULTS}",
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
    return request.node.name


@pytest.fixture
def make_crew(redis_server: embedded.Server, tmp_path: Path) -> Iterator[Callable[..., Crew]]:
    """Makes a crew of the test's own, for what would harm others or needs settings; its worker is not started."""
    crews = []

    def make(
        pool: str = "prefork",
        slots: int = 4,
        server: embedded.Server = redis_server,
        results: embedded.Server = redis_server,
        **conf: Any,
    ) -> Crew:
        directory = tmp_path / str(len(crews))
        directory.mkdir()
        crews.append(Crew(directory, f"{server.url}/{OWN}", f"{results.url}/{RESULTS}", pool, slots, **conf))
        crews[-1].redis.flushdb()
        return crews[-1]

    yield make
    for crew in crews:
        crew.close()
