"""The rows: a promise each, with the scenario that shows it, and its goal.

Rows that use the same runs share a scenario, which then runs once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from benchmarks import groupmq
from benchmarks.bench import Arm
from benchmarks.goals import NONE, Goal, at_least, at_most, more_at_most, value_at_least, value_at_most
from benchmarks.scenarios.backlog import Backlog
from benchmarks.scenarios.base import Scenario
from benchmarks.scenarios.busy import Busy
from benchmarks.scenarios.commands import Commands
from benchmarks.scenarios.idle import Due, Idle
from benchmarks.scenarios.large import Large
from benchmarks.scenarios.latency import PickUp
from benchmarks.scenarios.light import Light
from benchmarks.scenarios.live import Live
from benchmarks.scenarios.look import Look
from benchmarks.scenarios.memory import Memory
from benchmarks.scenarios.nodes import Nodes
from benchmarks.scenarios.replicas import Replicas
from benchmarks.scenarios.retries import Retries
from benchmarks.scenarios.scripts import Depth, Scripts
from benchmarks.scenarios.sending import Sending
from benchmarks.scenarios.tenants import SLOTS, Tenants


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: For `--only`.
        title: For people.
        scenario: Its runs.
        metric: The figure of a run that counts.
        unit: Of the figure.
        goal: The bound to reach.
        aim: The wished value.
        reference: The arm to compare with; None: there is none.
        arm: The arm that is judged.
        full: Only with `--full`.
        best: True: the best run counts, not the median; for a time that other load on the machine can only add to.
    """

    name: str
    title: str
    scenario: Scenario
    metric: str
    unit: str
    goal: Goal
    aim: str = ""
    reference: str | None = "plain"
    arm: str = "grouped"
    full: bool = False
    best: bool = False


def rows(full: bool) -> list[Row]:
    """Return all rows of a mode, in the order of the table.

    Args:
        full: True: with the rows that take long, and larger backlogs.
    """
    found = [*_noop(full), *_pools(full), *_hot(full), *_working(full), *_two_workers(full), *_mixed(full)]
    found += [
        *_calls(full),
        *_redis(full),
        *_server(),
        *_idle(),
        *_nodes(),
        *_look(full),
        *_large(full),
        *_fair(full),
        *_tenants(),
    ]
    found += _brokers(full)
    return [row for row in found if full or not row.full]


def _both(**options: object) -> dict[str, Arm]:
    """Return the arms plain and grouped, with the same options."""
    return {app: Arm(app, **options) for app in ("plain", "grouped")}  # type: ignore[arg-type]


def _noop(full: bool) -> list[Row]:
    def scenario(groups: int, count: int) -> Backlog:
        return Backlog(f"no-op, {groups:,} groups", _both(), count, groups)

    hundred = scenario(100, 10_000 if full else 4_000)
    every = "no-op tasks, {} groups, prefork -c 10"
    return [
        Row("noop-100", every.format(100), hundred, "rate", "tasks/s", at_least(3.0)),
        Row("noop-1000", every.format("1,000"), scenario(1_000, 10_000), "rate", "tasks/s", at_least(3.0), full=True),
        Row(
            "noop-10000", every.format("10,000"), scenario(10_000, 10_000), "rate", "tasks/s", at_least(3.0), full=True
        ),
        Row("cpu", "the first: CPU of the main process", hundred, "cpu_us", "µs/task", at_most(0.45), "0.3x"),
    ]


def _pools(full: bool) -> list[Row]:
    def row(pool: str, least: float, only_full: bool, **options: object) -> Row:
        scenario = Backlog(f"no-op, {pool}", _both(pool=pool, **options), 10_000 if full else 3_000, 100)
        if pool == "threads" and find_spec("dramatiq"):
            scenario.arms = {**scenario.arms, "dramatiq": Arm("dramatiq", pool=pool)}
        return Row(pool, f"the same, {pool} pool", scenario, "rate", "tasks/s", at_least(least), full=only_full)

    threads = row("threads", 2.0, False)
    peer = "the same, by Dramatiq's 10 threads"

    stored = Backlog(
        "no-op, results and events", _both(), 6_000, 100, config={"task_ignore_result": False}, flags=("-E",)
    )
    package = Backlog("plain tasks", {"plain": Arm("plain"), "package": Arm("grouped", ("plain_noop",))}, 10_000, 100)
    return [
        threads,
        *(
            [Row("dramatiq", peer, threads.scenario, "rate", "tasks/s", NONE, "1x", reference="dramatiq", full=True)]
            if "dramatiq" in threads.scenario.arms
            else []
        ),
        row("solo", 1.0, False, concurrency=1),
        row("gevent", 1.0, True),
        Row("results", "the first, results and events on", stored, "rate", "tasks/s", at_least(1.85), "2x", full=True),
        Row(
            "plain-tasks", "plain tasks in an app with the package", package, "rate", "tasks/s", at_least(0.98), "1x",
            arm="package", full=True,
        ),
    ]  # fmt: skip


