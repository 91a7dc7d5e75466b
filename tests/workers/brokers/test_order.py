"""Order does not depend on a Redis broker: tickets go through RabbitMQ, or through files."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import redis

from celery_groupfifo import park_many
from celery_groupfifo.testing.embedded import Server
from tests.support.brokers.stage import Stage, assert_in_order
from tests.support.databases import Database
from tests.support.waiting import until


@pytest.fixture
def elsewhere(tmp_path: Path, redis_url: str, rabbitmq_url: str) -> Iterator[Stage]:
    stage = Stage(rabbitmq_url, redis_url, tmp_path)
    yield stage
    stage.close()


@pytest.fixture
def files(tmp_path: Path, redis_url: str) -> Iterator[Stage]:
    stage = Stage("filesystem://", redis_url, tmp_path)
    yield stage
    stage.close()


@pytest.mark.rabbitmq
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_rabbitmq_keeps_order_over_two_workers(elsewhere: Stage, pool: str) -> None:
    for _ in range(2):
        elsewhere.worker("-c", "4", "-P", pool)
    elsewhere.send(groups=20, tasks=20, seconds=0.002, every=17)

    elsewhere.drained()
    assert_in_order(elsewhere)


@pytest.mark.rabbitmq
def test_rabbitmq_survives_a_lost_worker(elsewhere: Stage) -> None:
    first, _ = elsewhere.worker("-c", "4"), elsewhere.worker("-c", "4")
    elsewhere.send(groups=12, tasks=15, seconds=0.05)
    until(lambda: sum(event["ev"] == "end" for event in elsewhere.events()) >= 40)
    elsewhere.kill(first)

    elsewhere.drained()
    assert_in_order(elsewhere)


@pytest.mark.rabbitmq
def test_rabbitmq_hand_off_is_bounded(elsewhere: Stage) -> None:
    """On one slot, a deep group has at most groupfifo_burst (5) runs in a row while another one waits."""
    elsewhere.send(groups=2, tasks=30)
    elsewhere.worker("-c", "1", "-P", "solo")

    elsewhere.drained()
    starts = [event["group"] for event in elsewhere.events() if event["ev"] == "start"]
    assert_in_order(elsewhere)
    assert max(_streaks(starts[:50])) <= 5


@pytest.fixture
def other_redis(tmp_path: Path, redis_server: Server, redis_url: str) -> Iterator[Stage]:
    with redis.Redis.from_url(Database.RESULTS.of(redis_server.url)) as broker:
        broker.flushdb()
    stage = Stage(Database.RESULTS.of(redis_server.url), redis_url, tmp_path)
    yield stage
    stage.close()


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_ordered_tasks_that_send_ordered_tasks(other_redis: Stage, pool: str) -> None:
    """Celery has one producer here: a task that held it and waited for another one would stop all of them."""
    other_redis.workers.variables["BROKER_POOL_LIMIT"] = "1"
    other_redis.worker("-c", "16", "-P", pool)
    spread = [
        other_redis.app.signature("tests.support.brokers.app.spread", (f"s{number}", 5), {}, group_key=f"s{number}")
        for number in range(48)
    ]
    park_many(spread)

    other_redis.drained()
    assert sum(event["ev"] == "end" for event in other_redis.events()) == 48 * 5


@pytest.mark.parametrize("broker", ["filesystem://", "sqla+sqlite:///{folder}/queue.db?timeout=30"])
def test_brokers_of_files_keep_order(broker: str, tmp_path: Path, redis_url: str) -> None:
    stage = Stage(broker.format(folder=tmp_path), redis_url, tmp_path)
    try:
        for _ in range(2):
            stage.worker("-c", "2")
        stage.send(groups=8, tasks=10, seconds=0.002, every=13)

        stage.drained()
        assert_in_order(stage)
    finally:
        stage.close()


def test_an_end_is_told_while_tasks_wait_for_a_full_pool(files: Stage) -> None:
    """Timeline: of four groups two run; a short one ends, the third takes its place, and the fourth has to wait."""
    files.worker("-c", "2", "--prefetch-multiplier", "4")
    for group, seconds in {"long": 6.0, "short": 0.2, "third": 6.0, "fourth": 0.2}.items():
        files.send(groups=1, tasks=1, seconds=seconds, named=group)

    until(lambda: files.ended("short0") and not files.redis.hexists("{groupfifo:0}:groups", "short0"))
    assert not files.ended("long0")
    files.drained()
    assert_in_order(files)


def _streaks(groups: list[str]) -> list[int]:
    streaks = [1]
    for before, group in pairwise(groups):
        if group == before:
            streaks[-1] += 1
        else:
            streaks.append(1)
    return streaks
