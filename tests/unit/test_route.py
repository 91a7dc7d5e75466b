"""Which queue a message goes to, by what an app says; and what is refused because it would go to several."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from kombu import Exchange, Queue
from kombu.common import Broadcast
from kombu.entity import binding

from celery_groupfifo.errors import InvalidRoute
from celery_groupfifo.gate.route import Known, Route

MEDIA = Exchange("media", type="topic")
STARS = [
    Queue("word", MEDIA, "a.*"),
    Queue("words", MEDIA, "b.#"),
    Queue("middle", MEDIA, "c.#.z"),
]


def queue_of(queues: list[Any], exchange: str, key: str, **more: Any) -> str | None:
    app = Celery(set_as_current=False)
    app.conf.task_queues = queues
    return Known(app, Route(exchange, key, task="shop.send", **more)).queue()


@pytest.mark.parametrize(
    ("key", "queue"),
    [
        ("a.x", "word"),
        ("a", None),
        ("a.x.y", None),
        ("b", "words"),
        ("b.x", "words"),
        ("b.x.y", "words"),
        ("bx", None),
        ("c.z", "middle"),
        ("c.x.y.z", "middle"),
        ("c.x", None),
    ],
)
def test_topics_are_matched_as_amqp_has_it(key: str, queue: str | None) -> None:
    assert queue_of(STARS, "media", key) == queue


def test_direct_exchanges_and_bindings() -> None:
    direct = Exchange("mail")
    queues = [Queue("in", direct, "in"), Queue("out", [binding(direct, "out"), binding(MEDIA, "out.#")])]
    assert queue_of(queues, "mail", "in") == "in"
    assert queue_of(queues, "mail", "out") == "out"
    assert queue_of(queues, "media", "out.x") == "out"
    assert queue_of(queues, "mail", "else") is None


def test_what_the_app_does_not_know_goes_its_way() -> None:
    assert queue_of([], "somewhere", "x") is None
    assert (
        queue_of([Queue("q", Exchange("h", "headers"), "x"), Queue("r", Exchange("h", "headers"), "x")], "h", "x")
        is None
    )


@pytest.mark.parametrize(
    "queues",
    [
        [Queue("one", MEDIA, "a.#"), Queue("two", MEDIA, "a.x")],
        [Queue("one", Exchange("media"), "a.x"), Queue("two", Exchange("media"), "a.x")],
    ],
    ids=["topic", "direct"],
)
def test_several_queues_are_refused(queues: list[Queue]) -> None:
    with pytest.raises(InvalidRoute, match=r"shop.send was not sent: .*'media'.*'a.x' to 2 queues \(one, two\)"):
        queue_of(queues, "media", "a.x")


def test_a_broadcast_queue_is_refused_and_named() -> None:
    with pytest.raises(InvalidRoute, match=r"'everyone' is a broadcast queue .*Route it to another"):
        queue_of([Broadcast("everyone")], "everyone", "")


@pytest.mark.parametrize("given", [Broadcast("news"), Exchange("news", "fanout")], ids=["queue", "exchange"])
def test_one_that_only_the_call_knows_is_refused(given: Any) -> None:
    with pytest.raises(InvalidRoute, match="'news' is a broadcast queue"):
        queue_of([], "news", "", named=[given])
    with pytest.raises(InvalidRoute, match="'news' is a broadcast queue"):
        queue_of([], "news", "", declare=[given])
