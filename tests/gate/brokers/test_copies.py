"""Copies that kombu's Redis transport keeps of its deliveries: of plain messages, but not of tickets."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from kombu import Connection, Consumer, Queue

from celery_groupfifo.worker.broker import keep_no_copies
from tests.support.stored import all_stored

TICKET = "gf groupfifo:0 1800000000000000 0 1800000000000000 a g"
QUEUE = "q"


class Broker:
    """A consumer of one queue, as a worker is one."""

    def __init__(self, url: str) -> None:
        self.redis = redis.Redis.from_url(url)
        self.connection = Connection(url)
        self.channel: Any = self.connection.default_channel
        for _ in range(2):  # a worker does so at each start of its consumer
            keep_no_copies(self.channel, lambda tag: tag.startswith("gf groupfifo:0 "))
        self.received: list[Any] = []
        queue = Queue(QUEUE, routing_key=QUEUE, channel=self.channel)
        self.consumer = Consumer(self.channel, [queue], on_message=self.received.append)
        self.consumer.consume()

    def push(self, tag: str) -> None:
        """A message as it lies in the list."""
        info = {"exchange": "", "routing_key": QUEUE}
        properties = {"delivery_tag": tag, "delivery_info": info, "priority": 0, "body_encoding": None}
        message = {"body": "[]", "headers": {}, "properties": properties, "content-type": "application/json"}
        self.redis.lpush(QUEUE, json.dumps(message))

    def deliver(self, tag: str) -> Any:
        """Push a message, and receive it."""
        self.push(tag)
        self.connection.drain_events(timeout=5)
        return self.received.pop()

    @property
    def copies(self) -> list[str]:
        """Tags of what kombu would deliver again after the visibility timeout."""
        by_time = all_stored(self.redis.zrange("unacked_index", 0, -1))
        assert set(by_time) == set(self.redis.hkeys("unacked"))
        return [tag.decode() for tag in by_time]

    @property
    def queued(self) -> list[dict[str, Any]]:
        """Return the messages in the list."""
        return [json.loads(text)["properties"] for text in self.redis.lrange(QUEUE, 0, -1)]

    @property
    def held(self) -> int:
        """Deliveries that count for the prefetch limit."""
        qos = self.channel.qos
        return len(qos._delivered) - len(qos._dirty)


@pytest.fixture
def broker(redis_url: str) -> Iterator[Broker]:
    made = Broker(redis_url)
    yield made
    made.connection.close()
    made.redis.close()


def test_a_ticket_counts_but_has_no_copy(broker: Broker) -> None:
    message = broker.deliver(TICKET)
    assert (broker.held, broker.copies) == (1, [])
    message.ack()
    assert (broker.held, broker.copies, broker.queued) == (0, [], [])


@pytest.mark.parametrize("tag", ["0b7e-11", "gf other:0 1800000000000000 0 1800000000000000 a g"])
def test_any_other_message_has_one_until_it_is_acknowledged(broker: Broker, tag: str) -> None:
    message = broker.deliver(tag)
    assert (broker.held, broker.copies) == (1, [tag])
    message.ack()
    assert (broker.held, broker.copies, broker.queued) == (0, [], [])


@pytest.mark.parametrize("tag", [TICKET, "0b7e-11"])
def test_what_is_rejected_goes_back_to_its_list_when_it_shall(broker: Broker, tag: str) -> None:
    broker.deliver(tag).reject()
    assert (broker.held, broker.copies, broker.queued) == (0, [], [])
    broker.deliver(tag).requeue()
    assert (broker.held, broker.copies) == (0, [])
    assert [(each["delivery_tag"], each["delivery_info"]["redelivered"]) for each in broker.queued] == [(tag, True)]


@pytest.mark.parametrize("tag", [TICKET, "0b7e-11"])
def test_what_comes_when_nobody_consumes_any_more_goes_back(broker: Broker, tag: str) -> None:
    with pytest.raises((socket.timeout, TimeoutError)):
        broker.connection.drain_events(timeout=0.1)  # its BRPOP is out
    broker.consumer.cancel()
    broker.push(tag)
    broker.connection.close()
    assert broker.received == []
    assert [each["delivery_tag"] for each in broker.queued] == [tag]
    assert broker.copies == []
