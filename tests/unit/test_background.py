"""The thread for work that may hang."""

from __future__ import annotations

import threading

import pytest

from celery_groupfifo.worker.background import Background


@pytest.mark.parametrize("error", [ValueError, SystemExit, MemoryError])
def test_calls_run_in_order_and_what_one_raises_hurts_no_other(
    caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    background, seen = Background("order"), []

    def fail() -> None:
        raise error("no")

    for call in (lambda: seen.append(1), fail, lambda: seen.append(2)):
        background.submit(call)
    assert background.stop(within=30)
    assert seen == [1, 2]
    assert "order failed." in caplog.text


def test_whoever_submits_does_not_wait_for_a_call_that_hangs() -> None:
    background, gate = Background("hangs"), threading.Event()
    background.submit(gate.wait)
    background.submit(lambda: None)
    assert len(background) == 2
    assert not background.stop(within=0.05)
    gate.set()


def test_a_waiting_call_is_replaced_by_one_of_the_same_key() -> None:
    background, gate, seen = Background("replaced"), threading.Event(), []
    started = threading.Event()

    def first() -> None:
        started.set()
        gate.wait()

    background.submit(first)
    assert started.wait(30)
    background.submit(lambda: seen.append("old"), key="a")
    background.submit(lambda: seen.append("other"), key="b")
    background.submit(lambda: seen.append("new"), key="a")
    assert len(background) == 3
    gate.set()
    assert background.stop(within=30)
    assert seen == ["new", "other"]


def test_nothing_runs_after_the_stop() -> None:
    background, seen = Background("stopped"), []
    assert background.stop(within=0)
    background.submit(lambda: seen.append(1))
    assert len(background) == 0
    assert seen == []
