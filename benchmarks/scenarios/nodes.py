"""The CPU time of Redis for a task, alone and on the nodes of a Redis Cluster.

One client plays the workers and the senders, see player.py, on one connection to each node. So a node is busy while it
is measured, and the client limits the calls per second, not Redis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.bench import LIVE, Bench
from benchmarks.scenarios.base import Metrics
from benchmarks.scenarios.player import ROUNDS, Game, Player, Servers
from tests.support.redis_cluster import RedisCluster, slot_of

PARTITIONS = 12
#: Each task takes the next one of its own group, as on a broker that is not the gate's Redis.
GAME = Game(groups=300, running=300, together=300, partitions=PARTITIONS)


@dataclass
class Nodes:
    """Tasks of many groups, parked and handed off.

    Attributes:
        count: Tasks of a round.
    """

    count: int
    name: str = "nodes"
    repeatable: bool = True

    @property
    def arms(self) -> Mapping[str, int]:
        """Return the masters of each arm's cluster, see `Scenario`; 0: a server alone."""
        return {"alone": 0, "one node": 1, "three nodes": 3}

    def measure(self, bench: Bench, arm: str) -> Metrics:
        """Measure an arm, see `Scenario`.

        Returns:
            Of the best round: `cpu_us`, the CPU time of all servers per task; `busiest`, the share of it that the
            busiest server has; `calls`, of scripts per second on the clock. And `sweep_us`, the CPU time of a sweep
            that finds nothing, each by itself.
        """
        with _servers(bench, self.arms[arm]) as servers:
            player = Player(servers, GAME)
            rounds = [player.play(self.count) for _ in range(ROUNDS)]
            sweep = player.sweep()
            player.close()
        return {**min(rounds, key=lambda each: each["cpu_us"]), "sweep_us": sweep}

    def close(self, bench: Bench) -> None:
        """Empty the databases, see `Scenario`."""
        bench.clear()


@contextmanager
def _servers(bench: Bench, masters: int) -> Iterator[Servers]:
    """Run the servers of an arm in this block."""
    tags = [f"groupfifo:{partition}" for partition in range(PARTITIONS)]
    if not masters:
        bench.clear()
        yield Servers(f"{bench.server.url}/{LIVE}", [bench.client], dict.fromkeys(tags, 0))
        return
    with RedisCluster(masters) as cluster:
        nodes = [cluster.master_of(slot_of(partition)) for partition in range(PARTITIONS)]
        of = {tag: cluster.masters.index(node) for tag, node in zip(tags, nodes, strict=True)}
        yield Servers(cluster.url, [cluster.client(node) for node in cluster.masters], of)