def _hot(full: bool) -> list[Row]:
    arms = {"plain": Arm("plain", concurrency=1), "grouped": Arm("grouped"), "two workers": Arm("grouped", workers=2)}
    scenario = Backlog("one hot group", arms, 3_000, 1)
    second = "the same with a second worker, by one"
    single, batches = {"grouped": Arm("grouped")}, {"batches": Arm("grouped", ("batched",))}
    batched = Backlog("one hot group, in batches", single | batches, 20_000, 1)
    steps = {"grouped": Arm("grouped", ("step",)), "batches": Arm("grouped", ("batched_step",))}
    written = Backlog("one hot group, 10 ms, in batches", steps, 2_000, 1, seconds=0.01)
    return [
        Row("hot", "one hot group, backlog 3,000, by plain -c 1", scenario, "rate", "tasks/s", at_least(2.0), "2.5x"),
        Row(
            "hot-two", second, scenario, "rate", "tasks/s", at_least(0.85), "flat",
            reference="grouped", arm="two workers", full=True,
        ),
        Row(
            "hot-batch", "one hot group in batches of 50, by one at a time", batched, "rate", "tasks/s", at_least(3.0),
            "20x", reference="grouped", arm="batches", full=True,
        ),
        Row(
            "hot-batch-write", "the same, a call or a batch writes for 10 ms", written, "rate", "tasks/s",
            at_least(20.0), "30x", reference="grouped", arm="batches", full=True,
        ),
    ]  # fmt: skip


#: The recipe with a countdown as in real code.
PATIENT = "patient recipe"
_STEPS = {name: Arm(name, ("step",)) for name in ("plain", "grouped", "recipe")}
_STEPS[PATIENT] = Arm("recipe", ("step",), countdown=5)


def _working(full: bool) -> list[Row]:
    def scenario(seconds: float, count: int, *names: str, burst: int = 1) -> Backlog:
        name = f"{seconds * 1000:g} ms, 50 groups, {'bursts of ten' if burst > 1 else 'at random'}"
        arms = {each: _STEPS[each] for each in names}
        return Backlog(name, arms, count, 50, burst=burst, seconds=seconds)

    def recipe_row(name: str, title: str, scenario: Backlog, least: float, reference: str = "recipe") -> Row:
        return Row(name, title, scenario, "rate", "tasks/s", at_least(least), reference=reference, full=True)

    # In real code tasks of one group come one after the other: a customer's ten messages. At random they seldom meet,
    # which is the recipe's best case, and is shown beside it. The recipe tries again in a tenth of a second, the best
    # value that we found; in real code that is seconds, or Celery's own three minutes.
    short, long = scenario(0.01, 4_000, "plain", "grouped", "recipe"), scenario(0.05, 1_500, "plain", "grouped")
    short_bursts = scenario(0.01, 2_000, "grouped", "recipe", burst=10)
    long_bursts = scenario(0.05, 1_000, "grouped", "recipe", PATIENT, burst=10)
    return [
        Row("busy-10", "10 ms tasks: busy share of 10 slots", short, "busy", "", at_least(0.9), "0.98x", full=True),
        Row("busy-50", "50 ms tasks: busy share of 10 slots", long, "busy", "", value_at_least(0.9), "0.98", full=True),
        recipe_row("recipe-10", "10 ms tasks in bursts, by lock and retry", short_bursts, 5),
        recipe_row("recipe-50", "50 ms tasks in bursts, by lock and retry in 5 s", long_bursts, 5, PATIENT),
        recipe_row("recipe-50-best", "the same, by lock and retry in 0.1 s", long_bursts, 2.5),
        recipe_row("recipe-best", "10 ms tasks at random, by lock and retry", short, 1),
    ]


def _two_workers(full: bool) -> list[Row]:
    scenario = Backlog("two workers", _both(workers=2), 10_000, 100)
    both = "both busy: CPU of the one by the other's"
    return [
        Row("two", "no-op, 100 groups, two workers", scenario, "rate", "tasks/s", at_least(1.7), "2.5x", full=True),
        Row("two-busy", both, scenario, "balance", "", value_at_least(0.5), reference=None, full=True),
    ]


