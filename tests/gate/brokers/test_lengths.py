"""The length of a queue by which lost tickets are known: messages that were delivered don't count."""

from __future__ import annotations

from pathlib import Path

from kombu import Connection

from tests.gate.brokers.test_publisher import QUEUE, Sender
from tests.support.waiting import until


def test_sqlalchemy_keeps_delivered_messages_that_count_no_more(tmp_path: Path, redis_url: str) -> None:
    broker = f"sqla+sqlite:///{tmp_path}/queue.sqlite?timeout=30"
    sender = Sender(broker, redis_url)
    assert sender.publisher.length(f"*{QUEUE}") == 0
    sender.park("a", "b", "c")
    until(lambda: sender.publisher.length(f"*{QUEUE}") == 3)
    with Connection(broker) as connection:
        delivered = connection.SimpleQueue(QUEUE).get(timeout=10)
        assert sender.publisher.length(f"*{QUEUE}") == 2
        delivered.ack()
    assert sender.publisher.length(f"*{QUEUE}") == 2
    sender.close()
