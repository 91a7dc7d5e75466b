"""Due tasks start in time, whatever else is due, and at a cost that does not grow with the fleet."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta, timezone
from statistics import median
from typing import Any

import pytest

from celery_groupfifo import park_many
from tests.faults.stalls.scene import LEASE, QUICK, Scene, opened, rest
from tests.support.stages.stage import Stage
from tests.support.waiting import until

#: A task that is due starts within this time, as a rule; and before this on a machine that is busy for a moment.
PROMISED, SOON = 0.25, 10.0
PARTITIONS = (1, 2)
COUNTDOWN, SENDS = 0.5, 7


KINDS = ("later", "retry")
#: Nothing is done by a sweep that comes anyway: it would be 15 s late in the middle.
RARE: dict[str, Any] = {"groupfifo_sweep_interval": 30.0, "groupfifo_lease_ttl": 120.0}


@pytest.fixture(scope="module")
def countdowns(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Scene]:
    """Tasks with a countdown, and on stages of their own retries, where sweeps are rare."""
    directory, choice = tmp_path_factory.mktemp("countdowns"), random.Random(8)
    with ExitStack() as stack:
        stages = {
            (kind, many): stack.enter_context(
                opened(directory / f"{kind}-{many}", pool="threads", groupfifo_partitions=many, **RARE)
            )
            for kind in KINDS
            for many in PARTITIONS
        }
        for stage in stages.values():
            stage.launch(8, options=QUICK)
        for stage in stages.values():
            stage.workers[0].ready()
        rest(time.monotonic() + 1.0)  # the workers have come to rest
        for number in range(SENDS):
            for (kind, _), stage in stages.items():
                stage.send(f"now-{number}", 1)
                if kind == "later":
                    stage.send(f"later-{number}", 1, countdown=COUNTDOWN)
                else:
                    stage.send(f"retry-{number}", 1, "again", after=COUNTDOWN)
            time.sleep(choice.uniform(0.4, 1.1))  # the load, no waiting for anything
        return {case: Scene.ended(stage) for case, stage in stages.items()}


def _lateness(scene: Scene, kind: str) -> list[float]:
    """Seconds from when a task was sent, or its retry asked for, to its start."""
    asked = {event["group"]: event["t"] for event in scene.of("end" if kind == "retry" else "sent", kind)[::-1]}
    starts = [event for event in scene.of("start", kind) if kind != "retry" or event["attempt"] == 2]
    return sorted(event["t"] - asked[event["group"]] for event in starts)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("partitions", PARTITIONS)
def test_no_countdown_waits_for_the_next_sweep(
    countdowns: dict[tuple[str, int], Scene], partitions: int, kind: str
) -> None:
    scene = countdowns[kind, partitions]
    late, at_once = _lateness(scene, kind), _lateness(scene, "now")
    assert len(late) == len(at_once) == SENDS
    slack = at_once[-1] + 0.1  # what the machine takes for a task that waits for nothing
    assert median(late) <= COUNTDOWN + PROMISED + slack, (late, slack)
    assert late[-1] <= COUNTDOWN + SOON, late


#: Tasks that come due at one moment, in groups and in a queue of their own.
CROWD = 8_000
#: Tasks that tell how long parking takes on this machine; they come due when the test is over.
TRIED = 500
#: Who waits for the crowd waits for 8 s and more; who does not is in time but for what the machine takes.
BESIDE = 3.0


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A worker is lost at the moment at which a crowd of tasks comes due."""
    with opened(tmp_path_factory.mktemp("crowd") / "stage", pool="threads") as stage:
        victim = stage.launch(1, name="victim", options=("-Q", "victim", *QUICK)).ready()
        stage.send("victim", 1, "wait", name="go", queue="victim")
        stage.send("victim", 2, queue="victim")
        until(lambda: stage.watch.starts("victim"), stage.describe)
        stage.launch(4, name="rescue", options=("-Q", "victim,celery", *QUICK)).ready()
        due = _park(stage)
        stage.send("retry", 1, "again", after=due + 1.0 - time.monotonic())
        rest(due - 0.1)
        victim.kill()
        (stage.directory / "go").touch()
        plain: dict[int, float] = {}
        for number in range(int((LEASE + 3.0) / 0.25)):
            stage.send(f"light-{number}", 1)
            stage.send_plain(number)
            plain[number] = time.monotonic()
            rest(due + 0.25 * (number + 1))
        with suppress(AssertionError):  # for the tests to say
            until(lambda: {("victim", 2), ("retry", 1)} <= stage.watch.look().done)
            until(lambda: len(stage.watch.look().plain) == len(plain))
        slack = max(event["t"] - plain[event["number"]] for event in stage.watch.plain)
        return Scene(stage, due=due, slack=slack)


