"""The samples: what the server counts between two virtual times."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import redis

from rehearsal.crew import Crew
from rehearsal.stage import QUEUE, Stage


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading.

    Attributes:
        hours: Virtual time.
        calls: Calls of scripts since the last reading.
        mean_us: Microseconds of a call, `usec_per_call` of EVALSHA in `INFO commandstats`; 0: there was none.
        p50_us: Half of the calls took no longer, `INFO latencystats`; 0: the server has no such figure.
        p99_us: 99 of 100 calls took no longer.
        cpu_us: CPU time of the server since the last reading, per call of a script.
        memory: Bytes, `used_memory`.
        tasks: At the gate.
        groups: With tasks.
        queued: Tickets in the broker's list.
        busy: Slots with a task.
        workers: Living.
        accepted: Tasks so far.
    """

    hours: float
    calls: int
    mean_us: float
    p50_us: float
    p99_us: float
    cpu_us: float
    memory: int
    tasks: int
    groups: int
    queued: int
    busy: int
    workers: int
    accepted: int

    def as_row(self) -> dict[str, float]:
        """Return its figures by name."""
        return asdict(self)


class Samples:
    """The readings of a run, from its begin on.

    Args:
        stage: Of the rehearsal.
        crew: Of the rehearsal.
        client: Of the server, which nobody else uses: each reading resets its counters.
    """

    def __init__(self, stage: Stage, crew: Crew, client: redis.Redis) -> None:
        self._stage, self._crew, self._client = stage, crew, client
        self.taken: list[Sample] = []
        self._cpu = self._server_cpu()
        client.config_resetstat()

    def take(self) -> Sample:
        """Read the counters."""
        stage, client, keys = self._stage, self._client, self._stage.keys
        stage.wire.flush()
        calls, mean = self._scripts()
        cpu = self._server_cpu()
        p50, p99 = self._percentiles()
        sample = Sample(
            hours=round(stage.agenda.seconds / 3600, 4),
            calls=calls,
            mean_us=mean,
            p50_us=p50,
            p99_us=p99,
            cpu_us=round((cpu - self._cpu) * 1e6 / calls, 2) if calls else 0.0,
            memory=int(client.info("memory")["used_memory"]),
            tasks=int(client.hlen(keys.entries)),
            groups=int(client.hlen(keys.groups)),
            queued=int(client.llen(QUEUE)),
            busy=self._crew.busy(),
            workers=len(self._crew.living),
            accepted=stage.judge.counts["accepted"],
        )
        self._cpu = cpu
        client.config_resetstat()
        self.taken.append(sample)
        return sample

    def _scripts(self) -> tuple[int, float]:
        stats = self._client.info("commandstats").get("cmdstat_evalsha", {})
        return int(stats.get("calls", 0)), float(stats.get("usec_per_call", 0.0))

    def _percentiles(self) -> tuple[float, float]:
        stats: Any = self._client.info("latencystats").get("latency_percentiles_usec_evalsha", {})
        return float(stats.get("p50", 0.0)), float(stats.get("p99", 0.0))

    def _server_cpu(self) -> float:
        cpu = self._client.info("cpu")
        return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])
