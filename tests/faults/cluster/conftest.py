"""A stage whose gate is a Redis Cluster, and whose broker is another Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.testing import embedded
from tests.support.redis_cluster import RedisCluster
from tests.support.stages.stage import Stage, only_leases
from tests.support.stored import lasts

PARTITIONS = 6


class ClusterStage(Stage):
    """A stage that knows its cluster.

    Args:
        directory: For everything.
        cluster: The gate's.
        conf: More settings of the app.
    """

    def __init__(self, directory: Path, cluster: RedisCluster, **conf: Any) -> None:
        self.cluster = cluster
        conf = {"groupfifo_url": cluster.url, "groupfifo_partitions": PARTITIONS, **conf}
        super().__init__(directory, embedded.start(appendonly=False), **conf)

    def groups_of(self, partition: int, many: int) -> list[str]:
        """Return names of groups in a partition."""
        keyspace, found, number = gate_of(self.app).keyspace, list[str](), 0
        while len(found) < many:
            if keyspace.of_group(quote(f"g{number}")) is keyspace.partitions[partition]:
                found.append(f"g{number}")
            number += 1
        return found

    def left(self) -> dict[str, str]:
        """Return the keys that the gate holds of groups."""
        found = {}
        for node in self.cluster.serving():
            client = self.cluster.client(node)
            for raw in client.scan_iter(match="{groupfifo:*}:*", count=1000):
                name = raw.decode().split("}:", 1)[1]
                if not (lasts(name) or (name == "due" and only_leases(client, raw))):
                    found[raw.decode()] = client.type(raw).decode()
        return found

    def describe(self) -> str:
        """Why it does not end."""
        missing = sorted(self.watch.missing())
        return f"{len(missing)} missing, e.g. {missing[:8]}; left {self.left()}; logs in {self.directory}"


@pytest.fixture
def make_cluster_stage(tmp_path: Path) -> Iterator[Callable[..., ClusterStage]]:
    """Makes the stage of a test, over a cluster that ends with it."""
    stages: list[ClusterStage] = []

    def make(cluster: RedisCluster, **conf: Any) -> ClusterStage:
        stages.append(ClusterStage(tmp_path / f"stage{len(stages)}", cluster, **conf))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()
        stage.cluster.close()
