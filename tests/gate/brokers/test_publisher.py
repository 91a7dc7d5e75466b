"""A worker's tickets for a broker elsewhere: nobody waits for it, nothing is lost for long, and nothing piles up."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from celery import Celery
from kombu import Connection, Queue
from kombu.transport import virtual
from kombu.transport.memory import Channel

from celery_groupfifo import GroupFifo
from celery_groupfifo.gate import servers as connect
from celery_groupfifo.gate.gate import _ATTRIBUTE, Gate, build_gate
from celery_groupfifo.gate.releaser import KombuReleaser, publish_ticket
from celery_groupfifo.gate.servers import broker_connection
from celery_groupfifo.testing.children import free_port
from celery_groupfifo.testing.embedded import Server
from celery_groupfifo.worker import publisher as module
from celery_groupfifo.worker.publisher import Publisher
from tests.support.databases import Database
from tests.support.proxy import Proxy
from tests.support.waiting import until

QUEUE = "tickets"
#: Seconds; who waits for a broker that hangs waits so long.
FOR_EVER = 120.0


class Sender:
    """A gate whose tickets a publisher brings, and the tickets that it has handed on.

    Attributes:
        gate: Its `send` is the publisher's.
        released: Queue and message of each ticket, in order.
    """

    def __init__(self, broker: str, gate_url: str, partitions: int = 1, **options: Any) -> None:
        self.app = Celery("publisher", broker=broker, set_as_current=False)
        self.app.conf.update(groupfifo_url=gate_url, task_default_queue=QUEUE, broker_transport_options=options)
        self.app.conf.groupfifo_partitions = partitions
        self.publisher = Publisher(self.app, build_gate(self.app, "groupfifo-publisher"))
        self.released: list[tuple[str, bytes]] = []
        self.gate: Gate = build_gate(self.app, send=self._send)
        setattr(self.app, _ATTRIBUTE, (os.getpid(), {"groupfifo": self.gate}))
        GroupFifo(self.app)

    def _send(self, queue: str, message: bytes) -> None:
        self.released.append((queue, message))
        self.publisher.send(queue, message)

    def park(self, *ids: str, queue: str | None = QUEUE, **more: Any) -> None:
        """Park tasks, each in a group of its own: each is released at once."""
        for id in ids:
            self.app.send_task("t", task_id=id, group_key=id, queue=queue, **more)

    def unsent(self) -> set[str]:
        """The ids that the next sweep releases again."""
        read = self.gate.store.client.zrange
        members = [member for keys in self.gate.keyspace.partitions for member in read(keys.due, 0, -1)]
        return {member.split()[2].decode() for member in members if member.startswith(b"r ")}

    def close(self) -> None:
        """Let go of all."""
        self.publisher.stop(within=60)
        self.gate.store.close()
        self.app.close()


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> float:
    """Half a second for each step of the broker."""
    monkeypatch.setattr(connect, "BROKER_PATIENCE", 0.5)
    return 0.5


@pytest.fixture
def other(redis_server: Server, redis_url: str) -> Iterator[tuple[Sender, redis.Redis]]:
    """The broker is another database, which counts as another Redis."""
    with redis.Redis.from_url(Database.RESULTS.of(redis_server.url)) as broker:
        broker.flushdb()
        sender = Sender(Database.RESULTS.of(redis_server.url), redis_url)
        yield sender, broker
        sender.close()


@pytest.fixture
def silent(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sender]:
    """The broker takes connections, and says nothing until the test is over: each step of it is waited for."""
    monkeypatch.setattr(connect, "BROKER_PATIENCE", FOR_EVER)
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
        sender = Sender(f"amqp://127.0.0.1:{listener.getsockname()[1]}", redis_url, partitions=2)
        yield sender
    sender.close()


def test_what_is_published_is_what_a_sender_publishes(other: tuple[Sender, redis.Redis]) -> None:
    sender, broker = other
    sender.park("a", "b", args=("x" * 100, {"é": None}))
    until(lambda: broker.llen(QUEUE) == 2)
    published = [broker.rpop(QUEUE) for _ in range(2)]
    direct = KombuReleaser(sender.app)
    for queue, message in sender.released:
        direct.send(queue, message)
    same = [broker.rpop(QUEUE) for _ in range(2)]
    assert [_without_tag(each) for each in published] == [_without_tag(each) for each in same]


def _without_tag(message: Any) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(message)
    payload["properties"].pop("delivery_tag")
    return payload


def test_it_is_the_thread_that_publishes(other: tuple[Sender, redis.Redis], monkeypatch: pytest.MonkeyPatch) -> None:
    sender, broker = other
    threads: list[str] = []
    publish = publish_ticket

    def noted(*args: Any, **options: Any) -> None:
        threads.append(threading.current_thread().name)
        publish(*args, **options)

    monkeypatch.setattr(module, "publish_ticket", noted)
    sender.park("a")
    until(lambda: broker.llen(QUEUE) == 1)
    assert threads == ["groupfifo-publisher"]


def test_one_that_comes_while_its_elder_is_published_is_published_too(
    other: tuple[Sender, redis.Redis], monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, broker = other
    publish = publish_ticket

    def overtaken(producer: Any, message: bytes, *more: Any) -> None:
        newer = message.replace(_release(message), b"9" * 16)
        if newer != message:
            sender.publisher.send(f"*{QUEUE}", newer)
        publish(producer, message, *more)

    monkeypatch.setattr(module, "publish_ticket", overtaken)
    sender.park("a")
    until(lambda: broker.llen(QUEUE) == 2)


def _release(message: bytes) -> bytes:
    release = message.split(b" ")[4]
    assert release.isdigit() and len(release) == 16
    return release


def test_nobody_waits_for_a_broker_that_hangs_and_one_ticket_of_an_entry_waits(silent: Sender) -> None:
    started = time.monotonic()
    silent.park(*(f"t{number}" for number in range(50)))
    again = silent.released[-1][1]
    for _ in range(100):
        silent.publisher.send(f"*{QUEUE}", again)
    assert time.monotonic() - started < FOR_EVER / 4, "nobody has waited for one step of the broker"
    assert 0 < len(silent.publisher) <= 50


def test_a_newer_ticket_takes_the_place_of_an_older_one_never_the_other_way_round(silent: Sender) -> None:
    silent.park("busy", "a")
    queue, old = silent.released[-1]
    new = old.replace(_release(old), b"9" * 16)
    for message in (new, old):
        silent.publisher.send(queue, message)
    assert [ticket.message for key, ticket in silent.publisher._waiting.items() if key[1] == "a"] == [new]


def test_one_id_in_two_partitions_is_two_tickets(silent: Sender) -> None:
    silent.park("busy", "a")
    queue, first = silent.released[-1]
    tags = [keys.tag.encode() for keys in silent.gate.keyspace.partitions]
    mine, others = tags if tags[0] in first else tags[::-1]
    second = first.replace(mine, others)
    assert second != first
    silent.publisher.send(queue, second)
    waiting = [ticket.message for key, ticket in silent.publisher._waiting.items() if key[1] == "a"]
    assert waiting == [first, second]


def test_what_a_hanging_broker_does_not_take_is_marked_and_the_rest_goes_out_when_it_is_back(
    redis_server: Server, redis_url: str, patience: float
) -> None:
    with Proxy(redis_server.port) as way, redis.Redis.from_url(Database.RESULTS.of(redis_server.url)) as broker:
        broker.flushdb()
        sender = Sender(f"redis://127.0.0.1:{way.port}/8", redis_url)
        way.closed = True
        sender.park("a", "b", "c")
        until(lambda: sender.unsent() == {"a"})
        assert broker.llen(QUEUE) == 0
        way.closed = False
        until(lambda: len(sender.publisher) == 0)
        sender.close()
        assert broker.llen(QUEUE) + len(sender.unsent()) >= 3
        broker.flushdb()


def test_a_broker_that_is_not_there_is_not_tried_all_the_time(
    redis_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = Sender(f"redis://127.0.0.1:{free_port()}/0", redis_url)
    tries: list[float] = []

    def noted(app: Celery) -> Any:
        tries.append(time.monotonic())
        return broker_connection(app)

    monkeypatch.setattr(module, "broker_connection", noted)
    try:
        sender.park(*(f"t{number}" for number in range(30)))
        until(lambda: len(tries) >= 3)
        assert tries[2] - tries[0] >= module.BROKER_RETRY_SECONDS * 3
        assert sum("The broker takes no tickets" in message for message in caplog.messages) == 1
    finally:
        monkeypatch.setattr(module, "broker_connection", broker_connection)
        assert not sender.publisher.stop(within=0)
    assert sender.unsent() == {f"t{number}" for number in range(30)}, "another worker's sweep has them"
    sender.publisher.send(*sender.released[0])
    sender.gate.store.close()


def test_the_end_publishes_what_waits(other: tuple[Sender, redis.Redis]) -> None:
    sender, broker = other
    sender.park(*(f"t{number}" for number in range(50)))
    assert sender.publisher.stop(within=60)
    assert broker.llen(QUEUE) == 50 and sender.unsent() == set()
    sender.park("late")
    assert sender.unsent() == {"late"}


def test_the_end_does_not_wait_for_a_broker_that_hangs(silent: Sender) -> None:
    silent.park("a", "b")
    started = time.monotonic()
    assert not silent.publisher.stop(within=0.1)
    assert time.monotonic() - started < FOR_EVER / 4, "it has not waited for one step of the broker"
    assert silent.unsent() == {"a", "b"}


def test_the_end_does_not_wait_for_a_gate_that_hangs_as_well(redis_server: Server, redis_url: str) -> None:
    with Proxy(redis_server.port) as broker, Proxy(redis_server.port) as gate:
        database = redis_url.rpartition("/")[2]
        sender = Sender(f"redis://127.0.0.1:{broker.port}/8", f"redis://127.0.0.1:{gate.port}/{database}")
        broker.closed = True
        sender.park("a", "b")
        gate.closed = True
        before = set(threading.enumerate())
        assert not sender.publisher.stop(within=0.1)
        assert "groupfifo-publisher-end" in {thread.name for thread in set(threading.enumerate()) - before}, (
            "it came back while the gate still hung"
        )


# -- RabbitMQ --------------------------------------------------------------


@pytest.fixture
def rabbit(rabbitmq_url: str, redis_url: str) -> Iterator[Sender]:
    with Connection(rabbitmq_url) as connection:
        connection.default_channel.queue_delete(QUEUE)
    sender = Sender(rabbitmq_url, redis_url)
    yield sender
    sender.close()


@pytest.fixture
def through_a_hole(rabbitmq_url: str, redis_url: str, patience: float) -> Iterator[Callable[..., tuple[Sender, Proxy]]]:
    port = urlsplit(rabbitmq_url).port
    assert port is not None
    with Connection(rabbitmq_url) as connection, Proxy(port) as way:
        connection.default_channel.queue_delete(QUEUE)
        made: list[Sender] = []

        def make(**options: Any) -> tuple[Sender, Proxy]:
            made.append(Sender(rabbitmq_url.replace(str(port), str(way.port)), redis_url, **options))
            return made[0], way

        yield make
        for sender in made:
            sender.close()


def taken(url: str, *wanted: str) -> list[str]:
    """Take tickets out of the queue until some have come; returns the ids of all of them."""
    ids: list[str] = []
    with Connection(url) as connection:
        channel = connection.default_channel

        def get() -> bool:
            message = channel.basic_get(QUEUE, no_ack=True)
            if message is not None:
                ids.append(str(message.headers["groupfifo"]).split(" ")[5])
            return set(wanted).issubset(ids)

        Queue(QUEUE, routing_key=QUEUE).bind(channel).declare()
        until(get, lambda: str(ids))
    return ids


@pytest.mark.rabbitmq
def test_on_rabbitmq_they_arrive_in_order(rabbit: Sender, rabbitmq_url: str) -> None:
    ids = [f"t{number}" for number in range(300)]
    rabbit.park(*ids)
    assert taken(rabbitmq_url, *ids) == ids


@pytest.mark.rabbitmq
def test_a_connection_that_rabbitmq_has_closed_costs_nothing(through_a_hole: Any, rabbitmq_url: str) -> None:
    sender, way = through_a_hole()
    sender.park("a")
    taken(rabbitmq_url, "a")
    way.cut()
    sender.park("b")
    taken(rabbitmq_url, "b")
    assert sender.unsent() == set()


@pytest.mark.rabbitmq
def test_what_a_black_hole_has_swallowed_goes_out_again(through_a_hole: Any, rabbitmq_url: str) -> None:
    """Timeline: the way is lost without a word; what is written is taken by nobody; a second later that is noticed."""
    sender, way = through_a_hole()
    sender.park("a")
    taken(rabbitmq_url, "a")
    way.swallow()
    sender.publisher._link._proved = time.monotonic()
    sender.park("lost1", "lost2")
    until(lambda: len(sender.publisher) == 0)
    until(lambda: time.monotonic() - sender.publisher._link._proved > module.PROOF_SECONDS)
    sender.park("b")
    taken(rabbitmq_url, "lost1", "lost2", "b")
    assert sender.unsent() == set()


@pytest.mark.rabbitmq
def test_after_a_rest_the_way_is_tried_before_it_is_used(through_a_hole: Any, rabbitmq_url: str) -> None:
    sender, way = through_a_hole()
    sender.park("a")
    taken(rabbitmq_url, "a")
    until(lambda: time.monotonic() - sender.publisher._link._proved > module.PROOF_SECONDS)
    way.swallow()
    sender.park("b")
    taken(rabbitmq_url, "b")


@pytest.mark.rabbitmq
def test_where_the_app_asks_for_confirms_each_is_confirmed(through_a_hole: Any, rabbitmq_url: str) -> None:
    sender, way = through_a_hole(confirm_publish=True)
    sender.park("a")
    taken(rabbitmq_url, "a")
    way.swallow()
    sender.park("b")
    taken(rabbitmq_url, "b")
    assert not sender.publisher._link._unproven


@pytest.mark.rabbitmq
def test_what_rabbitmq_refuses_delays_no_other(
    rabbit: Sender, rabbitmq_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refuse at the call a text that AMQP can't carry: afterwards nobody could send it."""
    monkeypatch.setattr("celery_groupfifo.sending.message._check_amqp", lambda task, properties: None)
    for number in range(8):
        rabbit.park(f"odd{number}", timestamp="soon")
    rabbit.park("a")
    started = time.monotonic()
    taken(rabbitmq_url, "a")
    assert time.monotonic() - started < 3 * module.BROKER_RETRY_MOST, "a pause after each would be six times as long"
    assert rabbit.unsent() == {f"odd{number}" for number in range(8)}
    assert any("can't be published" in message for message in caplog.messages)


