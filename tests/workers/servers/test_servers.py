"""Workers on servers that are reached in unusual ways: a list of addresses, RESP3, a socket, a credential provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from celery_groupfifo.testing import embedded
from tests.support.answering import old_redis
from tests.support.crews.workers import Crew
from tests.support.databases import Database
from tests.support.waiting import until

PASSWORD = "a:b/c@d%e"
QUOTED = "a%3Ab%2Fc%40d%25e"


def in_order(crew: Crew, many: int = 12) -> None:
    """Send tasks of three groups, and check how they ran."""
    results = [crew.send(f"k{number % 3}", number, "count", text="x" * 20_000) for number in range(many)]
    assert [result.get(timeout=60) for result in results] == [20_000] * many
    for key in range(3):
        assert crew.history.numbers(f"k{key}") == list(range(key, many, 3))
        crew.history.assert_in_line(f"k{key}")
    until(lambda: not crew.left_over())
    assert "Traceback" not in crew.worker.log


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent", "eventlet", "solo"])
def test_resp3_is_not_spoken_to_the_gate(
    make_crew: Callable[..., Crew], redis_server: embedded.Server, pool: str
) -> None:
    crew = make_crew(pool, 1 if pool == "solo" else 4, groupfifo_url=Database.OWN.of(redis_server.url) + "?protocol=3")
    in_order(crew.ready())


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_with_the_first_of_a_list_dead(
    make_crew: Callable[..., Crew], redis_server: embedded.Server, pool: str
) -> None:
    crew = make_crew(pool, broker_url=["redis://127.0.0.1:1/6", Database.OWN.of(redis_server.url)])
    in_order(crew.ready())
    crew.worker.logs("Unsafe (addresses)")


def test_a_failover_of_the_list(tmp_path: Path, redis_server: embedded.Server) -> None:
    """The first server dies under the worker: tasks that are sent afterwards run at the second."""
    with embedded.start() as first, embedded.start() as second:
        urls = [f"{first.url}/0", f"{second.url}/0"]
        crew = Crew(tmp_path, urls[0], Database.RESULTS.of(redis_server.url), broker_url=urls, groupfifo_lease_ttl=2.0)
        try:
            crew.ready()
            assert crew.send("k", 0).get(timeout=60) == 0
            first.kill()
            until(lambda: "The gate has moved from" in crew.worker.log, lambda: crew.worker.log[-3000:])
            results = [crew.send("k", number) for number in (1, 2, 3)]
            assert [result.get(timeout=60) for result in results] == [1, 2, 3]
            assert crew.history.numbers("k") == [0, 1, 2, 3]
            crew.history.assert_in_line("k")
        finally:
            crew.close()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[embedded.Server, Path]]:
    """A server with a socket and a password."""
    path = tmp_path / "s"
    with embedded.start(appendonly=False, extra_args=("--unixsocket", str(path))) as server:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("requirepass", PASSWORD)
        yield server, path


def crew_of(folder: Path, results: embedded.Server, client: str, **conf: Any) -> Crew:
    (folder / "crew").mkdir()
    return Crew(folder / "crew", client, f"{results.url}/8", slots=2, **conf)


def test_a_socket_and_a_password(
    guarded: tuple[embedded.Server, Path], tmp_path: Path, redis_server: embedded.Server
) -> None:
    way = f":{QUOTED}@{guarded[1]}"
    broker, client = f"redis+socket://{way}?virtual_host=3", f"unix://{way}?db=3"
    crew = crew_of(tmp_path, redis_server, client, broker_url=broker)
    try:
        in_order(crew.ready())
        assert QUOTED not in crew.worker.log and PASSWORD not in crew.worker.log
    finally:
        crew.close()


def test_a_password_with_every_special_character(
    guarded: tuple[embedded.Server, Path], tmp_path: Path, redis_server: embedded.Server
) -> None:
    url = f"redis://default:{QUOTED}@127.0.0.1:{guarded[0].port}/1"
    crew = crew_of(tmp_path, redis_server, url)
    try:
        in_order(crew.ready())
        assert QUOTED not in crew.worker.log and PASSWORD not in crew.worker.log
    finally:
        crew.close()


class Provider(redis.CredentialProvider):
    """Knows the password."""

    def get_credentials(self) -> tuple[str]:
        return (PASSWORD,)


def knows_credential_providers() -> bool:
    from kombu import Connection

    return "credential_provider" in vars(Connection())


@pytest.mark.parametrize("setting", ["broker_url", "groupfifo_url"])
def test_a_credential_provider(
    guarded: tuple[embedded.Server, Path], tmp_path: Path, redis_server: embedded.Server, setting: str
) -> None:
    query = "?credential_provider=tests.workers.servers.test_servers:Provider"
    url = f"redis://127.0.0.1:{guarded[0].port}/1"
    if setting == "broker_url" and not knows_credential_providers():
        with pytest.raises(TypeError):
            Celery(broker=url + query).connection_for_write()
        return
    client = f"redis://:{QUOTED}@127.0.0.1:{guarded[0].port}/1"
    conf = {"broker_url": Database.GATE.of(redis_server.url), setting: url + query}
    crew = crew_of(tmp_path, redis_server, client, **conf)
    try:
        in_order(crew.ready())
    finally:
        crew.close()


def test_a_worker_does_not_start_with_a_server_that_is_too_old(make_crew: Callable[..., Crew]) -> None:
    with old_redis() as port:
        crew = make_crew("prefork", groupfifo_url=f"redis://127.0.0.1:{port}/0")
        assert crew.worker.start().wait() == 1
        assert "The worker does not start: The gate's server at redis://127.0.0.1:" in crew.worker.log
        assert "is Redis 5.0.14, and 6.2 or newer" in crew.worker.log and "Traceback" not in crew.worker.log
