"""Workers that die: at random, at given calls of the gate, or in good order."""

from __future__ import annotations

import time
from functools import partial

from celery_groupfifo.gate.keys import Quoted
from celery_groupfifo.gate.records import StoredGroup
from tests.faults.chaos.nemesis import Nemesis
from tests.support.stages.app import BASE
from tests.support.stages.stage import Stage
from tests.support.stages.verdict import assert_sound
from tests.support.waiting import until

#: Tasks that a worker may have begun, for each of its slots.
PREFETCHED = BASE["worker_prefetch_multiplier"]


def test_six_kills_of_three_workers(stage: Stage) -> None:
    groups, tasks, kills, slots = 60, 30, 6, 4
    stage.start(3, slots=slots)
    for half in range(2):
        stage.produce(partial(_send_all, stage, groups, tasks, half))
    nemesis = Nemesis(stage, seed=6)
    for kill in range(1, kills + 1):
        until(partial(_have_ended, stage, groups * tasks * kill // 9), stage.describe)
        run = nemesis.aim()
        assert run is not None
        victim = stage.worker_of(run)
        victim.kill()
        stage.launch(slots=slots)
    stage.produced()
    stage.drained()
    counts = assert_sound(stage)
    assert counts.done == groups * tasks
    assert sum(counts.repeats.values()) <= kills * slots * PREFETCHED, "no more than what a worker may have begun"
    assert counts.repeats["killed"] >= kills - 1, "the strikes hit"


def _have_ended(stage: Stage, many: int) -> bool:
    return len(stage.watch.look().done) >= many


def _send_all(stage: Stage, groups: int, tasks: int, half: int) -> None:
    for seq in range(1, tasks + 1):
        for group in range(half, groups, 2):
            stage.send(f"g{group}", seq, seconds=0.03)


POINTS = [
    f"{script} {when} {count}"
    for script, count in (("begin", 2), ("finish", 3), ("renew", 2), ("sweep", 3), ("surrender", 1))
    for when in ("before", "after")
]


def test_a_worker_that_dies_at_each_call_of_the_gate(stage: Stage) -> None:
    stop: list[bool] = []
    stage.start(1, slots=2)
    stage.produce(lambda: _send_until(stage, stop))
    try:
        for number, point in enumerate(POINTS):
            victim = stage.launch(slots=2, point=point)
            if point.startswith("surrender"):  # another one may be dead before anybody has seen it alive
                victim.ready()
                _let_it_surrender(stage, victim.hostname, f"go{number}")
                victim.stop()
            victim.buried()
            assert victim.process.exit_code == -9, (point, victim.log[-2000:])
            (stage.directory / f"go{number}").touch()
    finally:
        stop.append(True)
    stage.produced()
    stage.drained()
    assert_sound(stage)


def _let_it_surrender(stage: Stage, hostname: str, name: str) -> None:
    """Give a worker more long tasks than it has slots: something waits in its buffer when it is told to stop."""
    for number in range(8):
        stage.send(f"{name}-{number}", 1, "wait", name=name)
    until(lambda: _slots_taken(stage, hostname, name) == 2, stage.describe)
    until(lambda: _begun(stage, hostname) - {run["fence"] for run in stage.watch.look().started}, stage.describe)


def _slots_taken(stage: Stage, hostname: str, name: str) -> int:
    """Count the runs of the long tasks in a worker: none of them ends."""
    runs = stage.watch.look().open
    return sum(run["worker"] == hostname and group.startswith(name) for (group, _, _), run in runs.items())


def _begun(stage: Stage, hostname: str) -> set[int]:
    """Return the fences of what the gate says has begun in a worker."""
    groups = stage.redis.hvals("{groupfifo:0}:groups")
    flights = [flight for group in groups for flight in StoredGroup.parse(Quoted("any"), group).flights]
    return {flight.fence for flight in flights if flight.worker == hostname and flight.fence}


def _send_until(stage: Stage, stop: list[bool]) -> None:
    seq = 0
    while not stop:
        seq += 1
        for group in range(6):
            stage.send(f"g{group}", seq, seconds=0.02)
        time.sleep(0.1)  # the load, no waiting for anything


def test_rolling_restarts_repeat_and_lose_nothing(stage: Stage) -> None:
    stop: list[bool] = []
    old = stage.start(1, slots=2)[0]
    stage.start(1, slots=2)
    stage.produce(lambda: _send_until(stage, stop))
    try:
        for _ in range(5):
            new = stage.launch(slots=2)
            new.ready()
            old.stop()
            assert old.wait() == 0, old.log[-2000:]
            old = new
    finally:
        stop.append(True)
    stage.produced()
    stage.drained()
    counts = assert_sound(stage)
    assert not counts.repeats, counts.repeats
    assert {event["lost"] for event in stage.watch.started} == {0}, "a stopping worker loses nobody"


def test_a_producer_that_is_killed_leaves_nothing_half_done(stage: Stage) -> None:
    stage.start(1)
    for life in range(4):
        producer = stage.launch_producer(f"p{life}")
        until(lambda life=life: len(stage.watch.starts(f"p{life}")) > 3, producer.tail)  # type: ignore[misc]
        producer.kill()
    stage.drained()
    assert_sound(stage)
