"""The broker on the gate's own Redis, in the shapes that kombu allows: prefix, database, priorities, several queues."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from celery_groupfifo import GroupFifo
from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.testing import checker, history
from celery_groupfifo.testing.embedded import Server
from tests.support.brokers.workers import Workers
from tests.support.databases import Database
from tests.support.waiting import until

PREFIX = "app1:"
OPTIONS: dict[str, Any] = {"global_keyprefix": PREFIX, "priority_steps": [0, 5], "sep": "@"}


@pytest.fixture
def variant(redis_server: Server, tmp_path: Path) -> Iterator[Celery]:
    """An app with every option at once, in a database of its own."""
    url = Database.VARIANT.of(redis_server.url)
    redis.Redis.from_url(url).flushdb()
    (tmp_path / "history").mkdir()
    app = Celery("variant", broker=url)
    app.conf.broker_transport_options = OPTIONS
    GroupFifo(app)
    yield app
    redis.Redis.from_url(url).flushdb()


@pytest.fixture
def workers(variant: Celery, tmp_path: Path) -> Iterator[Workers]:
    """A worker of two queues."""
    variables = {
        "BROKER_URL": variant.conf.broker_url,
        "BROKER_FOLDER": str(tmp_path),
        "BROKER_OPTIONS": json.dumps(OPTIONS),
    }
    workers = Workers(tmp_path, "tests.support.brokers.app", variables)
    workers.start("-Q", "mail,chat", "-c", "2")
    yield workers
    workers.close()


def send(app: Celery, group: str, seq: int, queue: str, priority: int | None = None) -> None:
    app.send_task("tests.support.brokers.app.work", (group, seq), group_key=group, queue=queue, priority=priority)


def test_tickets_go_to_the_lists_that_kombu_reads(variant: Celery) -> None:
    send(variant, "a", 0, "mail")
    send(variant, "b", 0, "mail", priority=9)
    send(variant, "c", 0, "chat", priority=4)
    lists = gate_of(variant).store.client

    assert (lists.llen("app1:mail"), lists.llen("app1:mail@5"), lists.llen("app1:chat")) == (1, 1, 1)
    assert set(lists.scan_iter()) >= {b"app1:{groupfifo:0}:entries", b"app1:{groupfifo:0}:groups"}


def test_order_with_prefix_priorities_and_two_queues_in_one_group(
    variant: Celery, workers: Workers, tmp_path: Path
) -> None:
    sent = tmp_path / "history" / "sent.jsonl"
    for number in range(120):
        group, seq = f"g{number % 6}", number // 6
        history.record(sent, ev="sent", group=group, seq=seq, id=str(number))
        send(variant, group, seq, "mail" if number % 5 else "chat", priority=number % 10)
    client = gate_of(variant).store.client
    until(
        lambda: not client.exists("app1:{groupfifo:0}:groups") and not client.hlen("app1:unacked"),
        lambda: workers.log[-4000:],
    )

    assert checker.check(history.load([tmp_path / "history"])).broken == ()
    assert not client.exists("app1:mail", "app1:mail@5", "app1:chat", "app1:chat@5")
    assert not list(client.scan_iter("app1:{groupfifo:0}:w:*"))
