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

BEFORE: dict[str, Any] = {"groupfifo_partitions": 2, "groupfifo_partitions_before": None}
BOTH: dict[str, Any] = {"groupfifo_partitions": 4, "groupfifo_partitions_before": 2}
AFTER: dict[str, Any] = {"groupfifo_partitions": 4, "groupfifo_partitions_before": None}
GROUPS = [f"g{number}" for number in range(8)]


class Sending:
    """A thread that sends to some groups until it is told to end, in bursts: they run empty now and then."""

    def __init__(self, stage: Stage, groups: list[str]) -> None:
        self.ends, self.sent, self._groups = False, 0, groups
        self._stage = stage
        stage.produce(self._send)

    def _send(self) -> None:
        while not self.ends:
            for _ in range(3):
                self.sent += 1
                for group in self._groups:
                    self._stage.send(group, self.sent, seconds=0.01)
            until_at = time.monotonic() + 1  # nobody looks while a worker starts: then it sends on
            while self.done < self.sent and time.monotonic() < until_at:
                time.sleep(0.02)

    @property
    def done(self) -> int:
        """The last task that has ended in all of the groups, as far as the test has looked."""
        last = self.sent
        while last and not all((group, last) in self._stage.watch.done for group in self._groups):
            last -= 1
        return last


def _missing(stage: Stage) -> str:
    return f"{sorted(stage.watch.missing())[:20]}; logs in {stage.directory}"


def _go_on(stage: Stage, sendings: list[Sending]) -> None:
    """Return when more was sent to all groups, and has ended."""
    for sending in sendings:
        last = sending.sent + 1
        until(lambda: stage.watch.look() and sending.done >= last, lambda: _missing(stage))  # noqa: B023


def _as_sender(stage: Stage, conf: dict[str, Any]) -> None:
    stage.app = make_app(**{**stage.conf, **PATIENT, **conf})


def _finished_in(gate: Gate, partition: int) -> int:
    keys = gate.keyspace.partitions[partition]
    (said,) = gate.store.read("stats", lambda pipe: pipe.hget(keys.stats, "tasks_finished"), keys)
    return int(said or 0)


def _grow_under_load(stage: Stage) -> None:
    one, two = stage.start(2, slots=4, **BEFORE)
    sendings = [Sending(stage, GROUPS[:4]), Sending(stage, GROUPS[4:])]
    _go_on(stage, sendings)
    three = stage.launch(slots=4, **BOTH).ready()
    one.stop()
    _as_sender(stage, BOTH)
    four = stage.launch(slots=4, **BOTH).ready()
    two.stop()
    _go_on(stage, sendings)

    gate = build_gate(make_app(**{**stage.conf, **BOTH}))
    grow_partitions(gate)
    three.kill()
    until(lambda: stage.watch.look() and grow_partitions(gate).left == 0, lambda: _missing(stage))
    _go_on(stage, sendings)
    assert not grow_partitions(gate).news
    assert all(_finished_in(gate, partition) for partition in range(4)), "groups have left for the new ones"

    _as_sender(stage, AFTER)
    five = stage.launch(slots=4, **AFTER).ready()
    four.stop()
    _go_on(stage, sendings)
    for sending in sendings:
        sending.ends = True
    stage.produced()
    until(lambda: not stage.watch.missing(), lambda: _missing(stage))
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