@pytest.mark.rabbitmq
def test_what_rabbitmq_closes_the_channel_for_is_not_sent_for_ever(
    rabbit: Sender, rabbitmq_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ticket for an exchange that is not there is written well, and its answer is the end of the channel."""
    rabbit.park("lost", queue=None, exchange="nowhere", routing_key="x")
    published: list[bool] = []
    publish = publish_ticket

    def noted(producer: Any, message: bytes, *more: Any) -> None:
        published.append(b" lost" in message)
        publish(producer, message, *more)

    monkeypatch.setattr(module, "publish_ticket", noted)
    for number in range(5):
        rabbit.park(f"t{number}")
        taken(rabbitmq_url, f"t{number}")
        until(lambda: len(rabbit.publisher) == 0)
    assert sum(published) <= 2


@pytest.mark.rabbitmq
def test_the_length_of_a_queue(rabbit: Sender, rabbitmq_url: str) -> None:
    assert rabbit.publisher.length(f"*{QUEUE}") == 0, "a queue of the app's that is not there"
    rabbit.park("a", "b", "c")
    until(lambda: rabbit.publisher.length(f"*{QUEUE}") == 3)
    assert rabbit.publisher.length("*a.topic") is None, "a routing key is no queue"
    with Connection(rabbitmq_url) as connection:
        connection.default_channel.queue_declare("not known", auto_delete=False)
        assert rabbit.publisher.length("*not%20known") == 0
        connection.default_channel.queue_delete("not known")


def test_the_length_of_a_queue_elsewhere(
    other: tuple[Sender, redis.Redis], redis_url: str, silent: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, _ = other
    assert sender.publisher.length(f"*{QUEUE}") == 0
    sender.park("a", "b", priority=0)
    sender.park("c", priority=9)
    until(lambda: sender.publisher.length(f"*{QUEUE}") == 3)
    monkeypatch.setattr(connect, "BROKER_PATIENCE", 0.5)
    assert silent.publisher.length(f"*{QUEUE}") is None
    memory = Sender("memory://", redis_url)
    assert memory.publisher.length(f"*{QUEUE}") == 0
    monkeypatch.setattr(Channel, "_size", virtual.Channel._size)
    assert memory.publisher.length(f"*{QUEUE}") is None, "its transport does not count"
    memory.close()
