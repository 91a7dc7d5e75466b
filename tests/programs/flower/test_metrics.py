"""The gate's metrics on Flower's `/metrics`: there, and never in anybody's way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from celery_groupfifo.flower import metrics
from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.metrics import Snapshots
from celery_groupfifo.testing import embedded
from tests.programs.flower.process import FlowerProcess
from tests.support.crews.app import make_app
from tests.support.places import REPOSITORY
from tests.support.waiting import HUNG, until

#: A scrape of a Redis that hangs takes half a second; a call of the gate that waits for it takes ten.
PATIENCE = 4.0


@pytest.fixture
def server() -> Iterator[embedded.Server]:
    """One that a test may stall."""
    with embedded.start(appendonly=False) as server:
        yield server


def test_a_stalled_redis_stops_neither_metrics_nor_healthcheck(server: embedded.Server, tmp_path: Path) -> None:
    conf = {"broker_url": f"{server.url}/0", "task_ignore_result": True}
    app = make_app(**conf)
    app.tasks["worker.act"].delay("a-customer", 1)
    flower = FlowerProcess(tmp_path, conf)
    try:
        flower.ready()
        until(lambda: "groupfifo_up 1.0" in flower.get("/metrics"), lambda: flower.log)
        assert "groupfifo_tasks_parked_total 1.0" in flower.get("/metrics")
        assert "a-customer" not in flower.get("/metrics")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
        try:
            said = ""
            end = time.monotonic() + HUNG
            while "groupfifo_up 0.0" not in said:
                assert time.monotonic() < end, said
                said = flower.get("/metrics", patience=PATIENCE)
                assert "groupfifo_tasks_parked_total 1.0" in said, "no answer before the gate's own calls give up"
                assert flower.get("/healthcheck", patience=PATIENCE) == "OK"
                time.sleep(0.1)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        until(lambda: "groupfifo_up 1.0" in flower.get("/metrics"), lambda: flower.log)
    finally:
        flower.close()
        app.close()


def test_a_scrape_reads_nothing(redis_url: str) -> None:
    app = make_app(broker_url=redis_url, task_ignore_result=True)
    asked = []

    class Counted(Snapshots):
        def get(self):  # type: ignore[no-untyped-def]
            asked.append(1)
            return super().get()

    registry = CollectorRegistry()
    collector = metrics.BackgroundCollector(Counted(app), every=60)
    registry.register(collector)
    assert "groupfifo_up 0.0" in generate_latest(registry).decode()
    assert not asked

    collector.start()
    until(lambda: "groupfifo_up 1.0" in generate_latest(registry).decode())
    generate_latest(registry)
    assert len(asked) == 1
    collector.stop()
    app.close()


def test_an_outage_is_told_once(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Flower may look at an app without groups."""
    app = make_app(broker_url=redis_url)
    gates = iter([None, None, gate_of(app), None])

    def build(*_: Any) -> Any:
        gate = next(gates)
        if gate is None:
            raise ConnectionError("as told")
        return gate

    snapshots = Snapshots(app, max_age=0, build=build)
    assert [snapshots.get()[0] for _ in range(3)] == [False, False, True]
    snapshots._gate = None
    assert snapshots.get()[0] is False
    told = [record.levelname for record in caplog.records if "can't be measured" in record.message]
    assert told == ["WARNING", "WARNING"]
    app.close()


def test_the_metrics_of_a_second_flower_take_the_place_of_the_first(redis_url: str) -> None:
    app, registry = make_app(broker_url=redis_url), CollectorRegistry()
    metrics.install(app, registry)
    last = metrics.install(app, registry)
    assert generate_latest(registry).decode().count("\ngroupfifo_up ") == 1
    last.stop()
    app.close()


def test_other_commands_have_no_metrics_of_flower() -> None:
    """Every `celery` command imports Flower and us; only `celery flower` starts it."""
    code = "import flower.command, celery_groupfifo.cli, prometheus_client as p; print(p.generate_latest().decode())"
    said = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "python_info" in said.stdout
    assert "groupfifo" not in said.stdout
