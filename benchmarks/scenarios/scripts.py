"""The time of Redis for a task: park, begin and finish, each by itself, and finish with a hand-off.

Calls come as from busy workers: those of a turn together. A server that sleeps before each call takes half as long
again for it, because its caches are cold; `alone` is that figure. A group has one task under way, so with only one
group all calls come alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeVar

from benchmarks.bench import Bench
from benchmarks.processes import Producer
from benchmarks.scenarios.base import Copies, Metrics
from benchmarks.scenarios.direct import DirectGate
from benchmarks.scenarios.watch import script_time
from celery_groupfifo.gate.model import Ticket

T = TypeVar("T")
#: Slots of the played worker: as many calls may come together, and as many leases are out.
SLOTS = 10
PARTS = ("park", "begin", "finish")
#: Times that a run measures everything. The best one counts: other load can only add to a time, and a shared machine is
#: fast one second and slow the next.
ROUNDS = 5


#: Tasks that a producer sends at a time, so that it holds no more results.
CHUNK = 100_000


class Depth(NamedTuple):
    """The number of tasks and groups at the gate."""

    tasks: int
    groups: int


def fill(producer: Producer, depth: Depth, base: int = 0) -> None:
    """Send tasks, each group's in order, and the groups at random.

    Args:
        producer: Sends them.
        depth: Of the gate then. Where it is large, each group has the same number of tasks.
        base: Number of the first group.
    """
    tasks, groups = depth
    chunk = max(CHUNK // groups, 1) * groups
    for first in range(0, tasks, chunk):
        request = {"tasks": ["noop"], "groups": groups, "first": first // groups, "base": base}
        producer.ask("fill", count=min(chunk, tasks - first), **request)


@dataclass
class Scripts:
    """Calls of single scripts, on gates that are full in different ways.

    Attributes:
        sample: Calls of each script per round: enough for all steps of the server's collector of Lua's garbage.
        arms: The depth of the gate in each arm.
        name: For the record.
        repeatable: See `Scenario`. If not, no copies of the gates are kept.
    """

    sample: int
    arms: Mapping[str, Depth]
    name: str = "scripts"
    repeatable: bool = True
    _copies: Copies = field(default_factory=Copies)

    def measure(self, bench: Bench, arm: str) -> Metrics:
        """Measure an arm, see `Scenario`.

        Returns:
            Microseconds per call, of the best round: `park`, `begin`, `finish`, `handoff`; the first three also as
            `park alone` and so on; `total` and `alone` of three, and `ends` of park and finish.
        """
        depth, producer = self.arms[arm], bench.producer("grouped", bench.config())
        self._fill(bench, arm)
        gate, request = DirectGate(bench), {"tasks": ["noop"], "count": self.sample, "groups": min(depth.groups, 100)}
        rounds = []
        for number in range(ROUNDS):
            spent, first = _Spent(bench), depth.tasks // depth.groups + 2 * self.sample * number
            spent.during("park", partial(producer.ask, "fill", **request, first=first))
            spent.during("park alone", partial(producer.ask, "send", **request, first=first + self.sample))
            self._work(gate, spent)
            rounds.append(spent.per_call())
        found = {name: min(each[name] for each in rounds) for name in rounds[0]}
        found["total"] = sum(found[name] for name in PARTS)
        found["ends"] = found["park"] + found["finish"]
        found["alone"] = sum(found[f"{name} alone"] for name in PARTS)
        return found

    def _work(self, gate: DirectGate, spent: _Spent) -> None:
        for together, names in ((SLOTS, ("begin", "finish")), (1, ("begin alone", "finish alone"))):
            done = 0
            while done < self.sample:
                batch = gate.receive(min(SLOTS, self.sample - done))
                for start in range(0, len(batch), together):
                    part = batch[start : start + together]
                    runs = spent.during(names[0], partial(gate.begin, part))
                    spent.during(names[1], partial(gate.finish, runs))
                done += len(batch)
        held = gate.begin(gate.receive(SLOTS))
        spent.during("handoff", lambda: _chain(gate, held, self.sample))

    def close(self, bench: Bench) -> None:
        """Forget the copies of gates, see `Scenario`."""
        self._copies.close(bench)

    def _fill(self, bench: Bench, arm: str) -> None:
        depth, producer = self.arms[arm], bench.producer("grouped", bench.config())
        if self.repeatable:
            self._copies.use(bench, list(self.arms).index(arm), partial(fill, producer, depth))
        else:
            bench.clear()
            fill(producer, depth)


class _Spent:
    """The sums of script time under names."""

    def __init__(self, bench: Bench) -> None:
        self._client = bench.client
        self._sums: dict[str, tuple[int, float]] = {}

    def during(self, name: str, call: Callable[[], T]) -> T:
        calls, spent = script_time(self._client)
        answer = call()
        calls_after, spent_after = script_time(self._client)
        known = self._sums.get(name, (0, 0.0))
        self._sums[name] = (known[0] + calls_after - calls, known[1] + spent_after - spent)
        return answer

    def per_call(self) -> Metrics:
        return {name: spent / calls for name, (calls, spent) in self._sums.items()}


def _chain(gate: DirectGate, held: Sequence[tuple[Ticket, str]], length: int) -> None:
    """Let each finish take the next task, as a worker's does."""
    for _ in range(0, length, len(held)):
        taken = gate.finish(held, take=True)
        assert len(taken) == len(held)
        held = taken
    gate.finish(held)
