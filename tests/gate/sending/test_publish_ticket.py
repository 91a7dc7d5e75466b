"""A channel's error while a ticket is published has a meaning; and each message came from some list."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from amqp.exceptions import NotFound, PreconditionFailed
from celery import Celery
from kombu import Exchange, Queue

from celery_groupfifo.gate.releaser import DeclarationRefused, publish_ticket
from celery_groupfifo.worker.broker import _list_of

MESSAGE = json.dumps(
    {
        "properties": {"delivery_tag": "gf groupfifo:0 1 0 1 a g", "delivery_info": {"routing_key": "q"}},
        "headers": {},
        "body": "",
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "publish": {"declare": [{"queue": {"name": "q"}}], "timeout": 60, "confirm_timeout": 2},
    }
).encode()


class Channel:
    """Notes what is published on it."""

    def __init__(self) -> None:
        self.published: list[dict[str, Any]] = []

    def prepare_message(self, *parts: Any) -> Any:
        return parts

    def basic_publish(self, message: Any, **route: Any) -> None:
        self.published.append(route | {"properties": message[-1]})


def producer(error: Exception | None = None, driver: str = "amqp") -> Any:
    def maybe_declare(entity: Any) -> None:
        if error is not None:
            raise error

    connection = SimpleNamespace(transport=SimpleNamespace(driver_type=driver))
    return SimpleNamespace(channel=Channel(), maybe_declare=maybe_declare, connection=connection)


#: What a call may give SQS.
OF_CALL = {"MessageGroupId": "customer", "MessageDeduplicationId": "same"}


def on_sqs(number: int, queue: str, declared: str = "q", driver: str = "sqs") -> dict[str, Any]:
    """Return the properties that a ticket goes out with."""
    ticket = f"gf groupfifo:0 {number} 0 1 a g"
    said = json.loads(MESSAGE) | {
        "headers": {"groupfifo": ticket},
        "publish": {"declare": [{"queue": {"name": declared}}]},
    }
    said["properties"] = {"delivery_tag": ticket, "delivery_info": {"routing_key": queue}, **OF_CALL}
    one = producer(driver=driver)
    publish_ticket(one, json.dumps(said).encode())
    return dict(one.channel.published[0]["properties"])


@pytest.mark.parametrize(("queue", "declared"), [("work.fifo", "q"), ("key", "work.fifo")])
def test_tickets_on_a_fifo_queue_of_sqs_neither_wait_for_each_other_nor_are_duplicates(
    queue: str, declared: str
) -> None:
    first, again, second = (on_sqs(number, queue, declared) for number in (1, 1, 2))
    assert first == again
    assert first["MessageGroupId"] not in (second["MessageGroupId"], OF_CALL["MessageGroupId"])
    assert first["MessageDeduplicationId"] not in (second["MessageDeduplicationId"], OF_CALL["MessageDeduplicationId"])
    assert all(re.fullmatch(r"\w{1,128}", first[name]) for name in OF_CALL)


@pytest.mark.parametrize(("queue", "driver"), [("work", "sqs"), ("work.fifo", "amqp")])
def test_elsewhere_what_the_call_gave_is_kept(queue: str, driver: str) -> None:
    assert on_sqs(1, queue, driver=driver) == OF_CALL


def test_a_declaration_that_is_refused_is_told_by_its_name() -> None:
    with pytest.raises(DeclarationRefused) as refused:
        publish_ticket(producer(PreconditionFailed("other", (50, 10))), MESSAGE)
    assert refused.value.name == "q"
    one = producer(PreconditionFailed("other", (50, 10)))
    publish_ticket(one, MESSAGE, undeclared={"q"})
    assert len(one.channel.published) == 1


def test_the_answer_to_an_earlier_publish_is_none_to_the_declaration() -> None:
    with pytest.raises(NotFound):
        publish_ticket(producer(NotFound("no exchange", (60, 40))), MESSAGE)


def test_the_time_outs_of_a_call_are_bounded_where_nobody_may_wait() -> None:
    one = producer()
    publish_ticket(one, MESSAGE)
    publish_ticket(one, MESSAGE, patience=5.0)
    timeouts = [(route["timeout"], route["confirm_timeout"]) for route in one.channel.published]
    assert timeouts == [(60, 2), (5.0, 2)]


def test_the_list_of_a_message_that_came_over_an_exchange(redis_url: str) -> None:
    """A finish looks first into the list that its successor is likely to be in."""
    app = Celery("lists", broker=redis_url, set_as_current=False)
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        Queue("video", Exchange("media", "topic"), "media.video.#")(channel).declare()

        def came(exchange: str, key: str, priority: int = 0) -> tuple[str, int]:
            info = {"exchange": exchange, "routing_key": key}
            return _list_of(channel, SimpleNamespace(properties={"priority": priority}, delivery_info=info))

        assert came("media", "media.video.hd", 7) == ("video", 6)
        assert came("", "mail") == ("mail", 0)
        assert came("media", "unknown") == ("unknown", 0)
        assert came("elsewhere", "key") == ("key", 0)
        channel.close()
        assert came("media", "media.video.hd") == ("media.video.hd", 0), "it is closed: nothing is known, nothing fails"
    app.close()
