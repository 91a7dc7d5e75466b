"""Whatever wraps kombu's `Producer.publish` sees a grouped send as it sees a plain one: once, and with everything.

So do tracers: sentry-sdk makes its `queue.publish` spans there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Connection, Exchange
from kombu.exceptions import EncodeError
from kombu.messaging import Producer

from celery_groupfifo import GroupFifoTask, Groups, park_many
from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.sending.message import build_entry
from celery_groupfifo.testing.embedded import Server
from celery_groupfifo.worker.publisher import Publisher
from tests.support.databases import Database
from tests.support.stored import stored
from tests.support.waiting import until


@dataclass
class Seen:
    """The publishes that a wrapper of `Producer.publish` has seen."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    systems: list[str] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return [call["headers"]["id"] for call in self.calls]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Wraps it as sentry-sdk does."""
    seen, publish = Seen(), Producer.publish

    def wrapped(self: Any, *args: Any, **options: Any) -> Any:
        seen.calls.append({**options, "headers": dict(options["headers"]), "body": args[0]})
        seen.systems.append(self.connection.transport.driver_type)
        try:
            return publish(self, *args, **options)
        except Exception as error:
            seen.errors.append(error)
            raise

    monkeypatch.setattr(Producer, "publish", wrapped)
    return seen


def make_app(broker: str, gate: str, **conf: Any) -> Celery:
    app = Celery("hooked", broker=broker, set_as_current=False)
    app.conf.update(groupfifo_url=gate, task_ignore_result=True, **conf)

    def send(key: str, number: Any = 0) -> None: ...

    app.task(base=GroupFifoTask, group_key="{key}", name="send", lazy=False, shared=False)(send)
    app.task(name="plain", lazy=False, shared=False)(send)
    return app


@pytest.fixture(params=["gate", "elsewhere"])
def app(request: pytest.FixtureRequest, redis_server: Server, redis_url: str) -> Iterator[Celery]:
    """The broker is the gate's own Redis, or another one."""
    broker = redis_url if request.param == "gate" else Database.RESULTS.of(redis_server.url)
    with redis.Redis.from_url(broker) as client:
        client.flushdb()
    app = make_app(broker, redis_url)
    yield app
    app.close()


def queued(app: Celery) -> int:
    with redis.Redis.from_url(app.conf.broker_url) as client:
        return int(client.llen("celery"))


def test_one_call_per_send_with_what_a_plain_send_shows(app: Celery, seen: Seen) -> None:
    options = {"headers": {"trace": "t1"}, "priority": 1, "task_id": "x"}
    app.tasks["plain"].apply_async(("k", 1), **options)
    app.tasks["send"].apply_async(("k", 1), **options)
    plain, grouped = seen.calls
    assert (grouped["exchange"], grouped["routing_key"], seen.systems) == ("", "celery", ["redis", "redis"])
    assert grouped["headers"]["task"] == "send"
    for call in (plain, grouped):
        del call["headers"]["task"], call["retry"]
    assert grouped == plain
    assert queued(app) == 2


def test_the_ticket_that_goes_out_later_is_not_seen(app: Celery, seen: Seen) -> None:
    groups = Groups(app)
    groups.pause("k")
    for number in range(3):
        app.tasks["send"].apply_async(("k", number), task_id=str(number))
    assert seen.ids == ["0", "1", "2"]
    groups.resume("k")
    assert queued(app) == 1
    assert seen.ids == ["0", "1", "2"]


def test_nor_what_a_worker_publishes(redis_server: Server, redis_url: str, seen: Seen) -> None:
    app = make_app(Database.RESULTS.of(redis_server.url), redis_url)
    with redis.Redis.from_url(Database.RESULTS.of(redis_server.url)) as client:
        client.flushdb()
        publisher = Publisher(app, gate_of(app, "groupfifo-publisher"))
        gate_of(app, send=publisher.send)
        app.tasks["send"].delay("k")
        until(lambda: client.llen("celery") == 1)
        assert len(seen.calls) == 1
        publisher.stop(within=60)
    app.close()


