"""Brokers that are not the gate's Redis: the same run, and a worker that dies between a release and its ticket."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from celery_groupfifo.testing import embedded
from tests.compatibility.conformance.run import Conformance, Engine

CONFIRMS = {"broker_transport_options": {"confirm_publish": True}}
QUORUM = {"task_default_queue_type": "quorum", "task_default_exchange_type": "direct", **CONFIRMS}


def _of_files(folder: Path) -> dict[str, Any]:
    (folder / "queue").mkdir()
    places = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"}
    options = {name: str(folder / place) for name, place in places.items()}
    return {"broker_transport_options": {**options, "store_processed": False}, "worker_enable_remote_control": False}


@pytest.mark.parametrize(
    "broker",
    [
        pytest.param("classic queues", marks=pytest.mark.rabbitmq),
        pytest.param("quorum queues", marks=pytest.mark.rabbitmq),
        "another database",
        "sqlalchemy",
        "filesystem",
    ],
)
def test_it_conforms(request: pytest.FixtureRequest, valkey: embedded.Server, tmp_path: Path, broker: str) -> None:
    conf: dict[str, Any] = {}
    url = f"{valkey.url}/2"
    if broker.endswith("queues"):
        url = request.getfixturevalue("rabbitmq_url")
        conf = {"task_default_queue": f"brokers-{uuid4().hex[:8]}", **(QUORUM if broker.startswith("quorum") else {})}
    if broker == "sqlalchemy":
        url = f"sqla+sqlite:///{tmp_path}/queue.sqlite?timeout=30"
    if broker == "filesystem":
        url, conf = "filesystem://", _of_files(tmp_path)
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    engine = Engine(url, f"{valkey.url}/1", conf=conf, crash=True)
    assert Conformance(engine, tmp_path / "run").run() == []
    if broker.startswith("quorum"):
        queues = request.getfixturevalue("rabbitmq").control("list_queues", "name", "type").split("\n")
        assert f"{conf['task_default_queue']}\tquorum" in queues
