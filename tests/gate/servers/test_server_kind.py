"""A server that the scripts can't run on is refused at the first send, in one sentence; others cost what they did."""

from __future__ import annotations

import pytest
import redis
from celery import Celery

from celery_groupfifo import GroupFifo, UnsupportedServer, park_many
from celery_groupfifo.gate import refusals
from celery_groupfifo.gate.gate import build_gate
from celery_groupfifo.gate.pipelined import Pipelined
from tests.support.answering import answering, old_redis
from tests.support.world import World

TOO_OLD = r"The gate's server at redis://127\.0\.0\.1:\d+/0 is Redis [\d.]+, and 6\.2 or newer, or Valkey, is needed"


@pytest.fixture
def old(own_world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A server without our scripts, which has become too old."""
    monkeypatch.setattr(refusals, "LEAST_VERSION", (999, 0))
    return own_world


def test_a_send_is_refused(old: World) -> None:
    GroupFifo(old.app)
    for _ in range(2):  # it does not get through the second time either
        with pytest.raises(UnsupportedServer, match=TOO_OLD):
            old.app.send_task("t", group_key="k", retry_policy={"max_retries": 0})
    assert old.redis.dbsize() == 0


def test_so_are_many(old: World) -> None:
    GroupFifo(old.app)
    with pytest.raises(Exception, match=TOO_OLD):
        park_many([old.app.signature("t", group_key="k")])
    assert old.redis.dbsize() == 0


def test_a_workers_line_and_its_start_are(old: World) -> None:
    with pytest.raises(UnsupportedServer, match=TOO_OLD):
        Pipelined.open(old.gate.store, ["park"])
    with pytest.raises(UnsupportedServer, match=TOO_OLD):
        old.gate.store.version()


def test_who_may_not_ask_is_not_refused(old: World) -> None:
    old.redis.execute_command("ACL", "SETUSER", "default", "-info")
    assert old.park("a")


def test_a_send_costs_what_it_did(world: World) -> None:
    """The version is looked at when a server does not know a script: it will by the next send."""
    world.redis.script_flush()
    world.park("a")
    world.redis.config_resetstat()
    for number in range(5):
        world.park(f"b{number}")
    told = {name.removeprefix("cmdstat_"): each["calls"] for name, each in world.redis.info("commandstats").items()}
    assert (told["evalsha"] == 5 and "info" not in told) or told.get("info", 0) <= 1, told


def send_to(port: int) -> None:
    app = Celery("other", broker="memory://", set_as_current=False)
    app.conf.groupfifo_url = f"redis://127.0.0.1:{port}/0"
    GroupFifo(app)
    app.send_task("t", group_key="k")


def test_an_old_redis_says_so() -> None:
    with old_redis() as port, pytest.raises(UnsupportedServer, match=r"is Redis 5\.0\.14, and 6\.2"):
        send_to(port)


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"ERROR\r\n"], ids=["http", "memcached"])
def test_another_kind_of_server_is_no_redis(said: bytes) -> None:
    with answering({}, said) as port, pytest.raises(UnsupportedServer, match=rf"127\.0\.0\.1:{port}/0 is not Redis"):
        send_to(port)


def test_the_version_of_a_real_one_is_read(redis_url: str) -> None:
    gate = build_gate(Celery("version", broker=redis_url, set_as_current=False))
    with redis.Redis.from_url(redis_url) as client:
        known = str(client.info("server")["redis_version"])
    assert gate.store.version() == tuple(int(part) for part in known.split("."))
    gate.store.close()