def _mixed(full: bool) -> list[Row]:
    arms = {"plain": Arm("plain", ("step", "step")), "grouped": Arm("grouped", ("plain_step", "step"))}
    scenario = Backlog("mixed queue", arms, 8_000 if full else 3_000, 100, seconds=0)
    wait = "mixed queue: wait p95 of the plain half"
    return [
        Row("mixed", "half plain, half grouped, by all plain", scenario, "rate", "tasks/s", at_least(1.2)),
        Row("mixed-wait", wait, scenario, "wait_p95", "s", at_most(1.2)),
    ]


def _calls(full: bool) -> list[Row]:
    sending, pick_up = Sending(2_000 if full else 1_000), PickUp(200 if full else 60)
    bulk, replicas = "park_many, by plain apply_async", Replicas(2_000)
    return [
        Row("apply-async", "apply_async", sending, "rate", "calls/s", at_least(1.3), "1.5x"),
        Row("park-many", bulk, sending, "rate", "calls/s", at_least(8.0), "12x", arm="park_many"),
        Row(
            "wait-replicas", "apply_async that waits for a replica, by one that does not", replicas, "rate", "calls/s",
            NONE, reference="apply_async", arm="apply_async waits", full=True,
        ),
        Row(
            "wait-replicas-bulk", "park_many, likewise", replicas, "rate", "calls/s", NONE, reference="park_many",
            arm="park_many waits", full=True,
        ),
        Row("pick-up", "pick-up by an idle system, p50", pick_up, "p50_ms", "ms", at_most(1.15), "1x"),
    ]  # fmt: skip


def _redis(full: bool) -> list[Row]:
    depths = {
        "small": Depth(2_000, 100),
        "one": Depth(2_000, 1),
        "deep": Depth(200_000, 1),
        "many": Depth(100_000, 100_000),
    }
    commands, scripts, memory = Commands(1_000), Scripts(300, depths), Memory(50_000 if full else 10_000)
    many, deep = "the same, 100,000 groups", "the same, one group: 200,000 parked, by 2,000"
    limit = value_at_most(70, "µs")
    sizes = {"small": depths["small"], "million": Depth(1_000_000, 200_000)}
    million = Scripts(300, sizes, name="scripts, a million tasks", repeatable=False)
    flat = "park + finish: a million tasks in 200,000 groups, by 2,000 in 100"

    def script_row(name: str, title: str, arm: str, reference: str) -> Row:
        return Row(name, title, scripts, "total", "µs", at_most(1.5), "1.1x", reference=reference, arm=arm, full=True)

    return [
        Row("commands", "commands from clients", commands, "total", "per task", at_most(0.5), "2 per task"),
        Row(
            "scripts", "park + begin + finish in Redis, best run", scripts, "total", "µs", limit, "35 µs",
            reference=None, arm="small", best=True,
        ),
        script_row("scripts-many", many, "many", "small"),
        script_row("scripts-deep", deep, "deep", "one"),
        Row("flat", flat, million, "ends", "µs", at_most(1.3), reference="small", arm="million", full=True),
        Row("memory", "memory per parked task", memory, "bytes", "bytes", at_most(1.1)),
    ]  # fmt: skip


def _server() -> list[Row]:
    scenario = Busy(12_000, groupmq.folder())
    title = "park + hand-off at a busy server: CPU of Redis"
    if groupmq.NAME not in scenario.arms:
        goal, peer = NONE, None
    else:
        goal, peer, title = at_most(0.65), groupmq.NAME, f"{title}, by GroupMQ's"
    live = "sent and run, 100 groups, prefork -c 10: CPU of Redis"
    return [
        Row("server-busy", title, scenario, "cpu_us", "µs/task", goal, reference=peer, full=True, best=True),
        Row("server-real", live, Live(6_000), "server_us", "µs/task", at_most(0.8), full=True),
    ]


def _idle() -> list[Row]:
    idle, due, few, many = Idle(20), Due(20), "3 workers", "30 workers"
    rate, task = more_at_most(5, "commands/s"), more_at_most(5, "commands")
    caused = "a task becomes due at 30 idle workers: its commands, by those at 3"
    return [
        Row("idle", "an idle worker: commands from clients", idle, "per_second", "commands/s", rate, full=True),
        Row("due-30", caused, due, "caused", "commands", task, reference=few, arm=many, full=True),
    ]


