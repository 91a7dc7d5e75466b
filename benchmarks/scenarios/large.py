"""The work of operators' verbs at a gate with very many groups: what they take of Redis, and how long at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from time import monotonic, process_time
from typing import Any

from celery import Celery

from benchmarks.bench import LIVE, RESULTS, Bench
from benchmarks.scenarios.base import Metrics
from benchmarks.scenarios.memory import used
from benchmarks.scenarios.scripts import Depth, fill
from benchmarks.scenarios.watch import server_seconds
from celery_groupfifo import Groups
from celery_groupfifo.flower import data
from celery_groupfifo.flower.board import Board
from celery_groupfifo.gate.gate import build_gate
from celery_groupfifo.metrics.snapshot import Snapshots

#: Microseconds from which on a command is in Redis' SLOWLOG here, and commands that it keeps.
SLOW, KEPT = 500, 1000
#: Tasks of plain Celery's list, each of which takes as much as any other; the number of the first group, so that the
#: names are as long as those of the other arm.
LISTED, FROM = 50_000, 75_000
#: Seconds that a process looks without pause; times that each verb is called for its longest command.
LOOKS, ROUNDS = 20.0, 5


@dataclass
class Large:
    """The verbs of operators, one after the other, and a process that looks without pause.

    Times by the clock say little on a busy machine; so these are CPU times of the client and of Redis, and a command is
    as long as the shortest of its times in some rounds, see `_longest`.

    Attributes:
        depth: Of the gate; one more group has as many tasks as there are groups.
    """

    depth: Depth
    name: str = "large"
    repeatable: bool = False  # filling takes minutes

    _bytes: float | None = None

    @property
    def arms(self) -> Mapping[str, Depth]:
        """Return the arms, see `Scenario`: the memory of plain Celery's list, that of the gate, and the verbs."""
        return {"plain": Depth(LISTED, LISTED), "parked": self.depth, "grouped": self.depth}

    def measure(self, bench: Bench, arm: str) -> Metrics:
        """Measure an arm.

        Returns:
            `bytes`, the memory of a task, before the deep group is there. Of the last arm also `purge`, the seconds of
            CPU of client and Redis for the purge of all groups, and `purge_calls`, its scripts; `longest`, the ms of
            the longest command of all verbs, and of each verb by its name; `looker_list` and `looker_find`, the parts
            of the time of Redis' CPU that a process takes that does only that.
        """
        if arm == "plain":
            return {"bytes": _fill(bench, "plain", self.arms[arm], FROM)}
        if self._bytes is None:  # the arm "parked" leaves its tasks to the last one
            self._bytes = _fill(bench, "grouped", self.depth)
        return {"bytes": self._bytes, **(self._verbs(bench) if arm == "grouped" else {})}

    def close(self, bench: Bench) -> None:
        """Empty the databases, see `Scenario`."""
        self._bytes = None
        bench.clear()

    def _verbs(self, bench: Bench) -> Metrics:
        producer, groups = bench.producer("grouped", bench.config()), self.depth.groups
        producer.ask("fill", tasks=["noop"], count=groups, groups=1, base=groups)
        url = f"{bench.server.url}/{LIVE}"
        app = Celery("bench", broker=url, backend=f"{bench.server.url}/{RESULTS}", set_as_current=False)
        found: Metrics = {}
        for name, call in _verbs(app, f"g{groups}").items():
            found[name] = _longest(bench.client, call, ROUNDS if name != "verify" else 2)
        found["longest"] = max(found.values())
        found |= _lookers(bench.client, app)
        purge = Groups(app, build_gate(app, "groupfifo-bench"), paced=False).purge_many
        keys = [f"g{number}" for number in range(groups)]
        bench.client.config_resetstat()
        found["purge"] = sum(_cpu(bench.client, lambda: purge(keys)))
        found["purge_calls"] = float(bench.client.info("commandstats")["cmdstat_evalsha"]["calls"])
        return found


def _fill(bench: Bench, app: str, depth: Depth, base: int = 0) -> float:
    """Send tasks to an empty server. Returns the bytes that it uses for one."""
    bench.clear()
    producer, before = bench.producer(app, bench.config()), used(bench)
    fill(producer, depth, base)
    return (used(bench) - before) / depth.tasks


