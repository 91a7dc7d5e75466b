"""A Redis Cluster as the gate: a master that is lost, a slot that moves, a node that hangs, while tasks run."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.faults.cluster.conftest import PARTITIONS, ClusterStage
from tests.support.redis_cluster import RedisCluster, slot_of
from tests.support.stages.app import LEASE_TTL
from tests.support.stages.verdict import assert_sound
from tests.support.waiting import until

MakeStage = Callable[..., ClusterStage]


def _load(stage: ClusterStage, groups: list[str], tasks: int, first: int = 1) -> None:
    for seq in range(first, first + tasks):
        for group in groups:
            stage.send(group, seq, seconds=0.05)


def _every_group(stage: ClusterStage, each: int) -> list[str]:
    return [group for partition in range(PARTITIONS) for group in stage.groups_of(partition, each)]


def test_a_master_is_killed_and_its_replica_takes_over(make_cluster_stage: MakeStage) -> None:
    """Nothing is lost or repeated, and the groups of the other masters go on meanwhile.

    The replica has all writes: the master takes none in its last moment.
    """
    cluster = RedisCluster(3, replicas=1, options=("--cluster-require-full-coverage", "no"))
    stage = make_cluster_stage(cluster)
    groups = _every_group(stage, 2)
    _load(stage, groups, 20)
    stage.start(1, slots=4)
    victim = cluster.masters[0]
    theirs = {
        each
        for place in range(PARTITIONS)
        if cluster.master_of(slot_of(place)) is victim
        for each in stage.groups_of(place, 2)
    }
    until(lambda: len(stage.watch.look().started) > 20)
    away_at = time.monotonic()
    cluster.kill_when_replicated(victim)
    killed_us = time.time() * 1e6
    stage.produce(lambda: _load(stage, groups, 10, first=21))  # it waits for the replica, too
    # A worker that starts now finds the first of its nodes away.
    nodes = [victim.port, *(node.port for node in cluster.masters if node is not victim)]
    late = stage.launch(groupfifo_url=f"redis+cluster://{','.join(f'127.0.0.1:{port}' for port in nodes)}").ready()
    stage.produced()
    _load(stage, groups, 5, first=31)
    until(lambda: any(start["worker"] == late.hostname for start in stage.watch.look().started), stage.describe)
    stage.drained()
    counts = assert_sound(stage)
    assert not counts.repeats, counts.repeats
    assert {start["lost"] for start in stage.watch.started} == {0}
    # A fence is drawn from time.
    back_at = min(each["t"] for each in stage.watch.started if each["group"] in theirs and each["fence"] > killed_us)
    meanwhile = [each for each in stage.watch.started if away_at < each["t"] < back_at]
    others = {each["group"] for each in meanwhile if each["group"] not in theirs}
    assert len(others) > 4, (away_at, back_at, len(meanwhile))  # more than the slots had begun before


def test_a_slot_moves_to_another_node_while_tasks_run(make_cluster_stage: MakeStage) -> None:
    """Key by key, there and back, with more keys than one step of the move takes."""
    cluster = RedisCluster(3)
    stage = make_cluster_stage(cluster)
    stage.start(2, slots=2)
    groups = [*stage.groups_of(0, 30), *stage.groups_of(1, 2)]
    stage.produce(lambda: _load(stage, groups, 6))
    slot, home = slot_of(0), cluster.master_of(slot_of(0))
    for node in (*(each for each in cluster.masters if each is not home), home):
        seen = len(stage.watch.look().done)
        until(lambda: len(stage.watch.look().done) > seen + 10, stage.describe)  # noqa: B023
        cluster.move(slot, node)
        assert cluster.master_of(slot) is node
    stage.produced()
    stage.drained()
    counts = assert_sound(stage)
    assert not counts.repeats, counts.repeats
    assert {start["lost"] for start in stage.watch.started} == {0}
    assert "MOVED" not in "".join(worker.log for worker in stage.workers)


def test_a_node_that_hangs_holds_up_its_own_partitions_alone(make_cluster_stage: MakeStage) -> None:
    """For longer than a lease: no other partition loses one, and its lines go on.

    The worker has as many runs and tickets of that node as its prefetch count allows, and more wait at the broker.
    """
    cluster = RedisCluster(3, options=("--cluster-require-full-coverage", "no"))
    stage = make_cluster_stage(cluster)
    stage.start(1, slots=8)
    hung = cluster.master_of(slot_of(0))
    first, second, *_ = (place for place in range(PARTITIONS) if cluster.master_of(slot_of(place)) is not hung)
    # Of two partitions: where runs begin and end, these renew the lease, too.
    (other,), (long,), (mine,) = (stage.groups_of(place, 1) for place in (first, second, 0))
    stage.send(long, 1, seconds=3 * LEASE_TTL)
    for seq in (1, 2):
        stage.send(mine, seq)
    crowd = [group for group in stage.groups_of(0, 60) if group != mine]
    for group in crowd:
        for seq in (1, 2):
            stage.send(group, seq, seconds=0.3)
    stage.produce(lambda: _load(stage, [other], 60))
    until(lambda: stage.watch.starts(long) and stage.watch.starts(other) and stage.watch.starts(crowd[20]))
    cluster.freeze(hung)
    began = time.monotonic()
    before = len(stage.watch.starts(other))
    until(lambda: time.monotonic() > began + 2 * LEASE_TTL)
    until(lambda: len(stage.watch.starts(other)) > before + 20, "its line does not go on")
    cluster.thaw(hung)
    stage.produced()
    stage.drained()
    counts = assert_sound(stage)
    assert not counts.repeats, counts.repeats
    assert [start["lost"] for start in stage.watch.starts(long)] == [0]
