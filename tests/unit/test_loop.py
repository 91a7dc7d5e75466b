"""Calls on the consumer's loop, over reconnects."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from kombu.asynchronous import Hub

from celery_groupfifo.worker.loop import Loop


class Turning:
    """A hub that a test turns."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.loop = Loop(SimpleNamespace(hub=self.hub, timer=self.hub.timer, pool=SimpleNamespace()))
        self.start()

    def start(self) -> None:
        self.loop.start()
        self._turns = self.hub.create_loop()

    def turn(self, seen: list[Any], until: int) -> None:
        for _ in range(200):
            if len(seen) >= until:
                return
            next(self._turns)
        raise AssertionError(seen)

    def reconnect(self) -> None:
        """Do what Celery 5.5 does when the broker's connection is lost."""
        self.hub.reset()
        self.hub.timer.clear()
        self.loop.stop()


@pytest.fixture
def turning() -> Iterator[Turning]:
    turning = Turning()
    yield turning
    turning.loop.close()
    turning.hub.close()


def test_calls_of_another_thread_wake_it_and_run_in_order(turning: Turning) -> None:
    seen: list[int] = []

    def call() -> None:
        for number in range(300):  # more than a full socket wakes once
            turning.loop.soon(partial(seen.append, number))

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    turning.turn(seen, until=300)
    assert seen == list(range(300))


def test_a_call_from_the_loop_itself(turning: Turning) -> None:
    seen: list[str] = []
    turning.loop.soon(lambda: turning.loop.soon(lambda: seen.append("inner")))
    turning.turn(seen, until=1)


def test_what_a_call_raises_hurts_nobody(turning: Turning, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[int] = []

    def fail() -> None:
        raise ValueError("no")

    turning.loop.soon(fail)
    turning.loop.later(0, fail)
    turning.loop.soon(lambda: seen.append(1))
    turning.turn(seen, until=1)
    assert "A step of the worker failed." in caplog.text


def test_but_a_lack_of_memory_ends_the_worker(turning: Turning) -> None:
    def fail() -> None:
        raise MemoryError

    turning.loop.soon(fail)
    with pytest.raises(MemoryError):
        turning.turn([], until=1)


def test_later_is_in_the_order_of_time(turning: Turning) -> None:
    seen: list[int] = []
    for hundredths in (3, 1, 2):
        turning.loop.later(hundredths / 100, partial(seen.append, hundredths))
    turning.turn(seen, until=3)
    assert seen == [1, 2, 3]


def test_steps_that_plan_themselves_have_one_timer_each(turning: Turning) -> None:
    """Timeline: one comes every few ms, one after a while, and one that is far off waits."""
    seen: list[str] = []

    def often() -> None:
        seen.append("often")
        turning.loop.later(0.002, often)

    def seldom() -> None:
        seen.append("seldom")
        turning.loop.later(0.01, seldom)

    turning.loop.later(60, lambda: None)
    often()
    seldom()
    turning.turn(seen, until=60)
    assert len(turning.hub.timer) <= 3


def test_a_sooner_step_does_not_wait_for_the_timer_of_a_later_one(turning: Turning) -> None:
    seen: list[int] = []
    turning.loop.later(60, lambda: seen.append(60))
    turning.loop.later(0.01, lambda: seen.append(0))
    turning.turn(seen, until=1)
    assert seen == [0]


def test_later_from_another_thread(turning: Turning) -> None:
    seen: list[int] = []
    thread = threading.Thread(target=lambda: turning.loop.later(0.01, lambda: seen.append(1)))
    thread.start()
    thread.join()
    turning.turn(seen, until=1)


def test_nothing_is_forgotten_when_celery_clears_its_timers(turning: Turning) -> None:
    seen: list[str] = []
    turning.loop.later(0.01, lambda: seen.append("planned"))
    turning.loop.soon(lambda: seen.append("called"))
    turning.reconnect()
    turning.loop.soon(lambda: seen.append("called meanwhile"))
    turning.loop.later(0.0, lambda: seen.append("planned meanwhile"))
    assert seen == []
    turning.start()
    turning.turn(seen, until=4)
    assert sorted(seen) == ["called", "called meanwhile", "planned", "planned meanwhile"]


def test_what_was_planned_before_happens_though_nothing_is_planned_afterwards(turning: Turning) -> None:
    seen: list[str] = []
    turning.loop.later(0.01, lambda: seen.append("planned"))
    turning.reconnect()
    turning.start()
    turning.turn(seen, until=1)


def test_what_is_left_at_the_end_is_called(turning: Turning) -> None:
    seen: list[int] = []
    turning.loop.soon(lambda: seen.append(1))
    turning.loop.close()
    assert seen == [1]


def test_it_knows_its_thread(turning: Turning) -> None:
    assert turning.loop.here and turning.loop.is_main
    turning.loop.stop()
    assert not turning.loop.here and turning.loop.is_main
    there: list[bool] = []
    thread = threading.Thread(target=lambda: there.append(turning.loop.is_main))
    thread.start()
    thread.join()
    assert there == [False]
