"""Everything by TLS, to a server that asks for the client's certificate: broker, gate and result backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from celery_groupfifo.testing import embedded
from tests.support.crews.workers import Crew
from tests.support.databases import Database
from tests.support.tls_server import Certificates, certificates, tls_server
from tests.support.waiting import until

pytestmark = pytest.mark.tls

#: More than a record of TLS holds, and than the loop reads at once.
LONG = 100_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def tls(made: Certificates) -> Iterator[tuple[embedded.Server, str]]:
    """The server, and its URL without a database."""
    with tls_server(made) as (server, port):
        yield server, f"rediss://127.0.0.1:{port}"


@pytest.fixture
def crew_by_tls(tls: tuple[embedded.Server, str], made: Certificates, tmp_path: Path) -> Iterator[Callable[..., Crew]]:
    crews: list[Crew] = []

    def make(pool: str, **conf: Any) -> Crew:
        server, url = tls
        with redis.Redis.from_url(server.url) as client:
            client.flushall()
        urls = [f"{url}/{number}?{made.query}" for number in (1, 2)]
        crews.append(Crew(tmp_path, urls[0], urls[1], pool, **conf))
        return crews[-1]

    yield make
    for crew in crews:
        crew.close()


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent", "solo"])
def test_in_order_by_tls(crew_by_tls: Callable[..., Crew], pool: str) -> None:
    crew = crew_by_tls(pool, slots=1 if pool == "solo" else 4).ready()
    texts = ["x" * LONG, "", "x" * 16_384, "y"] * 5
    results = [crew.send(f"k{number % 3}", number, "count", text=text) for number, text in enumerate(texts)]
    for text, result in zip(texts, results, strict=True):
        assert result.get(timeout=60) == len(text)
    for key in range(3):
        assert crew.history.numbers(f"k{key}") == list(range(key, len(texts), 3))
        crew.history.assert_in_line(f"k{key}")
    until(lambda: not crew.left_over())
    with redis.Redis.from_url(crew.conf["broker_url"]) as client:
        scripts = {each["name"] for each in client.client_list() if each["cmd"].startswith("evalsha")}
    assert pool != "prefork" or "groupfifo-postman" in scripts, "the line of the main loop was in use"
    assert "Traceback" not in crew.worker.log


def test_a_gate_of_its_own_by_tls(
    crew_by_tls: Callable[..., Crew],
    redis_server: embedded.Server,
    tls: tuple[embedded.Server, str],
    made: Certificates,
) -> None:
    """The broker is another server, without TLS: what its settings say of TLS is its own affair."""
    crew = crew_by_tls("prefork", groupfifo_url=f"{tls[1]}/3?{made.query}")
    broker, backend = (each.of(redis_server.url) for each in (Database.TLS, Database.TLS_RESULTS))
    crew.conf.update(broker_url=broker, result_backend=backend)
    crew.app.conf.update(crew.conf)
    crew.redis = redis.Redis.from_url(crew.conf["groupfifo_url"])
    crew.worker = crew.another("two")
    crew.ready()
    results = [crew.send("k", number, "count", text="x" * LONG) for number in range(5)]
    assert [result.get(timeout=60) for result in results] == [LONG] * 5
    assert crew.history.numbers("k") == [0, 1, 2, 3, 4]
