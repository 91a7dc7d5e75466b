"""Random runs, each from its seed: `pytest tests/faults/chaos/test_seeds.py --seeds 50`, `--first-seed 7 --seeds 1`."""

from __future__ import annotations

import random
import time

from tests.faults.chaos.nemesis import Nemesis
from tests.support.stages.stage import Stage
from tests.support.stages.verdict import assert_sound

GROUPS = 8
FAULTS = 6
#: What a task of this suite lasts, in seconds.
SHORTEST, LONGEST = 0.01, 0.25


def test_faults_from_a_seed(stage: Stage, seed: int) -> None:
    nemesis = Nemesis(stage, seed)
    plan = nemesis.plan(FAULTS)
    stage.start(1)
    stage.start(1, by_proxy=True)
    stop: list[float] = []
    for number in range(2):
        stage.produce(lambda number=number: _send(stage, seed, number, stop))  # type: ignore[misc]
    try:
        for name in plan:
            nemesis.strike(name)
            nemesis.rest(nemesis.random.uniform(0.5, 1.5))
    finally:
        stop.append(time.monotonic())
        nemesis.heal()
    stage.produced()
    stage.drained()
    counts = assert_sound(stage)
    print(f"seed {seed}: {counts.sent} tasks, {counts.runs} runs, {' '.join(nemesis.done)}; {dict(counts.repeats)}")


def _send(stage: Stage, seed: int, number: int, stop: list[float]) -> None:
    """Half of the groups, one after the other, until told to stop."""
    choice = random.Random(f"{seed}-{number}")
    seqs = dict.fromkeys((f"g{group}" for group in range(GROUPS) if group % 2 == number), 0)
    while not stop:
        group = choice.choice(list(seqs))
        seqs[group] += 1
        if choice.random() < 0.05:
            stage.send(group, seqs[group], "again", after=choice.uniform(0.0, 0.3))
        else:
            stage.send(group, seqs[group], seconds=choice.uniform(SHORTEST, LONGEST))
        time.sleep(choice.uniform(0.0, 0.12))  # the load, no waiting for anything
