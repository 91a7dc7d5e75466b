"""A Redis Cluster with TLS between all, whose users may do no more than the gate needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from celery_groupfifo import Groups
from tests.faults.cluster.conftest import PARTITIONS, ClusterStage
from tests.support.permissions import PASSWORD, USER, printed, refused
from tests.support.redis_cluster import RedisCluster, slot_of
from tests.support.stages.verdict import assert_sound
from tests.support.tls_server import certificates
from tests.support.waiting import until


@pytest.mark.tls
def test_a_cluster_with_tls_and_no_more_than_its_permissions(
    make_cluster_stage: Callable[..., ClusterStage], tmp_path: Path
) -> None:
    """A master is lost as well: its replica is found by TLS, and knows the user."""
    options = ("--cluster-require-full-coverage", "no")
    cluster = RedisCluster(3, replicas=1, options=options, tls=certificates(tmp_path))
    for node in (*cluster.masters, *cluster.replicas):
        cluster.client(node).execute_command(*printed(cluster=True))
    url = cluster.url.replace("://", f"://{USER}:{PASSWORD}@")
    stage = make_cluster_stage(cluster, groupfifo_url=url)
    victim = cluster.masters[0]
    (theirs,) = (place for place in range(PARTITIONS) if cluster.master_of(slot_of(place)) is victim)
    groups = [group for place in range(PARTITIONS) for group in stage.groups_of(place, 1)]
    (mine,) = stage.groups_of(theirs, 1)
    for seq in range(1, 9):
        for group in groups:
            stage.send(group, seq, "again" if seq == 4 else "work")
    operator = Groups(stage.app)
    operator.pause(mine)
    stage.start(1, slots=4)
    until(lambda: {group for group, _ in stage.watch.look().done} >= {*groups} - {mine})
    cluster.kill_when_replicated(victim)
    until(lambda: cluster.master_of(slot_of(theirs)) in cluster.replicas)
    assert operator.verify() == [] and operator.resume(mine)
    stage.drained()
    counts = assert_sound(stage)
    assert counts.repeats == {"retry": PARTITIONS}
    assert [each for node in cluster.serving() for each in refused(cluster.client(node))] == []
    for node in cluster.serving():
        theirs_too = {each["name"] for each in cluster.client(node).client_list() if each.get("user") == USER}
        assert any(name.startswith("groupfifo") for name in theirs_too), theirs_too
