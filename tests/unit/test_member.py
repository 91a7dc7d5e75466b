"""The worker as a member of the gate, a part at a time."""

from __future__ import annotations

import threading
import time
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from celery_groupfifo.worker import member
from celery_groupfifo.worker.background import Background
from celery_groupfifo.worker.member import Member
from celery_groupfifo.worker.run import Run, State
from tests.support.waiting import until
from tests.unit.test_run import WAYS, make_run, step


class Looks:
    """A worker that waits for a child to be gone, by a clock of its own.

    Attributes:
        answers: What the pool says at each look; the last one is said for ever.
        looked: How often it was asked.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Any) -> None:
        self.answers, self.looked, self.time = answers, 0, 0.0
        self.steps: list[Any] = []
        monkeypatch.setattr(member, "monotonic", lambda: self.time)
        self.member: Any = SimpleNamespace(
            pool=SimpleNamespace(alive=self._alive),
            loop=SimpleNamespace(soon=self.steps.append, later=self._later),
        )

    def _later(self, seconds: float, call: Any) -> None:
        self.time += seconds
        self.steps.append(call)

    def _alive(self, pid: int) -> bool:
        answer = self.answers[min(self.looked, len(self.answers) - 1)]
        self.looked += 1
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)

    def wait_for(self, run: Run) -> None:
        """Look until the run is settled."""
        Member.when_child_gone(self.member, run)
        while self.steps:
            assert run.state is State.STARTED and run.dying, "settled too early"
            self.steps.pop()()


@pytest.fixture
def settled() -> list[Run]:
    return []


@pytest.fixture
def run(settled: list[Run]) -> Run:
    run = make_run(settled)
    for each in WAYS[State.STARTED]:
        step(run, each)
    run.on_ack(None, ())
    run.set_dying(11)
    return run


@pytest.mark.parametrize("answers", [(False,), (True, True, False), (True, OSError("once"), True, False)])
def test_a_run_is_over_when_its_child_is_gone(
    monkeypatch: pytest.MonkeyPatch, settled: list[Run], run: Run, answers: tuple[Any, ...]
) -> None:
    looks = Looks(monkeypatch, *answers)
    looks.wait_for(run)
    assert looks.looked == len(answers)
    assert settled == [run] and run.state is State.OVER and not run.dying


def test_one_whose_child_can_not_be_seen_is_over_after_a_while(
    monkeypatch: pytest.MonkeyPatch, settled: list[Run], run: Run
) -> None:
    looks = Looks(monkeypatch, AttributeError("_is_alive"))
    looks.wait_for(run)
    assert looks.time >= member.UNCHECKED_SECONDS
    assert settled == [run] and run.state is State.OVER and not run.dying


def test_a_child_that_lives_on_is_waited_for(monkeypatch: pytest.MonkeyPatch, settled: list[Run], run: Run) -> None:
    """Timeline: it does not end for longer than a blind worker would wait."""
    looks = Looks(monkeypatch, *[True] * 500, OSError("once"), True, False)
    looks.wait_for(run)
    assert looks.looked == 503 and settled == [run]


@pytest.mark.parametrize("green", [False, True])
def test_while_a_signal_handler_holds_the_loop_others_do_its_part(green: bool) -> None:
    """Timeline: a soft shutdown begins; greenlets go on meanwhile, a main thread does not."""
    done, main = list[tuple[str, bool]](), threading.current_thread()

    def noted(what: str) -> Any:
        return lambda: done.append((what, threading.current_thread() is main))

    worker: Any = SimpleNamespace(
        consumer=SimpleNamespace(pool=SimpleNamespace(is_green=green)),
        answers=SimpleNamespace(pause=noted("paused")),
        outbox=SimpleNamespace(abandon_loop=noted("handed over")),
        surrender_unstarted=noted("given back"),
    )
    Member.leave(worker)
    wanted = [] if green else [("paused", True), ("handed over", False), ("given back", False)]
    until(lambda: len(done) == len(wanted))
    assert worker._leaving and done == wanted


@pytest.mark.parametrize("which", ["answers", "aside", "backend"])
def test_what_has_to_be_told_is_told_before_a_worker_ends(which: str) -> None:
    """Timeline: a lease was lost, or a task was revoked at the gate, and whoever hears of it takes a moment."""
    told, works = list[str](), {name: Background(name) for name in ("answers", "aside", "backend")}
    stops = SimpleNamespace(stop=lambda *within: None, close=lambda *patience: False)
    worker: Any = SimpleNamespace(
        **works, loop=stops, runs=[], outbox=stops, renewer=stops, sweeper=stops, publisher=stops, pool=stops
    )
    worker.endings = SimpleNamespace(surrender=lambda runs: None)
    worker.answers.pause = lambda: None
    for number in (1, 2):
        works[which].submit(partial(time.sleep, 0.05))
        works[which].submit(partial(told.append, f"{which} {number}"))
    Member.close(worker)
    assert told == [f"{which} 1", f"{which} 2"]


def test_who_hangs_keeps_a_worker_from_ending_for_a_moment_only() -> None:
    end = threading.Event()
    works = {name: Background(name) for name in ("answers", "aside", "backend", "publisher")}
    stops = SimpleNamespace(stop=lambda *within: None, close=lambda *patience: False)
    worker: Any = SimpleNamespace(**works, loop=stops, runs=[], outbox=stops, renewer=stops, sweeper=stops, pool=stops)
    worker.endings = SimpleNamespace(surrender=lambda runs: None)
    worker.answers.pause = lambda: None
    waits: list[float] = []

    def noted(within: float, stop: Any) -> bool:
        waits.append(within)
        return bool(stop(within))

    for work in works.values():
        work.submit(lambda: end.wait(120))
        work.stop = partial(noted, stop=work.stop)  # type: ignore[method-assign]
    Member.close(worker)
    assert len(waits) == len(works)
    assert sum(waits) < 2 * member.FAREWELL_SECONDS, "they are waited for together, not one by one"
    end.set()
