"""The memory of a waiting task in Redis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.scenarios.base import Metrics


@dataclass
class Memory:
    """The same backlog as a plain list, and parked.

    Attributes:
        count: Tasks.
    """

    count: int
    name: str = "memory"
    repeatable: bool = False

    @property
    def arms(self) -> Mapping[str, str]:
        """Return the arms, see `Scenario`."""
        return {"plain": "plain", "grouped": "grouped"}

    def measure(self, bench: Bench, arm: str) -> Metrics:
        """Measure an arm. Returns `bytes` per task: all memory of Redis but its clients' buffers."""
        bench.clear()
        producer = bench.producer(self.arms[arm], bench.config())
        before = used(bench)
        producer.ask("fill", tasks=["noop"], count=self.count, groups=100)
        return {"bytes": (used(bench) - before) / self.count}

    def close(self, bench: Bench) -> None:
        """Empty the databases, see `Scenario`."""
        bench.clear()


def used(bench: Bench) -> int:
    """Return the bytes that Redis uses, without the buffers of its clients."""
    memory = bench.client.info("memory")
    return int(memory["used_memory"]) - int(memory.get("mem_clients_normal", 0))
