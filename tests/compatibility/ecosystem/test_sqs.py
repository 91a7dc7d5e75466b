"""SQS: tasks of a group keep their order on standard and FIFO queues, and a killed worker does not hold others up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from tests.compatibility.conformance.run import Conformance, Engine
from tests.support.brokers.stage import Stage, assert_in_order
from tests.support.waiting import until

#: A message that was not acknowledged comes again after half an hour, as by Celery's default.
OPTIONS = {"region": "us-east-1", "is_secure": False, "polling_interval": 0.1, "wait_time_seconds": 1}


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    yield f"sqs://key:secret@localhost:{port}//"
    server.stop()


@pytest.fixture
def stage(tmp_path: Path, url: str, redis_url: str) -> Iterator[Stage]:
    stage = Stage(url, redis_url, tmp_path, OPTIONS)
    yield stage
    stage.close()


@pytest.mark.parametrize("queue", ["work", "work.fifo"])
def test_it_conforms(tmp_path: Path, url: str, redis_url: str, queue: str) -> None:
    """A worker dies where the gate has released a head, and SQS does not have its ticket, too."""
    conf = {"task_default_queue": queue, "broker_transport_options": OPTIONS, "worker_enable_remote_control": False}
    assert Conformance(Engine(url, redis_url, conf=conf, crash=True), tmp_path / "run").run() == []


@pytest.mark.parametrize("queue", ["work", "work.fifo"])
def test_order_is_kept_and_a_killed_worker_holds_up_its_own_groups_only(stage: Stage, queue: str) -> None:
    """All calls give SQS one group and one id: those would let it send one message at a time, and drop the others."""
    properties = {"MessageGroupId": "one", "MessageDeduplicationId": "one"}
    first, _ = (stage.worker("-c", "4", "-Q", queue) for _ in range(2))
    stage.send(groups=12, tasks=10, seconds=0.05, every=17, queue=queue, **properties)
    until(lambda: sum(event["ev"] == "end" for event in stage.events()) >= 40, lambda: stage.workers.log[-4000:])
    stage.kill(first)

    stage.drained()
    assert_in_order(stage)