def test_it_lasts_until_the_task_is_parked(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracer measures the park, and sees its error."""
    parked: list[int] = []
    publish = Producer.publish

    def wrapped(self: Any, *args: Any, **options: Any) -> Any:
        result = publish(self, *args, **options)
        parked.append(Groups(app).get("k").depth)
        return result

    monkeypatch.setattr(Producer, "publish", wrapped)
    app.tasks["send"].delay("k")
    assert parked == [1]


def test_headers_that_a_wrapper_adds_travel(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    publish = Producer.publish

    def wrapped(self: Any, *args: Any, **options: Any) -> Any:
        options["headers"]["traceparent"] = "00-1"
        return publish(self, *args, **options)

    monkeypatch.setattr(Producer, "publish", wrapped)
    app.tasks["send"].apply_async(("k",), task_id="x")
    with redis.Redis.from_url(app.conf.broker_url) as client:
        assert b'"traceparent": "00-1"' in stored(client.lindex("celery", 0))


def test_a_duplicate_is_no_error_of_the_publish(app: Celery, seen: Seen) -> None:
    for _ in range(2):
        app.tasks["send"].apply_async(("k",), task_id="same")
    assert (seen.ids, seen.errors, queued(app)) == (["same", "same"], [], 1)


def test_what_can_not_be_sent_is_one(app: Celery, seen: Seen) -> None:
    with pytest.raises(EncodeError):
        app.tasks["send"].delay("k", object())
    assert len(seen.errors) == 1


def test_a_bulk_send_is_seen_task_by_task(app: Celery, seen: Seen) -> None:
    park_many([app.tasks["send"].s("k", number).set(task_id=str(number)) for number in range(5)])
    assert seen.ids == ["0", "1", "2", "3", "4"]


def test_without_a_wrapper_a_bulk_send_takes_its_short_way(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []

    def counted(*args: Any, **options: Any) -> Any:
        entry = build_entry(*args, **options)
        built.append(entry.id)
        return entry

    monkeypatch.setattr("celery_groupfifo.sending.park.build_entry", counted)
    park_many([app.tasks["send"].s("k", number).set(task_id=str(number)) for number in range(5)])
    assert built == ["0"]


class Counting(Producer):
    """Counts what it publishes."""

    published = 0
    keys: tuple[str, ...] = ()

    def publish(self, *args: Any, **options: Any) -> Any:
        self.published += 1
        self.keys = (*self.keys, options["routing_key"])
        return super().publish(*args, **options)


def test_a_producers_own_class_goes_on(app: Celery, seen: Seen) -> None:
    with app.connection_for_write() as connection:
        producer = Counting(connection)
        app.tasks["send"].apply_async(("k",), producer=producer)
        app.tasks["plain"].apply_async(("k",), producer=producer)
        assert (producer.published, producer.keys) == (2, ("celery", "celery"))
    assert queued(app) == 2


def test_what_a_producer_sets_by_itself_counts(app: Celery, redis_url: str) -> None:
    with app.connection_for_write() as connection, redis.Redis.from_url(app.conf.broker_url) as client:
        producer = Producer(connection, Exchange("mine", "direct"), auto_declare=True, compression="zlib")
        client.sadd("_kombu.binding.mine", b"\x06\x16".join([b"celery", b"", b"celery"]))
        app.tasks["send"].apply_async(("k",), producer=producer)
        message = client.lindex("celery", 0)
    assert b'"exchange": "mine"' in message and message.count(b'"compression"') == 1


@pytest.mark.parametrize("wrap", [False, True], ids=["a stand-in", "wrapped by instance"])
def test_any_other_thing_that_publishes(app: Celery, wrap: bool) -> None:
    """A producer without kombu's class, or one that hides its own publish, can't be seen; the task is parked once."""
    with app.connection_for_write() as connection:
        producer = Producer(connection)
        if wrap:
            producer.publish = _wrapped(producer.publish)  # type: ignore[method-assign]
        app.tasks["send"].apply_async(("k",), producer=producer if wrap else _StandIn(connection))
    assert queued(app) == 1


def _wrapped(publish: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(publish)
    def wrapped(*args: Any, **options: Any) -> Any:
        return publish(*args, **options)

    return wrapped


class _StandIn:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection


@pytest.mark.skipif(not hasattr(Producer, "batch"), reason="this kombu has no batches")
def test_an_open_batch_of_the_producer_is_left_alone(app: Celery) -> None:
    """Kombu 5.7: what its owner sends in a batch goes out when it ends; a task of a group is parked at once."""
    with app.connection_for_write() as connection:
        producer = Producer(connection)
        with producer.batch():
            app.tasks["plain"].apply_async(("k",), producer=producer)
            app.tasks["send"].apply_async(("k",), producer=producer)
            assert Groups(app).get("k").depth == 1
        assert queued(app) == 2


def test_senders_do_not_meet(app: Celery, seen: Seen) -> None:
    """One producer for many threads is kombu's affair; its twins are each for one message."""
    with app.connection_for_write() as connection:
        producer = Producer(connection)
        producer.channel.connection  # noqa: B018 (connected before the threads)
        threads = [
            threading.Thread(
                target=app.tasks["send"].apply_async, args=((f"k{number}",),), kwargs={"producer": producer}
            )
            for number in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    until(lambda: len(set(seen.ids)) == 8 and queued(app) == 8)