def _nodes() -> list[Row]:
    scenario = Nodes(6_000)
    task, cluster = "park + hand-off: CPU of Redis", "the same on a cluster of {}"

    def row(name: str, title: str, arm: str, reference: str | None, goal: Goal) -> Row:
        return Row(name, title, scenario, "cpu_us", "µs/task", goal, reference=reference, arm=arm, full=True, best=True)

    return [
        row("nodes-alone", task, "alone", None, value_at_most(200, "µs")),
        row("nodes-one", cluster.format("one node"), "one node", "alone", at_most(1.3)),
        row("nodes-three", cluster.format("three nodes, all of them"), "three nodes", "one node", at_most(1.3)),
    ]


def _look(full: bool) -> list[Row]:
    scenario = Look(Depth(1_000_000, 200_000) if full else Depth(10_000, 2_000))

    def row(name: str, title: str, metric: str, most: float) -> Row:
        title = f"{title}, a million tasks in 200,000 groups"
        goal = value_at_most(most, "s")
        return Row(name, title, scenario, metric, "s", goal, reference=None, full=True, best=True)

    return [
        row("look-age", "`list` by age", "age", 1),
        row("look-depth", "`list` by depth", "depth", 1),
        row("look-flower", "Flower's first page", "flower", 2),
        row("look-verify", "`verify`", "verify", 30),
    ]


def _large(full: bool) -> list[Row]:
    scenario = Large(Depth(1_000_000, 200_000) if full else Depth(10_000, 2_000))
    where = "a million tasks in 200,000 groups"
    longest, looks = "longest command of any verb or page", "Redis' time for a process that only looks"

    def row(name: str, title: str, metric: str, goal: Goal) -> Row:
        return Row(name, title, scenario, metric, goal.unit, goal, reference=None, full=True, best=True)

    return [
        row("large-purge", f"purge of {where}: CPU of both", "purge", value_at_most(10, "s")),
        row("large-longest", f"{longest}, {where}", "longest", value_at_most(3, "ms")),
        row("large-list", f"{looks} (`list`)", "looker_list", value_at_most(0.1)),
        row("large-find", f"{looks} (`find`)", "looker_find", value_at_most(0.1)),
        Row(
            "memory-groups",
            f"memory per task of {where}",
            scenario,
            "bytes",
            "bytes",
            at_most(1.3),
            arm="parked",
            full=True,
        ),
    ]


def _fair(full: bool) -> list[Row]:
    scenario = Light(count=40, held=10_000)
    light = "a light group beside 5 deep ones, 4 slots: p95"
    retries = "300 retries due at one moment in 300 groups: the last one's start"
    return [
        Row("retries", retries, Retries(300), "last", "s", value_at_most(1.0, "s"), "0.5 s", None, full=True),
        Row("light", light, scenario, "p95", "heavy tasks", value_at_most(3), "1 to 2", None, "alone", full=True),
        Row(
            "light-held", "the same beside 10,000 groups on hold: p50", scenario, "p50", "heavy tasks", at_most(1.25),
            "1x", reference="alone", arm="held", full=True,
        ),
    ]  # fmt: skip


def _tenants() -> list[Row]:
    scenario = Tenants(groups=1_000, each=2, small=30)

    def row(name: str, title: str, arm: str, metric: str, unit: str, goal: Goal) -> Row:
        return Row(name, title, scenario, metric, unit, goal, reference="without", arm=arm, full=True)

    # The gate lets as many begin as the weight says; those that have begun before may wait for a slot.
    bounds = {weight: value_at_most(weight + SLOTS) for weight in (1, 3)}
    most, price = "most starts of 1,000 groups of a tenant, by one of another tenant", "the same: tasks of both"
    return [
        row("fair", f"{most}: with a fair key", "fair", "most", "starts", bounds[1]),
        row("fair-weight", "the same, with weight 3", "weight 3", "most", "starts", bounds[3]),
        row("fair-rate", f"{price}, by those without a fair key", "fair", "rate", "tasks/s", at_least(0.5)),
    ]


def _brokers(full: bool) -> list[Row]:
    scenario = Backlog("RabbitMQ", _both(tasks=("step",)), 8_000, 100, seconds=0, broker="rabbitmq")
    return [
        Row("rabbitmq", "RabbitMQ as broker, 100 groups", scenario, "rate", "tasks/s", at_least(1.0), "1.5x", full=True)
    ]


#: The source of the rows, an argument of cli.py, so that a test may bring its own.
Source = Callable[[bool], list[Row]]
