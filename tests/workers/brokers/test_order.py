"""Order does not depend on a Redis broker: tickets go through RabbitMQ, or through files."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from celery_groupfifo import GroupFifo, park_many
from celery_groupfifo.testing import checker, history
from celery_groupfifo.testing.embedded import Server
from tests.support.databases import Database
from tests.support.waiting import until
from tests.workers.brokers.workers import Workers


class Stage:
    """A broker, a gate elsewhere, and workers between them."""

    def __init__(self, broker: str, gate: str, folder: Path) -> None:
        self.folder = folder
        for name in ("history", "queue", "control"):
            (folder / name).mkdir()
        variables = {"BROKER_URL": broker, "GATE_URL": gate, "BROKER_FOLDER": str(folder)}
        self.workers = Workers(folder, "tests.workers.brokers.app", variables)
        self.redis = redis.Redis.from_url(gate)
        self.app = Celery("sender", broker=broker)
        self.app.conf.update(groupfifo_url=gate, groupfifo_lease_ttl=2, groupfifo_sweep_interval=0.5)
        if broker.startswith("filesystem"):
            self.app.conf.broker_transport_options = {
                "data_folder_in": str(folder / "queue"),
                "data_folder_out": str(folder / "queue"),
                "control_folder": str(folder / "control"),
            }
        GroupFifo(self.app)

    def worker(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a worker."""
        return self.workers.start(*options)

    def send(self, groups: int, tasks: int, seconds: float = 0.0, every: int = 0, named: str = "g") -> None:
        """Park tasks, round robin over the groups; one in `every` fails once and is retried."""
        signatures = []
        for number in range(groups * tasks):
            group, seq = f"{named}{number % groups}", number // groups
            history.record(
                self.folder / "history" / "sent.jsonl", ev="sent", group=group, seq=seq, id=f"{named}{number}"
            )
            fails = int(bool(every) and number % every == 0)
            signatures.append(
                self.app.signature("tests.workers.brokers.app.work", (group, seq, seconds, fails), {}, group_key=group)
            )
        park_many(signatures)

    def drained(self) -> None:
        """Wait until no group is left; a ticket that a killed worker did not publish is released again in a minute."""
        until(lambda: not self.redis.exists("{groupfifo:0}:groups"), lambda: self.workers.log[-4000:], 90)

    def events(self) -> list[dict[str, Any]]:
        """Return the history of the runs."""
        return history.load([self.folder / "history"])

    def ended(self, group: str) -> bool:
        """Return whether a task of a group has ended."""
        return any(event["ev"] == "end" and event["group"] == group for event in self.events())

    def close(self) -> None:
        """Stop what still runs."""
        self.workers.close()
        self.redis.close()


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


def assert_in_order(stage: Stage) -> None:
    events = stage.events()
    assert checker.check(events).broken == ()
    assert not list(stage.redis.scan_iter("{groupfifo:0}:w:*"))
    assert not stage.redis.exists("{groupfifo:0}:entries", "{groupfifo:0}:groups", "{groupfifo:0}:on_the_way")


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
    killed = {"ev": "kill", "target": [first.pid, *_children(first.pid)], "worker": "w0@test"}
    history.record(elsewhere.folder / "history" / "kills.jsonl", **killed)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    history.record(elsewhere.folder / "history" / "kills.jsonl", **killed)

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
        other_redis.app.signature("tests.workers.brokers.app.spread", (f"s{number}", 5), {}, group_key=f"s{number}")
        for number in range(48)
    ]
    park_many(spread)

    other_redis.drained()
    assert sum(event["ev"] == "end" for event in other_redis.events()) == 48 * 5


def test_a_broker_of_files_keeps_order(files: Stage) -> None:
    files.worker("-c", "4")
    files.send(groups=8, tasks=10, seconds=0.002, every=13)

    files.drained()
    assert_in_order(files)


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


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]
