"""Exchanges on the gate's own Redis: a ticket goes into the list that kombu would choose, or the call is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Connection, Exchange, Producer, Queue, pools
from kombu.common import Broadcast
from kombu.exceptions import OperationalError

from celery_groupfifo import GroupFifo, GroupFifoTask, Groups, InvalidOption, InvalidRoute, PartiallyParked, park_many
from celery_groupfifo.gate.gate import gate_of

MEDIA = Exchange("media", type="topic")
OPTIONS = {"global_keyprefix": "app1:", "priority_steps": [0, 5], "sep": "@"}
QUEUES = [
    Queue("default"),
    Queue("video", MEDIA, routing_key="media.video.#"),
    Queue("image", MEDIA, routing_key="media.image.#"),
    Queue("mail", Exchange("letters"), routing_key="mail"),
    Broadcast("everyone"),
]
ROUTES = {
    "video_*": {"queue": "video", "routing_key": "media.video.hd"},
    "all_*": {"queue": "everyone", "exchange": "everyone"},
}


def make_app(url: str, **conf: Any) -> Celery:
    pools.reset()  # of the process, by URL: their connections know what earlier tests have declared
    app = Celery("routes", broker=url, set_as_current=False)
    app.conf.update(task_default_queue="default", task_queues=QUEUES, task_routes=ROUTES, task_ignore_result=True)
    app.conf.update(conf)

    def send(key: str, number: int = 0) -> None: ...

    for name in ("send", "video_grouped", "all_grouped"):
        app.task(base=GroupFifoTask, group_key="{key}", name=name, lazy=False, shared=False)(send)
    app.task(name="video_plain", lazy=False, shared=False)(send)
    return app


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    app = make_app(redis_url)
    yield app
    app.close()


@pytest.fixture
def lists(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def ids(lists: redis.Redis, key: str) -> list[str]:
    messages: list[bytes] = lists.lrange(key, 0, -1)  # type: ignore[assignment]
    return [json.loads(message)["headers"]["id"] for message in messages][::-1]


def nothing_is_parked(app: Celery) -> bool:
    return not gate_of(app).store.client.exists("{groupfifo:0}:entries")


def test_a_topic_exchange_leads_where_a_plain_task_goes(app: Celery, lists: redis.Redis) -> None:
    """No worker has started: the sender declares, as a plain one does."""
    app.tasks["video_grouped"].apply_async(("k",), task_id="grouped")
    app.tasks["video_plain"].apply_async(("k",), task_id="plain")
    assert ids(lists, "video") == ["grouped", "plain"]
    grouped, plain = (json.loads(lists.rpop("video"))["properties"] for _ in range(2))  # type: ignore[arg-type]
    assert grouped["delivery_info"] == plain["delivery_info"] == {"exchange": "media", "routing_key": "media.video.hd"}


def test_the_sender_of_a_grouped_task_declares_as_a_plain_one_does(app: Celery, lists: redis.Redis) -> None:
    app.tasks["video_plain"].delay("k")
    declared = {key: lists.smembers(key) for key in lists.scan_iter("_kombu*")}
    lists.flushdb()
    other = make_app(app.conf.broker_url)
    other.tasks["video_grouped"].delay("k")
    assert {key: lists.smembers(key) for key in lists.scan_iter("_kombu*")} == declared
    other.close()


def test_a_server_that_was_emptied_is_told_again(app: Celery, lists: redis.Redis) -> None:
    app.tasks["video_grouped"].delay("k")
    lists.flushdb()
    app.tasks["video_grouped"].apply_async(("k",), task_id="again")
    assert ids(lists, "video") == ["again"]


def test_a_direct_exchange_by_its_name(app: Celery, lists: redis.Redis) -> None:
    app.tasks["send"].apply_async(("k",), task_id="by queue", queue="mail")
    app.tasks["send"].apply_async(("l",), task_id="by key", exchange="letters", routing_key="mail")
    assert ids(lists, "mail") == ["by queue", "by key"]


def test_what_is_declared_explicitly_is_declared(app: Celery, lists: redis.Redis) -> None:
    more = Queue("more", Exchange("extra"), "x")
    app.tasks["send"].apply_async(("k",), queue="default", declare=[QUEUES[0], more])
    assert lists.exists("_kombu.binding.extra")
    app.tasks["send"].apply_async(("l",), task_id="found", exchange="extra", routing_key="x")
    assert ids(lists, "more") == ["found"]


def test_a_queue_of_its_own_name_needs_no_connection_to_the_broker(app: Celery, lists: redis.Redis) -> None:
    with app.producer_pool.acquire(block=True) as producer:
        app.tasks["send"].apply_async(("k",), producer=producer)
        assert not producer.connection.connected
    assert lists.llen("default") == 1


def test_prefix_steps_and_separator(redis_url: str, lists: redis.Redis) -> None:
    app = make_app(redis_url, broker_transport_options=OPTIONS)
    app.tasks["video_grouped"].apply_async(("k",), task_id="low", priority=4)
    app.tasks["video_grouped"].apply_async(("l",), task_id="high", priority=7)
    assert (ids(lists, "app1:video"), ids(lists, "app1:video@5")) == (["low"], ["high"])
    assert lists.exists("app1:_kombu.binding.media")
    app.close()


def test_bindings_of_others_count(app: Celery, lists: redis.Redis, redis_url: str) -> None:
    """A queue that the app does not know gets a copy of a plain task: what is ordered can't go there."""
    with Connection(redis_url) as connection:
        Queue("spy", MEDIA, "media.video.*")(connection.default_channel).declare()
    with pytest.raises(InvalidRoute, match=r"to 2 queues \(spy, video\)"):
        app.tasks["video_grouped"].delay("k")
    assert nothing_is_parked(app)
    assert lists.llen("video") == lists.llen("spy") == 0


