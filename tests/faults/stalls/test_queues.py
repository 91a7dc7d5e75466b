"""Many queues, and some that nobody consumes: lost tickets are found, none is flooded, and a finish costs the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import mean

import pytest

from celery_groupfifo import park_many
from celery_groupfifo.gate.gate import build_gate
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.worker import lost
from celery_groupfifo.worker.lost import LostTickets
from tests.faults.stalls.scene import QUICK, opened
from tests.support.stages.stage import Stage
from tests.support.waiting import until

#: Simulated minutes that a queue has no consumer, and heads that it holds.
MINUTES, HEADS = 120, 20


@pytest.mark.parametrize("tells", [True, False], ids=["the broker tells", "it can't tell"])
def test_a_queue_that_nobody_consumes_is_not_flooded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tells: bool
) -> None:
    """A worker lives beside it, on another broker than the gate's, for two hours by its own clock."""
    with opened(tmp_path / "stage", broker=True) as stage:
        for number in range(HEADS):
            stage.send(f"g{number}", 1, queue="nightly")
        broker = stage.broker.redis
        assert broker.llen("nightly") == HEADS
        gate, minutes = build_gate(stage.app), [0]
        monkeypatch.setattr(lost, "monotonic", lambda: 60.0 * minutes[0])
        tickets = LostTickets(gate, quote("w"), lambda queue: broker.llen("nightly") if tells else None)
        for minutes[0] in range(1, MINUTES + 1):
            tickets.look()
            until(lambda: not len(tickets._background))  # the broker has answered
            tickets.look()
        tickets.stop()
        gate.store.close()
        messages = broker.llen("nightly")
    assert messages <= (1 if tells else 10) * HEADS, f"{messages} for {HEADS} tasks after {MINUTES} minutes"


def test_a_lost_ticket_is_found_behind_a_hundred_queues(tmp_path: Path) -> None:
    with opened(tmp_path / "stage", pool="threads") as stage:
        step = stage.app.tasks["chaos.step"]
        park_many(step.si(f"g{number}", 1).set(queue=f"q{number:03d}") for number in range(120))
        stage.send("lost", 1, queue="z")
        stage.launch(1, options=("-Q", "other", *QUICK)).ready()
        assert stage.redis.llen("z") == 1
        stage.redis.delete("z")
        until(lambda: stage.redis.llen("z") == 1, stage.describe)  # behind a bound it is never found


TASKS, GROUPS = 300, 10


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, tuple[float, float]]]:
    """Commands for each task, and words of each call of a script, by the number of queues that the worker consumes."""
    directory = tmp_path_factory.mktemp("queues")
    with ExitStack() as stack:
        stages = {
            many: stack.enter_context(opened(directory / str(many), pool="threads", groupfifo_lease_ttl=30.0))
            for many in (1, 50)
        }
        for many, stage in stages.items():
            stage.launch(2, options=("-Q", ",".join(["celery", *(f"q{each}" for each in range(1, many))]), *QUICK))
        for stage in stages.values():
            stage.workers[0].ready()
        yield {many: _cost(stage) for many, stage in stages.items()}


def _cost(stage: Stage) -> tuple[float, float]:
    step = stage.app.tasks["chaos.step"]
    park_many(step.si(f"g{number % GROUPS}", number, seconds=0.0) for number in range(TASKS))
    words: list[int] = []
    with stage.redis.monitor() as monitor:
        before = sum(stage.gate.commands().values())
        ended = threading.Event()

        def listen() -> None:
            for each in monitor.listen():
                if ended.is_set():
                    return
                if each["command"].upper().startswith("EVALSHA"):
                    words.append(each["command"].count(" "))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        seen = len(stage.watch.look().done)
        until(lambda: len(stage.watch.look().done) == TASKS, stage.describe)
        ran = len(stage.watch.done) - seen
        after = sum(stage.gate.commands().values())
        ended.set()
        stage.redis.ping()
        thread.join()
    return (after - before) / ran, mean(words)


def test_a_finish_costs_the_same_with_more_queues(costs: dict[int, tuple[float, float]]) -> None:
    """Of those that are empty."""
    (commands, words), (more_commands, more_words) = costs[1], costs[50]
    assert more_commands <= 1.25 * commands + 2, costs
    assert more_words <= 1.25 * words + 10, costs
