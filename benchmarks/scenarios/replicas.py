"""The price of `groupfifo_wait_replicas`: sends from one process, to a server with a replica on the same machine.

Over a network each WAIT takes the round trip between server and replica, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from redis import Redis

from benchmarks.bench import Bench
from benchmarks.scenarios.base import Metrics
from celery_groupfifo.testing import embedded

#: Calls before the measured ones: connections, routes, scripts.
_WARM_UP = 50


@dataclass
class Replicas:
    """Calls from one process, without a worker.

    Attributes:
        count: Calls per run.
        name: For the record.
        repeatable: See `Scenario`.
    """

    count: int
    name: str = "replicas"
    repeatable: bool = True

    @property
    def arms(self) -> Mapping[str, tuple[str, int]]:
        """Return the arms by name: how each sends (an action of producer.py), and the replicas that it waits for."""
        return {
            "apply_async": ("send", 0),
            "apply_async waits": ("send", 1),
            "park_many": ("send_bulk", 0),
            "park_many waits": ("send_bulk", 1),
        }

    def measure(self, bench: Bench, arm: str) -> Metrics:
        """Measure an arm. Returns `rate` (calls/s) and `call_us`."""
        action, waits = self.arms[arm]
        producer = bench.producer("grouped", bench.config(more={"groupfifo_wait_replicas": waits}))
        bench.clear()
        options = ("--replicaof", "127.0.0.1", str(bench.server.port))
        with embedded.start(appendonly=False, extra_args=options) as replica, Redis.from_url(replica.url) as client:
            while client.info("replication")["master_link_status"] != "up":
                pass
            producer.ask(action, tasks=["noop"], count=_WARM_UP, groups=100)
            seconds = producer.ask(action, tasks=["noop"], count=self.count, groups=100)
        return {"rate": self.count / seconds, "call_us": seconds / self.count * 1e6}

    def close(self, bench: Bench) -> None:
        """Empty the databases, see `Scenario`."""
        bench.clear()
