"""The time of looking at a gate that holds very many groups."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter

from celery import Celery

from benchmarks.bench import LIVE, Bench
from benchmarks.scenarios.base import Metrics
from benchmarks.scenarios.scripts import Depth, fill
from celery_groupfifo import Groups
from celery_groupfifo.flower import data
from celery_groupfifo.flower.board import Board
from celery_groupfifo.gate.gate import build_gate

#: Times that each is done; the best one counts, see `benchmarks.scenarios.scripts.ROUNDS`.
ROUNDS = 5


@dataclass
class Look:
    """The reads of one process, without its limit to the time for reading.

    Attributes:
        depth: Of the gate.
    """

    depth: Depth
    name: str = "look"
    repeatable: bool = False  # filling takes minutes, and each figure is the best of some rounds

    @property
    def arms(self) -> Mapping[str, Depth]:
        """Return the only arm, see `Scenario`."""
        return {"grouped": self.depth}

    def measure(self, bench: Bench, arm: str) -> Metrics:
        """Measure the arm. Returns the seconds of `age`, `depth` (lists), `flower` (its first page) and `verify`."""
        bench.clear()
        fill(bench.producer("grouped", bench.config()), self.arms[arm])
        app = Celery("bench", broker=f"{bench.server.url}/{LIVE}", set_as_current=False)
        looking = Groups(app, build_gate(app, "groupfifo-bench"), paced=False)
        return {
            "age": _best(lambda: looking.list(sort="age")),
            "depth": _best(lambda: looking.list(sort="depth")),
            "flower": _best(lambda: _first_page(app)),
            "verify": _best(looking.verify, rounds=1),
        }

    def close(self, bench: Bench) -> None:
        """Empty the databases, see `Scenario`."""
        bench.clear()


def _first_page(app: Celery) -> str:
    """Read what Flower shows to the first visitor after its start."""
    return json.dumps(data.groups(Board(app), "", "", "depth", True, 0, 25, wait=False))


def _best(call: Callable[[], object], rounds: int = ROUNDS) -> float:
    found = []
    for _ in range(rounds):
        start = perf_counter()
        call()
        found.append(perf_counter() - start)
    return min(found)
