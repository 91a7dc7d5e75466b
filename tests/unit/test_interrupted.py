"""A cold shutdown ends runs in a signal handler, in the middle of whatever its thread does: no lock may stop it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from kombu.transport.redis import Channel
from kombu.utils.scheduling import cycle_by_name

from celery_groupfifo.worker.broker import ConsumedLists
from celery_groupfifo.worker.loop import Loop
from celery_groupfifo.worker.run import State
from tests.unit.test_run import run_in

Interrupted = tuple[Any, Callable[[], object]]
"""A lock, and what asks for it."""


def transition() -> Interrupted:
    run = run_in(State.OVER)
    return run._lock, run.finishing


def lists() -> Interrupted:
    channel = Channel.__new__(Channel)
    channel.__dict__.update(_queue_cycle=cycle_by_name("round_robin")(), priority_steps=[0], sep=":")
    channel.__dict__.update(global_keyprefix="", active_fanout_queues=set(), _active_queues=["q"])
    found = ConsumedLists(SimpleNamespace(task_consumer=SimpleNamespace(channel=channel)), takes=True)
    message: Any = SimpleNamespace(properties={}, delivery_info={"routing_key": "q"})
    return found._lock, lambda: found.beside(message)


def later() -> Interrupted:
    loop = Loop(SimpleNamespace(hub=None, timer=SimpleNamespace(call_after=lambda *call: None)))
    return loop._lock, lambda: loop.later(0.0, lambda: None)


@pytest.mark.parametrize("make", [transition, lists, later], ids=lambda make: make.__name__)
def test_what_ends_a_run_may_come_in_the_middle_of_itself(make: Callable[[], Interrupted]) -> None:
    lock, call = make()
    done = threading.Event()

    def interrupted() -> None:
        with lock:
            call()
        done.set()

    threading.Thread(target=interrupted, daemon=True).start()
    assert done.wait(60)