def _verbs(app: Celery, deep: str) -> dict[str, Callable[[], object]]:
    """Return the verbs and pages by name. Changes are made to the deep group, and to a few others."""
    groups = Groups(app, build_gate(app, "groupfifo-bench"), paced=False)
    board, gate, keys = Board(app), groups.gate, groups.gate.keyspace.partitions[0]
    middle = groups.tasks(deep, 1, groups.get(deep).depth // 2)[0].task_id
    return {
        **{f"list {sort}": partial(groups.list, sort=sort) for sort in ("depth", "age", "key")},
        "list paused": lambda: groups.list(state="paused"),
        "list held": lambda: groups.list(state="held", sort="key"),
        "show": lambda: (groups.get(deep), groups.tasks(deep, 100)),
        "explain": lambda: groups.explain(deep, ask_workers=False),
        "find": lambda: groups.find(middle),
        "stats": groups.stats,
        "history": lambda: groups.actions(1000),
        "dead-letters": groups.dead_letters,
        "report": groups.report,
        "metrics": Snapshots(app, max_age=0.0, patience=30.0).get,
        "verify": groups.verify,
        "pause": lambda: groups.pause(deep),
        "resume": lambda: groups.resume(deep),
        "limit": lambda: (groups.limit(deep, concurrency=2), groups.limit(deep)),
        "drain": lambda: (groups.drain("g1"), groups.resume("g1")),
        "skip": lambda: groups.skip("g2", str(groups.get("g2").head)),
        "drop": lambda: groups.drop("g3", str(groups.get("g3").head)),
        "redrive": lambda: groups.redrive_many(),
        "move": lambda: (groups.move(deep, "moved"), groups.move("moved", deep)),
        "sweep": lambda: gate.sweep(keys),
        "Flower's first page": lambda: data.groups(board, "", "", "depth", True, 0, 25, wait=False),
        "Flower's index": lambda: data.groups(board, "g1", "", "age", True, 0, 25),
        "Flower's page of a group": lambda: data.group(board, deep),
        "Flower's summary": lambda: data.summary(board),
    }


def _longest(client: Any, call: Callable[[], object], rounds: int) -> float:
    """Return the ms of the longest command that a call sends, as Redis sees it.

    Redis counts the time in which others had its core, too. So of a command that comes in every round the shortest time
    counts, and of those whose arguments change, such as the ones that note an action, the shortest of their longest.
    """
    client.config_set("slowlog-log-slower-than", SLOW)
    client.config_set("slowlog-max-len", KEPT)
    seen: list[dict[bytes, int]] = []
    for _ in range(rounds):
        client.slowlog_reset()
        call()
        slow = [(entry["command"], entry["duration"]) for entry in client.slowlog_get(KEPT)]
        seen.append({command: max(us for each, us in slow if each == command) for command, _ in slow})
    repeated = set.intersection(*map(set, seen))
    times = [min(each[command] for each in seen) for command in repeated]
    others = [max((us for command, us in each.items() if command not in repeated), default=SLOW) for each in seen]
    return max([*times, min(others), SLOW]) / 1000


def _cpu(client: Any, call: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds of CPU that a call takes: of this process, and of Redis."""
    mine, its = process_time(), server_seconds(client)
    call()
    return process_time() - mine, server_seconds(client) - its


def _lookers(client: Any, app: Celery) -> Metrics:
    """Return which part of the time Redis works for a process that looks without pause, after its first seconds."""
    found: Metrics = {}
    for name, look in (("list", lambda groups: groups.list()), ("find", lambda groups: groups.find("none"))):
        again = partial(_until, LOOKS, partial(look, Groups(app, build_gate(app, "groupfifo-bench"))))
        again()  # what is free is used up
        start = monotonic()
        _, server = _cpu(client, again)
        found[f"looker_{name}"] = server / (monotonic() - start)
    return found


def _until(seconds: float, call: Callable[[], object]) -> None:
    end = monotonic() + seconds
    while monotonic() < end:
        call()
