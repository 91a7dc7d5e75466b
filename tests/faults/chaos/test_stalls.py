"""Random stalls, each run from its seed: `pytest tests/faults/chaos/test_stalls.py --stall-seeds 20`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from celery.utils import uuid

from celery_groupfifo import GroupFifoError
from tests.faults.chaos.stalls import LEASE, Stalls
from tests.support.stages.app import CELERYS_POLICY
from tests.support.stages.stage import Stage
from tests.support.stages.verdict import assert_sound
from tests.support.waiting import until

GROUPS = 8
#: While these last, and some plain tasks wait, some of them run.
HARMLESS = ("gate_hangs", "gate_refuses", "gate_swallows", "backend_hangs")
#: A fault that lasts so long: a busy machine runs some of them meanwhile.
LASTED = 2.0
AFTER = range(10_000, 10_010)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_stalls_from_a_seed(make_stage: Callable[..., Stage], pool: str, stall_seed: int) -> None:
    conf = {"groupfifo_lease_ttl": LEASE, "task_publish_retry_policy": CELERYS_POLICY}
    # Without this setting of Celery's a worker ends when it can't answer somebody who asks it something.
    stage = make_stage(pool=pool, broker=True, backend=True, broker_channel_error_retry=True, **conf)
    stalls = Stalls(stage, stall_seed)
    for by_proxy in (False, True):
        stage.launch(by_proxy=by_proxy, suspendable=True)
    for worker in stage.workers:
        worker.ready()
    stop: list[float] = []
    for number in range(2):
        stage.produce(lambda number=number: _send(stage, stall_seed, number, stop))  # type: ignore[misc]
    stage.produce(lambda: _send_plain(stage, stop))
    try:
        for name in stalls.plan(len(Stalls.faults)):
            stalls.strike(name)
            stalls.rest(stalls.random.uniform(0.5, 1.5))
    finally:
        stop.append(time.monotonic())
        stalls.heal()
    stage.produced()
    assert all(worker.alive for worker in stage.workers), "no process is to die of a stall"
    stage.drained()
    for number in AFTER:
        stage.send_plain(number)
    until(lambda: {event["number"] for event in stage.watch.look().plain} >= set(AFTER), "plain tasks are lost")
    counts = assert_sound(stage)
    assert not _stood_still(stage), "no plain task ran while the gate was away"
    print(f"seed {stall_seed}: {counts.sent} tasks, {counts.runs} runs, {stalls.done}; {dict(counts.repeats)}")


def _send(stage: Stage, seed: int, number: int, stop: list[float]) -> None:
    """Half of the groups, one after the other, until told to stop; some retry, and some replace themselves."""
    choice = random.Random(f"{seed}-{number}")
    seqs = dict.fromkeys((f"g{group}" for group in range(GROUPS) if group % 2 == number), 0)
    while not stop:
        group = choice.choice(list(seqs))
        seqs[group] += 1
        seq, ignored, task_id = seqs[group], choice.random() < 0.8, uuid()
        more: dict[str, Any] = {"seconds": choice.uniform(0.01, 0.25)}
        what = choice.choices(("work", "again", "replace"), (6, 2, 2))[0]
        if what == "again":
            more = {"after": choice.uniform(0.0, 0.3)}
        elif what == "replace":
            more = {}
        _surely(lambda: stage.send(group, seq, what, ignore_result=ignored, task_id=task_id, **more))  # noqa: B023
        time.sleep(choice.uniform(0.0, 0.12))  # the load, no waiting for anything


def _surely(send: Callable[[], object]) -> None:
    """A gate that refuses tells the sender, who goes on until it accepts; under the same id, in case it had."""
    while True:
        try:
            send()
        except GroupFifoError:
            time.sleep(0.1)
        else:
            return


def _send_plain(stage: Stage, stop: list[float]) -> None:
    number = 0
    while not stop:
        number += 1
        stage.send_plain(number)
        time.sleep(0.1)  # the load, no waiting for anything


def _stood_still(stage: Stage) -> list[str]:
    """Faults that lasted, and during which no plain task ran. One is sent every tenth of a second."""
    runs = [event["t"] for event in stage.watch.look().plain]
    faults = [event for event in stage.events if event["ev"] == "fault" and event["name"] in HARMLESS]
    return [
        fault["name"]
        for fault in faults
        if fault["t"] - fault["began"] > LASTED and not any(fault["began"] + 0.3 < run < fault["t"] for run in runs)
    ]
