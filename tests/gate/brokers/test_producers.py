"""A broker elsewhere: whoever sends holds one producer of Celery's pool, and needs no second one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Connection, Producer

from celery_groupfifo import GroupFifoTask, Groups, park_many
from celery_groupfifo.testing.embedded import Server
from tests.support.databases import Database

#: Far more than a send takes; one that waits for itself takes for ever.
HANGS = 20.0
BROKER = Database.RESULTS


def make_app(broker: str, gate: str, limit: int = 1) -> Celery:
    app = Celery("producers", broker=broker, set_as_current=False)
    app.conf.update(groupfifo_url=gate, broker_pool_limit=limit, task_ignore_result=True)

    def send(key: str, number: int = 0) -> None: ...

    app.task(base=GroupFifoTask, group_key="{key}", name="send", lazy=False, shared=False)(send)
    return app


@pytest.fixture
def broker(redis_server: Server) -> Iterator[redis.Redis]:
    """A database that is not the gate's."""
    with redis.Redis.from_url(f"{redis_server.url}/{BROKER}") as client:
        client.flushdb()
        yield client


@pytest.fixture
def app(broker: redis.Redis, redis_server: Server, redis_url: str) -> Iterator[Celery]:
    app = make_app(f"{redis_server.url}/{BROKER}", redis_url)
    yield app
    app.close()


def all_end(*calls: Callable[[], Any]) -> bool:
    """Call each in a thread of its own; False when one of them does not end."""
    threads = [threading.Thread(target=call, daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANGS)
    return not any(thread.is_alive() for thread in threads)


def test_a_send_needs_one_producer(app: Celery, broker: redis.Redis) -> None:
    assert all_end(lambda: app.tasks["send"].delay("k"))
    assert broker.llen("celery") == 1


def test_so_does_one_by_name_and_one_with_a_celery_event(app: Celery, broker: redis.Redis) -> None:
    app.conf.task_send_sent_event = True
    assert all_end(lambda: app.send_task("send", ("a",), group_key="a"))
    assert broker.llen("celery") == 1


def test_as_many_senders_as_producers_all_get_through(
    broker: redis.Redis, redis_server: Server, redis_url: str
) -> None:
    app = make_app(f"{redis_server.url}/{BROKER}", redis_url, limit=10)
    start = threading.Barrier(10)

    def sender(name: int) -> Callable[[], None]:
        def send() -> None:
            start.wait()
            for number in range(20):
                app.tasks["send"].delay(f"{name}-{number}")

        return send

    assert all_end(*(sender(name) for name in range(10)))
    assert broker.llen("celery") == 200
    app.close()


def test_many_signatures_need_one_producer(app: Celery, broker: redis.Redis) -> None:
    signatures = [app.tasks["send"].s(f"k{number}") for number in range(7)]
    assert all_end(lambda: park_many(signatures, chunk=3))
    assert broker.llen("celery") == 7


class Counting(Producer):
    """Counts what it publishes."""

    published = 0

    def publish(self, *args: Any, **kwargs: Any) -> Any:
        self.published += 1
        return super().publish(*args, **kwargs)


def test_the_callers_own_producer_brings_the_ticket(app: Celery, broker: redis.Redis) -> None:
    """The pool's only producer is out: nobody may wait for it."""
    with app.connection_for_write() as connection, app.producer_pool.acquire(block=True):
        producer = Counting(connection)
        assert all_end(lambda: app.tasks["send"].apply_async(("k",), producer=producer))
        assert producer.published == 1
    assert broker.llen("celery") == 1


def test_a_connection_of_the_callers_own_brings_it(app: Celery, broker: redis.Redis, redis_server: Server) -> None:
    with app.producer_pool.acquire(block=True), Connection(f"{redis_server.url}/{BROKER}") as connection:
        assert all_end(lambda: app.tasks["send"].apply_async(("k",), connection=connection))
    assert broker.llen("celery") == 1


def test_who_holds_none_takes_one(app: Celery, broker: redis.Redis) -> None:
    groups = Groups(app)
    groups.pause("k")
    app.tasks["send"].delay("k")
    assert broker.llen("celery") == 0
    assert all_end(lambda: groups.resume("k"))
    assert broker.llen("celery") == 1
