"""`connection=`, `producer=` and `app.pool` of a call: the app's own broker, or an error that says what to do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from celery import Celery
from kombu import Connection, Producer, pools

from celery_groupfifo import GroupFifoTask, InvalidOption, PartiallyParked, park_many
from celery_groupfifo.gate.servers import Brokers
from celery_groupfifo.testing.embedded import Server
from tests.support.databases import Database

BROKER, OTHER = Database.RESULTS, Database.VARIANT


@pytest.fixture(params=["beside the gate", "elsewhere"])
def app(request: pytest.FixtureRequest, redis_server: Server, redis_url: str) -> Iterator[Celery]:
    app = Celery("calls", broker=f"{redis_server.url}/{BROKER}", set_as_current=False)
    app.conf.update(task_ignore_result=True, broker_pool_limit=2)
    if request.param == "elsewhere":
        app.conf.groupfifo_url = redis_url

    def send(key: str) -> None: ...

    app.task(base=GroupFifoTask, group_key="{key}", name="send", lazy=False, shared=False)(send)
    for number in (BROKER, OTHER):
        with redis.Redis.from_url(f"{redis_server.url}/{number}") as client:
            client.flushdb()
    yield app
    app.close()


def waiting(server: Server, database: int) -> int:
    with redis.Redis.from_url(f"{server.url}/{database}") as client:
        return int(client.llen("celery"))


def test_a_connection_to_the_apps_own_broker(app: Celery, redis_server: Server) -> None:
    url = f"{redis_server.url}/{BROKER}".replace("127.0.0.1", "localhost")
    with Connection(url) as connection:
        app.tasks["send"].apply_async(("a",), connection=connection)
        app.tasks["send"].apply_async(("b",), producer=Producer(connection))
        app.tasks["send"].apply_async(("c",), producer=Producer(connection.channel()))
    assert waiting(redis_server, BROKER) == 3


def test_one_to_another_broker_is_refused(app: Celery, redis_server: Server) -> None:
    with Connection(f"{redis_server.url}/{OTHER}") as connection:
        for options in ({"connection": connection}, {"producer": Producer(connection)}):
            with pytest.raises(InvalidOption, match=rf"leads to redis://.*/{OTHER}.*Celery\(broker=…\)"):
                app.tasks["send"].apply_async(("a",), **options)
        with pytest.raises(PartiallyParked, match="0 signatures were parked, then: The connection of this call leads"):
            park_many([app.tasks["send"].s("a").set(connection=connection)])
    assert waiting(redis_server, BROKER) == waiting(redis_server, OTHER) == 0
    app.tasks["send"].delay("a")
    assert waiting(redis_server, BROKER) == 1, "nothing of it was parked"


def test_a_pool_to_another_broker_is_refused(app: Celery, redis_server: Server) -> None:
    with Connection(f"{redis_server.url}/{OTHER}") as connection:
        app.amqp._producer_pool = pools.producers[connection]
        with pytest.raises(InvalidOption, match="The connection of this call leads to"):
            app.tasks["send"].delay("a")
    assert waiting(redis_server, BROKER) == 0


def test_plain_tasks_go_where_they_are_told(app: Celery, redis_server: Server) -> None:
    with Connection(f"{redis_server.url}/{OTHER}") as connection:
        app.send_task("plain", connection=connection)
    assert waiting(redis_server, OTHER) == 1


@pytest.mark.parametrize(
    ("broker", "url", "same"),
    [
        ("amqp://a:1@Rabbit/shop", "pyamqp://b:2@rabbit:5672/shop", True),
        ("amqp://rabbit", "amqp://rabbit:5672//", True),
        ("amqp://rabbit/shop", "amqp://rabbit/other", False),
        ("amqp://rabbit", "amqp://rabbit:5673//", False),
        ("amqp://rabbit", "redis://rabbit", False),
        ("redis://h", "redis://:pw@h:6379/0", True),
        ("redis://h", "rediss://h/0?ssl_cert_reqs=none", True),
        ("redis://h/1", "redis://h/2", False),
        ("redis://a;redis://b:7/1", "redis://b:7/1", True),
        ("redis://a;redis://b:7/1", "redis://b:7/2", False),
    ],
)
def test_what_is_the_same_broker(broker: str, url: str, same: bool) -> None:
    brokers = Brokers(Celery("same", broker=broker, set_as_current=False))
    producer = type("Holds", (), {"connection": Connection(url)})()
    if same:
        brokers.check(producer)
    else:
        with pytest.raises(InvalidOption) as caught:
            brokers.check(producer)
        assert ":pw@" not in str(caught.value)


def test_lists_under_another_prefix_are_another_broker() -> None:
    app = Celery("prefix", broker="redis://h", set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": "a:"}
    brokers = Brokers(app)
    brokers.check(Producer(app.connection_for_write()))
    with pytest.raises(InvalidOption):
        brokers.check(Producer(Connection("redis://h")))
