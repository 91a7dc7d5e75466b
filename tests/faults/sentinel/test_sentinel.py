"""A gate behind sentinels: a replica that is behind takes over, a master freezes and comes back, replicas are gone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from celery_groupfifo.errors import GateUnavailable
from celery_groupfifo.testing import embedded
from tests.faults.sentinel.conftest import SentinelStage
from tests.faults.sentinel.verdicts import Gap, assert_bounded
from tests.support.stages.stage import Stage
from tests.support.stages.verdict import assert_sound
from tests.support.waiting import until

MakeStage = Callable[..., SentinelStage]
GROUPS = 6


def _load(stage: Stage, tasks: int, first: int = 1) -> None:
    for seq in range(first, first + tasks):
        for group in range(GROUPS):
            stage.send(f"g{group}", seq, seconds=0.01)


def _behind(stage: SentinelStage) -> None:
    """Timeline: the link of the replica breaks; parks and runs go on; the master is killed; the replica takes over."""
    workers = stage.start(2, slots=2)
    stage.produce(lambda: _load(stage, 30))
    until(lambda: len(stage.watch.look().started) > 15)
    first = time.monotonic()
    first_fence = stage.watched.cut()
    seen = len(stage.watch.look().started)
    for seq in range(1, 20):  # the other sends may be over
        stage.send("late", seq)
    until(lambda: len(stage.watch.look().started) > seen + 15)
    stage.watched.first.kill()
    gap = Gap(first, time.monotonic(), first_fence, int(time.time() * 1e6))
    stage.watched.failed_over()
    stage.produced()
    until(lambda: not stage.left(), stage.describe)
    lost = assert_bounded(stage.events, gap)
    assert lost, "the replica was behind"
    assert all(worker.alive for worker in workers)


def test_a_replica_that_is_behind_takes_over(make_watched_stage: MakeStage) -> None:
    _behind(make_watched_stage())


def _frozen(stage: SentinelStage) -> None:
    """Timeline: the master freezes; one sentinel names another; the master goes on, and takes itself for the master.

    Calls that had reached it are answered now, and two sentinels still name it.
    """
    workers = stage.start(2, slots=2)
    stage.produce(lambda: _load(stage, 30))
    until(lambda: len(stage.watch.look().started) > 15)
    stage.watched.freeze()
    until(stage.watched.replaced)
    stage.watched.thaw()
    stage.produced()
    stage.drained()
    assert_sound(stage)
    assert all(worker.alive for worker in workers)


def test_a_master_that_was_frozen_comes_back_while_another_takes_over(make_watched_stage: MakeStage) -> None:
    _frozen(make_watched_stage(pool="threads"))


def test_an_idle_worker_goes_on_while_the_old_master_stays_frozen(make_watched_stage: MakeStage) -> None:
    """Celery waits at the old master without a time-out, and nobody closes its connections."""
    stage = make_watched_stage()
    (worker,) = stage.start(1, slots=2)
    stage.send("g", 1)
    stage.drained()
    stage.watched.fail_over()
    stage.send("g", 2)
    stage.drained()
    assert_sound(stage)
    assert worker.alive and "connections to the old master were closed" in worker.log


def test_while_the_replicas_are_gone_ends_are_kept_and_sends_are_refused(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage()
    stage.redis.config_set("repl-diskless-sync-delay", "0")
    with embedded.start(
        appendonly=False, extra_args=("--replicaof", "127.0.0.1", str(stage.gate.server.port))
    ) as replica:
        until(lambda: stage.redis.info("replication")["connected_slaves"] == 1)
        stage.redis.config_set("min-replicas-to-write", 1)
        workers = stage.start(2, slots=2)
        for group in range(3):
            stage.send(f"g{group}", 1, "wait", name="go")
            stage.send(f"g{group}", 2)
            stage.send(f"eta{group}", 1, countdown=1.0)
        until(lambda: len(stage.watch.look().open) == 3)
        assert replica.pid is not None
        os.kill(replica.pid, signal.SIGSTOP)
        stage.redis.execute_command("CLIENT", "KILL", "TYPE", "replica")
        (stage.directory / "go").touch()
        until(lambda: len(stage.watch.look().done) >= 3)
        with pytest.raises(GateUnavailable, match=r"NOREPLICAS.*lower min-replicas-to-write"):
            stage.app.tasks["chaos.step"].apply_async(("g0", 99), retry=False)
        until(lambda: all("NOREPLICAS" in worker.log for worker in workers))
        time.sleep(2.5)  # the fault's own length: longer than a lease, and the ETAs are over
        os.kill(replica.pid, signal.SIGCONT)
        stage.send("g0", 3)
        stage.drained()
    stage.redis.config_set("min-replicas-to-write", 0)
    counts = assert_sound(stage)
    assert not counts.repeats, "what was over stayed over"
    assert all(worker.alive for worker in workers), [worker.log[-2000:] for worker in workers if not worker.alive]


@pytest.mark.parametrize("scene", [_behind, _frozen])
@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_on_each_pool(make_watched_stage: MakeStage, scene: Callable[[SentinelStage], None], pool: str) -> None:
    scene(make_watched_stage(pool=pool))


@pytest.mark.parametrize("scene", [_behind, _frozen])
def test_with_a_broker_elsewhere(make_watched_stage: MakeStage, scene: Callable[[SentinelStage], None]) -> None:
    scene(make_watched_stage(broker_elsewhere=True))


@pytest.mark.rabbitmq
@pytest.mark.parametrize("queues", ["classic", "quorum"])
@pytest.mark.parametrize("scene", [_behind, _frozen])
def test_with_rabbitmq(
    make_watched_stage: MakeStage, rabbitmq_url: str, scene: Callable[[SentinelStage], None], queues: str
) -> None:
    """The gate fails over under load; tickets of releases that are lost with the old master are stale, or missing."""
    kind = {"task_default_queue_type": "quorum", "task_default_exchange_type": "direct"} if queues == "quorum" else {}
    own = {"broker_url": rabbitmq_url, "task_default_queue": f"sentinel-{uuid4().hex[:8]}", **kind}
    scene(make_watched_stage(broker_elsewhere=True, **own))


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_what_replicas_have_confirmed_is_not_lost(make_watched_stage: MakeStage, pool: str) -> None:
    """The same as with a replica that is behind: sends raise meanwhile, and go on with the new master."""
    stage = make_watched_stage(pool=pool, groupfifo_wait_replicas=1)
    workers = stage.start(2, slots=2)
    _load(stage, 10)
    stage.watched.cut()
    with pytest.raises(GateUnavailable, match="0 of 1 replicas have confirmed it"):
        stage.app.tasks["chaos.step"].apply_async(("unsure", 1), retry=False)
    stage.watched.first.kill()
    stage.watched.failed_over()
    until(lambda: not stage.left(), stage.describe)
    assert {(group, seq) for group, seq in stage.watch.look().done if group != "unsure"} == stage.watch.sent
    assert all(worker.alive for worker in workers)
