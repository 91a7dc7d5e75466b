"""Every option of a publish holds when its ticket goes out: by the sender, by a worker, by a stranger hours later."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Connection, Exchange, Queue, pools
from kombu.transport.pyamqp import Channel

from celery_groupfifo import GroupFifo, GroupFifoTask, Groups, InvalidOption
from celery_groupfifo.gate.gate import _ATTRIBUTE, build_gate, gate_of
from celery_groupfifo.gate.releaser import KombuReleaser
from celery_groupfifo.testing.embedded import Server
from celery_groupfifo.worker.publisher import Publisher
from tests.support.databases import Database
from tests.support.waiting import until

MEDIA = Exchange("options-media", type="topic", durable=False)
VIDEO = Queue("options-video", MEDIA, "video.#", max_priority=10, durable=False)
QUEUES = [Queue("options"), VIDEO]
NAMES = ("options", "options-video", "options-extra")

#: What a call may give, and whether it goes through Celery as it is.
OPTIONS: list[dict[str, Any]] = [
    {},
    {"priority": 7},
    {"delivery_mode": 1},
    {"delivery_mode": "transient"},
    {"serializer": "pickle"},
    {"compression": "zlib"},
    {"compression": "bzip2", "serializer": "pickle"},
    {"reply_to": "answers", "correlation_id": "c1"},
    {"user_id": "guest", "app_id": "shop", "type": "order", "message_id": "m1", "timestamp": 1_700_000_000},
    {"headers": {"tenant": "t1", "list": [1, None, {"é": 2**40}]}},
    {"mandatory": True},
    {"timeout": 3, "confirm_timeout": 3, "retry": False},
    {"retry_policy": {"max_retries": 1, "interval_start": 0}},
    {"queue": "options-video", "routing_key": "video.hd"},
    {"queue": VIDEO, "routing_key": "video.sd", "priority": 3},
    {"exchange": MEDIA, "routing_key": "video.x", "declare": [VIDEO]},
]


def make_app(broker: str, gate: str, **conf: Any) -> Celery:
    pools.reset()  # of the process, by URL: their connections know what was declared before
    app = Celery("options", broker=broker, set_as_current=False)
    app.conf.update(groupfifo_url=gate, task_ignore_result=True, task_default_queue="options", task_queues=QUEUES)
    app.conf.update(conf)

    def send(key: str, number: int = 0) -> None: ...

    app.task(base=GroupFifoTask, group_key="{key}", name="grouped", lazy=False, shared=False)(send)
    app.task(name="plain", lazy=False, shared=False)(send)
    return app


@pytest.fixture
def app(rabbitmq_url: str, redis_url: str) -> Iterator[Celery]:
    clean(rabbitmq_url)
    app = make_app(rabbitmq_url, redis_url)
    yield app
    app.close()
    clean(rabbitmq_url)


def clean(url: str) -> None:
    with Connection(url) as connection:
        for name in NAMES:
            connection.default_channel.queue_delete(name)
        for name in ("options-media", "options-other"):
            connection.default_channel.exchange_delete(name)


def stranger(url: str, gate: str, **conf: Any) -> Celery:
    """An app that knows neither tasks nor queues."""
    app = Celery("stranger", broker=url, set_as_current=False)
    app.conf.update(groupfifo_url=gate, **conf)
    GroupFifo(app)
    return app


def by_the_sender(app: Celery, send: Callable[[], Any]) -> None:
    send()


def by_a_stranger(app: Celery, send: Callable[[], Any]) -> None:
    other = stranger(app.conf.broker_url, app.conf.groupfifo_url)
    groups = Groups(other)
    groups.pause("k")
    send()
    groups.resume("k")
    other.close()


@contextmanager
def publishing(app: Celery) -> Iterator[Celery]:
    """A stranger whose tickets a publisher brings, as in a worker; at the end it has brought them."""
    other = stranger(app.conf.broker_url, app.conf.groupfifo_url)
    publisher = Publisher(other, build_gate(other, "groupfifo-publisher"))
    gate = build_gate(other, send=publisher.send)
    setattr(other, _ATTRIBUTE, (os.getpid(), {"groupfifo": gate}))
    try:
        yield other
    finally:
        done = publisher.stop(within=60)
        gate.store.close()
        other.close()
    assert done, "not all tickets were brought"


def by_a_worker(app: Celery, send: Callable[[], Any]) -> None:
    Groups(app).pause("k")
    send()
    with publishing(app) as other:
        Groups(other).resume("k")


WAYS = [by_the_sender, by_a_stranger, by_a_worker]


def taken(url: str, queue: str) -> dict[str, Any]:
    """The message of a queue, as a consumer sees it, without what differs in any two messages."""
    with Connection(url) as connection:
        channel: Channel = connection.default_channel
        until(lambda: channel.queue_declare(queue, passive=True).message_count, "nothing has come")
        message = channel.basic_get(queue, no_ack=True)
    assert channel is not None and message is not None
    properties = dict(message.properties)
    headers = properties.pop("application_headers")
    info = {name: message.delivery_info[name] for name in ("exchange", "routing_key")}
    return {"properties": properties, "headers": headers, "info": info, "body": message.body}


def arrived_in(options: dict[str, Any]) -> str:
    return "options-video" if {"queue", "exchange"} & set(options) else "options"


@pytest.mark.rabbitmq
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: ",".join(options) or "none")
def test_a_ticket_is_the_message_that_a_plain_send_publishes(
    app: Celery, options: dict[str, Any], way: Callable[[Celery, Callable[[], Any]], None]
) -> None:
    """No queue is there before: what is published later declares, too."""
    url, queue = app.conf.broker_url, arrived_in(options)
    options = {"task_id": "same", "reply_to": "me", **options}
    way(app, lambda: app.tasks["grouped"].apply_async(("k", 1), **options))
    grouped = taken(url, queue)
    clean(url)
    app = make_app(url, app.conf.groupfifo_url)
    app.tasks["plain"].apply_async(("k", 1), **options)
    plain = taken(url, queue)
    assert grouped["headers"].pop("task") != plain["headers"].pop("task")
    for name in [name for name in grouped["headers"] if name.startswith("groupfifo")]:
        del grouped["headers"][name]
    assert grouped == plain


@pytest.mark.rabbitmq
@pytest.mark.parametrize("way", WAYS)
def test_what_was_declared_is_as_the_sender_has_it(
    app: Celery, way: Callable[[Celery, Callable[[], Any]], None]
) -> None:
    extra = Queue("options-extra", Exchange("options-other", "direct"), "x", queue_arguments={"x-max-length": 7})
    declare = [VIDEO, extra]
    way(app, lambda: app.tasks["grouped"].apply_async(("k",), queue=VIDEO, routing_key="video.x", declare=declare))
    with Connection(app.conf.broker_url) as connection:
        channel = connection.default_channel
        for queue in declare:
            channel.queue_declare(queue.name, passive=True)  # it is there
            queue(channel).declare()  # refused, if it is another one
        connection.Producer().publish("routed", exchange="options-other", routing_key="x")
        until(lambda: channel.queue_declare("options-extra", passive=True).message_count == 1)


@pytest.mark.rabbitmq
def test_a_queue_that_is_there_otherwise_is_used_as_it_is(app: Celery, caplog: pytest.LogCaptureFixture) -> None:
    """A plain send would fail at the call. A task that waits is accepted before anybody asks the broker."""
    url = app.conf.broker_url
    with Connection(url) as connection:
        connection.default_channel.queue_declare("options", durable=False, auto_delete=False)
    with caplog.at_level(logging.WARNING):
        by_a_worker(app, lambda: app.tasks["grouped"].apply_async(("k",), task_id="x"))
    assert taken(url, "options")["headers"]["id"] == "x"
    assert "'options' is at the broker with other properties than the task's sender declares" in caplog.text


@pytest.mark.rabbitmq
def test_a_mandatory_ticket_that_nobody_takes_is_logged(app: Celery, caplog: pytest.LogCaptureFixture) -> None:
    numbers = count()
    nowhere = {"exchange": "amq.topic", "routing_key": "nobody", "mandatory": True}
    with caplog.at_level(logging.WARNING), publishing(app) as other:
        other.send_task("t", group_key="a", **nowhere)

        def returned() -> bool:
            other.send_task("t", group_key=f"b{next(numbers)}", exchange="amq.topic", routing_key="x")
            return "No queue takes a ticket for exchange 'amq.topic' with routing key 'nobody'" in caplog.text

        until(returned)


@pytest.mark.parametrize(
    "options",
    [{"headers": {"big": 2**70}}, {"timestamp": "soon"}, {"priority": 300}, {"app_id": 5}],
    ids=lambda options: next(iter(options)),
)
def test_what_amqp_can_not_carry_is_refused_at_the_call(redis_url: str, options: dict[str, Any]) -> None:
    """A ticket of it would never reach the broker, and its group would stand still."""
    app = make_app("amqp://rabbit.invalid//", redis_url)
    with pytest.raises(InvalidOption, match="grouped was not sent: AMQP can't carry"):
        app.tasks["grouped"].apply_async(("k",), **options)
    with redis.Redis.from_url(redis_url) as gate:
        assert not gate.exists("{groupfifo:0}:entries")
    app.close()


# -- any broker ---------------------------------------------------------------


@pytest.fixture
def elsewhere(redis_server: Server, redis_url: str) -> Iterator[tuple[Celery, redis.Redis]]:
    """The broker is another Redis."""
    with redis.Redis.from_url(Database.RESULTS.of(redis_server.url)) as broker:
        broker.flushdb()
        app = make_app(Database.RESULTS.of(redis_server.url), redis_url)
        yield app, broker
        app.close()


def message(broker: redis.Redis, key: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(broker.lindex(key, 0))  # type: ignore[arg-type]
    return payload


def test_the_default_of_a_producer_is_not_applied_twice(elsewhere: tuple[Celery, redis.Redis]) -> None:
    """Publish a ticket as it is, whatever compression and exchange its publisher has: the message is complete."""
    app, broker = elsewhere
    groups = Groups(app)
    groups.pause("k")
    app.tasks["grouped"].apply_async(("k", 1), compression="zlib")
    with app.connection_for_write() as connection:
        producer = connection.Producer(exchange=Exchange("theirs"), compression="bzip2")
        releaser = KombuReleaser(app)
        sent: list[tuple[str, bytes]] = []
        gate_of(app).releaser.send = lambda queue, message, producer=None: sent.append((queue, message))  # type: ignore[method-assign]
        groups.resume("k")
        releaser.send(*sent[0], producer)
    payload = message(broker, "options")
    assert payload["headers"]["compression"] == "application/x-gzip" or "zlib" in payload["headers"]["compression"]
    assert payload["properties"]["delivery_info"] == {"exchange": "", "routing_key": "options"}


def test_an_expiration_is_the_tasks_expiry(elsewhere: tuple[Celery, redis.Redis]) -> None:
    """The broker must not drop the ticket: its group would wait for it. The worker revokes the task instead."""
    app, broker = elsewhere
    app.tasks["grouped"].apply_async(("k",), expiration=60)
    payload = message(broker, "options")
    assert payload["headers"]["expires"] and "expiration" not in payload["properties"]
    broker.flushdb()
    app.tasks["grouped"].apply_async(("l",), expires=60)
    payload = message(broker, "options")
    assert payload["headers"]["expires"] and "expiration" not in payload["properties"]


def test_a_call_without_retries_tries_once(
    elsewhere: tuple[Celery, redis.Redis], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, _ = elsewhere
    policies: list[Any] = []
    ensure = Connection.ensure

    def noted(self: Any, obj: Any, fun: Any, **policy: Any) -> Any:
        policies.append(policy)
        return ensure(self, obj, fun, **policy)

    monkeypatch.setattr(Connection, "ensure", noted)
    send = app.tasks["grouped"].apply_async
    send(("a",))
    send(("b",), retry=False)
    send(("c",), retry_policy={"max_retries": 9})
    assert [policy["max_retries"] for policy in policies] == [app.conf.task_publish_retry_policy["max_retries"], 9]


@pytest.mark.parametrize("broker", [Database.TEST, Database.RESULTS], ids=["gate", "elsewhere"])
def test_what_a_transport_has_set_in_another_message_is_not_taken_over(
    redis_server: Server, redis_url: str, broker: int
) -> None:
    """A task that passes on the properties of its own message."""
    app = make_app(f"{redis_server.url}/{broker}", redis_url)
    theirs = {"delivery_tag": "theirs", "delivery_info": {"exchange": "x"}, "body_encoding": "utf-8"}
    with redis.Redis.from_url(app.conf.broker_url) as client:
        client.delete("options")
        app.tasks["grouped"].apply_async(("k",), app_id="mine", **theirs)
        properties = message(client, "options")["properties"]
    assert properties["delivery_info"] == {"exchange": "", "routing_key": "options"}
    assert (properties["app_id"], properties["body_encoding"]) == ("mine", "base64")
    assert properties["delivery_tag"] != "theirs"
    app.close()


def test_on_the_gates_own_redis_nothing_is_stored_beside_the_message(redis_url: str) -> None:
    app = make_app(redis_url, redis_url)
    app.tasks["grouped"].apply_async(("k",), queue=VIDEO, routing_key="video.x", mandatory=True)
    with redis.Redis.from_url(redis_url) as broker:
        payload = message(broker, "options-video")
    assert set(payload) == {"body", "headers", "properties", "content-type", "content-encoding"}
    app.close()
