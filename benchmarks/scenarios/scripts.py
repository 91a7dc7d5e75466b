"""How long Redis works for a task: park, begin and finish, each by itself, and finish with a hand-off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from benchmarks.bench import Bench
from benchmarks.scenarios.base import Metrics
from benchmarks.scenarios.direct import DirectGate
from benchmarks.scenarios.watch import script_time
from celery_groupfifo.model import Ticket


class Depth(NamedTuple):
    """How full the gate is."""

    tasks: int
    groups: int


@dataclass
class Scripts:
    """Single calls, one after the other, on gates that are full in different ways.

    Attributes:
        sample: Calls of each script per run.
        arms: How full the gate is.
    """

    sample: int
    arms: Mapping[str, Depth]
    name: str = "scripts"
    repeatable: bool = True
    _kept: set[int] = field(default_factory=set)

    def measure(self, bench: Bench, arm: str) -> Metrics:
        """See `Scenario`. Returns microseconds per call: `park`, `begin`, `finish`, `handoff`; `total` of three."""
        depth, producer = self.arms[arm], bench.producer("grouped", bench.config())
        self._fill(bench, arm)
        gate, spent = DirectGate(bench), _Spent(bench)
        first = depth.tasks // depth.groups
        request = {"tasks": ["noop"], "count": self.sample, "groups": min(depth.groups, 100)}
        spent.during("park", lambda: producer.ask("fill", **request, first=first))
        done = 0
        while done < self.sample:
            batch = gate.receive(min(100, self.sample - done))
            spent.during("begin", partial(_each, gate.begin, [(ticket,) for ticket, _ in batch]))
            spent.during("finish", partial(_each, gate.finish, batch))
            done += len(batch)
        held = gate.receive(1)[0]
        gate.begin(held[0])
        spent.during("handoff", lambda: _chain(gate, held, self.sample))
        found = spent.per_call()
        return {**found, "total": found["park"] + found["begin"] + found["finish"]}

    def close(self, bench: Bench) -> None:
        """See `Scenario`."""
        for slot in self._kept:
            bench.drop(slot)
        self._kept.clear()
        bench.clear()

    def _fill(self, bench: Bench, arm: str) -> None:
        slot, depth = list(self.arms).index(arm), self.arms[arm]
        if slot in self._kept:
            bench.restore(slot)
            return
        bench.clear()
        producer = bench.producer("grouped", bench.config())
        producer.ask("fill", tasks=["noop"], count=depth.tasks, groups=depth.groups)
        bench.keep(slot)
        self._kept.add(slot)


class _Spent:
    """Adds up script time under names."""

    def __init__(self, bench: Bench) -> None:
        self._client = bench.client
        self._sums: dict[str, tuple[int, float]] = {}

    def during(self, name: str, call: Callable[[], object]) -> None:
        calls, spent = script_time(self._client)
        call()
        calls_after, spent_after = script_time(self._client)
        known = self._sums.get(name, (0, 0.0))
        self._sums[name] = (known[0] + calls_after - calls, known[1] + spent_after - spent)

    def per_call(self) -> Metrics:
        return {name: spent / calls for name, (calls, spent) in self._sums.items()}


def _each(call: Callable[..., object], batch: Iterable[tuple[object, ...]]) -> None:
    for arguments in batch:
        call(*arguments)


def _chain(gate: DirectGate, held: tuple[Ticket, str], length: int) -> None:
    """Each finish takes the next task, as a worker's does."""
    for _ in range(length):
        taken = gate.finish(*held, take=True)
        assert taken is not None
        held = taken
