"""Tasks of two groups each, on two workers of which one is killed: no two that share a group at once, in order."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from celery_groupfifo.testing.checker import check
from tests.faults.chaos import transfers
from tests.faults.stalls.scene import opened
from tests.support.stages.stage import Stage
from tests.support.waiting import until

ACCOUNTS, TRANSFERS = 10, 150


def send(stage: Stage, seed: int) -> None:
    """Send transfers between random accounts, in both directions, some with a retry."""
    chance, places = random.Random(seed), Counter[str]()
    for number in range(TRANSFERS):
        pair = [f"acct:{each}" for each in chance.sample(range(ACCOUNTS), 2)]
        for key in pair:
            places[key] += 1
        mine = {key: places[key] for key in pair}
        result = stage.app.tasks["chaos.transfer"].apply_async((*pair, mine, number % 10 == 0))
        for key in pair:
            stage._sent(key, mine[key], result)


def test_transfers_between_accounts_while_a_worker_is_killed(tmp_path: Path) -> None:
    with opened(tmp_path / "stage", module=transfers.__name__) as stage:
        first, _ = stage.start(2, slots=4)
        send(stage, seed=1)
        until(lambda: len(stage.watch.look().done) > TRANSFERS // 2, stage.describe)
        first.kill()
        stage.drained()
        verdict = check(stage.events)
        assert not verdict.broken, verdict
        runs = Counter(each["worker"] for each in stage.events if each["ev"] == "start")
        assert len(runs) == 2, f"both workers took part: {runs}"
