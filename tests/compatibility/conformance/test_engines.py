"""Every pool on every broker, with the backends and settings in turn.

Each pool meets each broker, each broker meets each backend, and each pool meets four of the five.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from celery_groupfifo.testing import embedded
from tests.compatibility.conformance.run import Conformance, Engine

POOLS = ("prefork", "threads", "gevent", "eventlet", "solo")
#: The gate is beside the broker in the first two, and a Valkey of its own in the others.
BROKERS = ("valkey", "redis", "rabbitmq", "another redis")
BACKENDS = ("redis", "rpc", "none", "database", "files")
SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"groupfifo_tuning": False},
    {"worker_prefetch_multiplier": 1, "groupfifo_namespace": "groupfifo"},
    {"task_track_started": True, "task_send_sent_event": True, "worker_send_task_events": True},
)


def _cells() -> Iterator[Any]:
    for row, pool in enumerate(POOLS):
        for column, broker in enumerate(BROKERS):
            backend, chosen = BACKENDS[(row + column) % len(BACKENDS)], (row + 2 * column) % len(SETTINGS)
            yield pytest.param(
                *(pool, broker, backend, SETTINGS[chosen]),
                id=f"{pool}-{broker.replace(' ', '-')}-{backend}-{chosen}",
                marks=[pytest.mark.rabbitmq] if broker == "rabbitmq" else [],
            )


@pytest.fixture
def make_engine(
    request: pytest.FixtureRequest, valkey: embedded.Server, tmp_path: Path
) -> Callable[[str, str, str, dict[str, Any]], Engine]:
    """Make an engine on empty servers."""

    def make(pool: str, broker: str, backend: str, conf: dict[str, Any]) -> Engine:
        gate = valkey
        if broker == "redis":
            gate = request.getfixturevalue("redis_itself")
        brokers = {
            "valkey": lambda: f"{valkey.url}/1",
            "redis": lambda: f"{gate.url}/1",
            "rabbitmq": lambda: request.getfixturevalue("rabbitmq_url"),
            "another redis": lambda: f"{request.getfixturevalue('redis_itself').url}/1",
        }
        backends = {
            "redis": f"{gate.url}/2",
            "rpc": "rpc://",
            "none": None,
            "database": f"db+sqlite:///{tmp_path}/results.sqlite",
            "files": f"file://{tmp_path}/results",
        }
        url = brokers[broker]()
        (tmp_path / "results").mkdir()
        for server in {gate.url, *([url] if url.startswith("redis") else [])}:
            with redis.Redis.from_url(server) as client:
                client.flushall()
        own = {"task_default_queue": f"conformance-{uuid4().hex[:8]}"} if broker == "rabbitmq" else {}
        return Engine(url, f"{gate.url}/1", backends[backend], pool, {**conf, **own})

    return make


@pytest.mark.parametrize(("pool", "broker", "backend", "conf"), [*_cells()])
def test_it_conforms(
    make_engine: Callable[..., Engine], tmp_path: Path, pool: str, broker: str, backend: str, conf: dict[str, Any]
) -> None:
    engine = make_engine(pool, broker, backend, conf)
    assert Conformance(engine, tmp_path / "run").run() == []