def test_where_nothing_is_bound_the_call_says_so(app: Celery) -> None:
    with pytest.raises(InvalidRoute, match="no queue is bound to exchange 'letters' for routing key 'lost'"):
        app.tasks["send"].apply_async(("k",), exchange="letters", routing_key="lost")
    assert nothing_is_parked(app)


def test_kombus_dead_letter_queue_is_a_queue(redis_url: str, lists: redis.Redis) -> None:
    app = make_app(redis_url, broker_transport_options={"deadletter_queue": "unrouted"})
    with pytest.warns(UserWarning, match="could not be delivered"):
        app.tasks["send"].apply_async(("k",), task_id="lost", exchange="letters", routing_key="lost")
    assert ids(lists, "unrouted") == ["lost"]
    app.close()


@pytest.mark.parametrize("broker", ["redis", "amqp://rabbit.invalid//", "memory://"])
def test_a_broadcast_queue_is_refused_at_the_call(redis_url: str, broker: str) -> None:
    app = make_app(redis_url if broker == "redis" else broker, groupfifo_url=redis_url)
    for options in ({}, {"queue": Broadcast("new")}, {"exchange": "x", "exchange_type": "fanout", "routing_key": "y"}):
        with pytest.raises(InvalidRoute, match="is a broadcast queue"):
            app.tasks["all_grouped"].apply_async(("k",), **options)
    assert nothing_is_parked(app)
    app.close()


def test_a_message_for_two_queues_of_the_app_is_refused(redis_url: str) -> None:
    app = make_app("amqp://rabbit.invalid//", groupfifo_url=redis_url)
    app.conf.task_queues = [*QUEUES, Queue("all", MEDIA, "media.#")]
    with pytest.raises(InvalidRoute, match=r"to 2 queues \(all, video\)"):
        app.tasks["video_grouped"].delay("k")
    assert nothing_is_parked(app)
    app.close()


def test_in_a_bulk_send_what_was_parked_before_is_named(app: Celery, lists: redis.Redis) -> None:
    good, bad = app.tasks["video_grouped"].s("k"), app.tasks["all_grouped"].s("k")
    with pytest.raises(PartiallyParked, match="broadcast queue") as stopped:
        park_many([good.set(task_id="a"), good.clone().set(task_id="b"), bad])
    assert [result.id for result in stopped.value.parked] == ["a", "b"]
    assert ids(lists, "video") == ["a"]


def test_a_bulk_send_over_a_topic_exchange(app: Celery, lists: redis.Redis) -> None:
    task = app.tasks["video_grouped"]
    park_many([task.s(f"k{number}").set(task_id=str(number)) for number in range(5)])
    assert ids(lists, "video") == ["0", "1", "2", "3", "4"]


def test_a_ticket_that_goes_out_later_goes_to_the_same_list(app: Celery, lists: redis.Redis) -> None:
    """Paused and resumed, moved, due: the place is the one that the send has found, whoever releases."""
    groups = Groups(app)
    task = app.tasks["video_grouped"]
    groups.pause("k")
    task.apply_async(("k",), task_id="paused")
    groups.pause("old")
    task.apply_async(("old",), task_id="moved")
    groups.pause("lost")
    task.apply_async(("lost",), task_id="redriven")
    task.apply_async(("d",), task_id="due", countdown=0.05)
    assert ids(lists, "video") == []
    groups.resume("k")
    groups.move("old", "new")
    groups.drop("lost", expected="redriven")
    groups.redrive("redriven")
    groups.resume("lost")
    gate = gate_of(app)
    [keys] = gate.keyspace.partitions
    while lists.llen("video") < 4:
        gate.sweep(keys)
    assert set(ids(lists, "video")) == {"paused", "moved", "due", "redriven"}


def test_a_client_without_the_apps_queues_finds_what_is_bound(app: Celery, redis_url: str, lists: redis.Redis) -> None:
    app.tasks["video_plain"].delay("k")
    client = Celery("client", broker=redis_url, set_as_current=False)
    GroupFifo(client)
    client.send_task("t", task_id="sent", group_key="k", exchange=MEDIA, routing_key="media.video.sd")
    assert ids(lists, "video")[-1] == "sent"
    client.close()


def test_a_broker_that_is_away_is_tried_again_as_for_a_plain_send(
    app: Celery, lists: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.tasks["video_grouped"].delay("first")
    failures = iter([OSError("away")])
    maybe_declare = Producer.maybe_declare

    def failing(self: Any, *args: Any, **options: Any) -> Any:
        for error in failures:
            raise error
        return maybe_declare(self, *args, **options)

    monkeypatch.setattr(Producer, "maybe_declare", failing)
    app.tasks["video_grouped"].apply_async(("k",), task_id="again")
    assert ids(lists, "video")[-1] == "again"
    failures = iter([OSError("away")])
    with pytest.raises(OperationalError):
        app.tasks["video_grouped"].apply_async(("l",), retry=False)


def test_immediate_is_refused(app: Celery) -> None:
    with pytest.raises(InvalidOption, match="immediate=True does not work for send"):
        app.tasks["send"].apply_async(("k",), immediate=True)
    assert nothing_is_parked(app)