def _park(stage: Stage) -> float:
    """Park the crowd. Returns when it is due, by the history's clock."""
    step, hour = stage.app.tasks["chaos.step"], datetime.now(timezone.utc) + timedelta(hours=1)
    began = time.monotonic()
    park_many(step.si(f"later-{number}", 1).set(queue="flood", eta=hour) for number in range(TRIED))
    lead = (time.monotonic() - began) / TRIED * CROWD * 3 + 2.0
    while True:
        due, eta = time.monotonic() + lead, datetime.now(timezone.utc) + timedelta(seconds=lead)
        park_many(step.si(f"crowd-{lead}-{number}", 1).set(queue="flood", eta=eta) for number in range(CROWD))
        if time.monotonic() < due - 1.0:
            return due
        lead *= 2  # the machine was busy with something else: this crowd has come due, and the next one will in time


def test_a_lost_workers_group_moves_on_beside_a_crowd(crowded: Scene) -> None:
    killed = max(event["t"] for event in crowded.of("kill"))
    _, again = crowded.of("start", "victim")[:2]
    assert again["seq"] == 1 and again["lost"] == 1
    assert again["t"] - killed <= LEASE + 1.0 + BESIDE + crowded.facts["slack"], "a lease, a sweep, and what is taken"


def test_a_light_groups_task_starts_beside_a_crowd(crowded: Scene) -> None:
    sent = {event["group"]: event["t"] for event in crowded.of("sent", "light-")}
    started = {event["group"]: event["t"] for event in crowded.of("start", "light-")}
    late = {group: started.get(group, float("inf")) - at for group, at in sent.items()}
    assert max(late.values()) <= BESIDE + crowded.facts["slack"], (late, crowded.facts["slack"])


def test_a_retry_is_not_behind_a_crowd(crowded: Scene) -> None:
    first, *again = crowded.of("start", "retry")
    assert len(again) == 1 and first["fence"] < again[0]["fence"]
    assert again[0]["t"] - (crowded.facts["due"] + 1.0) <= BESIDE + crowded.facts["slack"], crowded.facts


#: Tasks that come due one after the other, and how far apart.
ETAS, APART = 8, 0.15
#: Longer than a sweep's interval: all workers know of them by then.
AHEAD = 1.5
#: Commands that two more workers may make for one task that is due; they make 20 when all workers wake for it.
MORE = 10


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, float]:
    """Commands that one due task costs beyond those of idle workers, by the number of workers."""
    with opened(tmp_path_factory.mktemp("costs") / "stage", pool="solo", groupfifo_lease_ttl=30.0) as stage:
        workers = [stage.launch(1, options=QUICK) for _ in range(4)]
        for worker in workers:
            worker.ready()
        found = {}
        for many in (4, 2):
            for worker in workers[many:]:
                worker.stop()
                worker.wait()
            rest(time.monotonic() + 1.0)
            idle, seconds = _commands(stage)
            for number in range(ETAS):
                stage.send(f"eta-{many}-{number}", 1, countdown=AHEAD + APART * (number + 1))
            rest(time.monotonic() + AHEAD)
            commands, longer = _commands(stage)
            found[many] = (commands - idle / seconds * longer) / ETAS
        return found


def _commands(stage: Stage) -> tuple[int, float]:
    """Return the number of commands while tasks come due and until all have ended, and the seconds that took."""
    before, since = sum(stage.gate.commands().values()), time.monotonic()
    rest(since + (ETAS + 2) * APART)
    until(lambda: not stage.watch.missing(), stage.describe)
    return sum(stage.gate.commands().values()) - before, time.monotonic() - since


def test_a_due_task_costs_the_same_with_more_idle_workers(costs: dict[int, float]) -> None:
    assert costs[4] <= costs[2] + MORE, costs
