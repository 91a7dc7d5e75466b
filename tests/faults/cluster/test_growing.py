"""The number of partitions grows under load: processes roll, and a worker is killed on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from celery_groupfifo.gate.gate import Gate, build_gate
from celery_groupfifo.gate.growth import grow_partitions
from celery_groupfifo.testing import embedded
from tests.faults.cluster.conftest import ClusterStage
from tests.support.redis_cluster import RedisCluster
from tests.support.stages.app import make_app
from tests.support.stages.stage import PATIENT, Stage
from tests.support.stages.verdict import problems
from tests.support.waiting import until

BEFORE = {"groupfifo_partitions": 2, "groupfifo_partitions_before": None}
BOTH = {"groupfifo_partitions": 4, "groupfifo_partitions_before": 2}
AFTER = {"groupfifo_partitions": 4, "groupfifo_partitions_before": None}
GROUPS = [f"g{number}" for number in range(8)]


class Sending:
    """A thread that sends to all groups until it is told to end, in bursts, so that they run empty now and then."""

    def __init__(self, stage: Stage) -> None:
        self.ends, self.sent = False, 0
        self._stage = stage
        stage.produce(self._send)

    def _send(self) -> None:
        while not self.ends:
            self.sent += 1
            for group in GROUPS:
                self._stage.send(group, self.sent, seconds=0.01)
            if self.sent % 4 == 0:
                time.sleep(0.25)

    def goes_on(self) -> None:
        """Return when more was sent, and has ended."""
        last = self.sent + 2
        until(lambda: all((group, last) in self._stage.watch.look().done for group in GROUPS), self._stage.describe)


def _as_sender(stage: Stage, conf: dict[str, Any]) -> None:
    stage.app = make_app(**{**stage.conf, **PATIENT, **conf})


def _finished_in(gate: Gate, partition: int) -> int:
    keys = gate.keyspace.partitions[partition]
    (said,) = gate.store.read("stats", lambda pipe: pipe.hget(keys.stats, "tasks_finished"), keys)
    return int(said or 0)


def _grow_under_load(stage: Stage) -> None:
    one, two = stage.start(2, slots=4, **BEFORE)
    sending = Sending(stage)
    sending.goes_on()
    three = stage.launch(slots=4, **BOTH).ready()
    one.stop()
    sending.goes_on()
    _as_sender(stage, BOTH)
    four = stage.launch(slots=4, **BOTH).ready()
    two.stop()
    sending.goes_on()

    gate = build_gate(make_app(**{**stage.conf, **BOTH}))
    grow_partitions(gate)
    three.kill()
    until(lambda: grow_partitions(gate).left == 0, stage.describe)
    sending.goes_on()
    assert not grow_partitions(gate).news
    assert all(_finished_in(gate, partition) for partition in range(4)), "groups have left for the new ones"

    _as_sender(stage, AFTER)
    five = stage.launch(slots=4, **AFTER).ready()
    four.stop()
    sending.goes_on()
    sending.ends = True
    stage.produced()
    until(lambda: not stage.watch.missing(), stage.describe)
    assert five.alive
    found = problems(stage.events, stage.effects.all())
    assert not found, found
    gate.store.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path / "stage", embedded.start(appendonly=False), **BEFORE)
    yield made
    made.close()


def test_partitions_are_added_under_load(stage: Stage) -> None:
    """No group loses its order, or has two runs at a time."""
    _grow_under_load(stage)


def test_partitions_are_added_to_a_cluster(make_cluster_stage: Callable[..., ClusterStage]) -> None:
    _grow_under_load(make_cluster_stage(RedisCluster(3), **BEFORE))
