"""A worker that stops: what runs comes to its end, what has not begun goes back to the head of its group at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.support.crews.workers import Crew
from tests.support.waiting import until

#: Pool, and messages per slot that the worker may have. On green pools the consumer itself waits for a slot, and hears
#: nothing meanwhile: with more than one message per slot a task would wait there.
POOLS = pytest.mark.parametrize(("pool", "each"), [("prefork", 2), ("threads", 2), ("gevent", 1), ("eventlet", 1)])

#: Of a soft shutdown, all of which Celery sleeps; the test says its word long before.
GRACE = 20


def three_ran(crew: Crew, key: str) -> bool:
    return len(crew.history.group(key)) == 3


class Busy:
    """A worker with its two slots running and more in its hands, and a second one that is not yet started.

    Groups `run-0` and `run-1` have a task that runs and two behind it; the groups `wait-…` have three each, some heads
    of which the worker has begun already and can't start.
    """

    def __init__(self, crew: Crew, deed: str, **more: Any) -> None:
        self.crew = crew.ready()
        self.running = [f"run-{number}" for number in range(2)]
        self.waiting = [f"wait-{number}" for number in range(4)]
        self.results = {key: [crew.send(key, 1, deed, **more)] for key in self.running}
        until(lambda: len(crew.history.runs) == 2)
        for key in self.waiting:
            self.results[key] = [crew.send(key, number) for number in (1, 2, 3)]
        for key in self.running:
            self.results[key] += [crew.send(key, number) for number in (2, 3)]
        held = 2 * crew.conf.get("worker_prefetch_multiplier", 2)
        until(lambda: crew.begun() == held, "the worker has less than it may have")
        self.first, self.second = crew.worker, crew.another("two", pool=crew.pool, slots=2)

    def stop(self, number: signal.Signals, said: str) -> None:
        """Start the second one, and tell the first one to stop."""
        self.second.start().ready()
        self.first.send(number)
        until(lambda: said in self.first.log, lambda: self.first.log[-2000:])

    def all_done(self) -> None:
        for key, results in self.results.items():
            for result in results:
                self.crew.state(result, "SUCCESS")
            self.crew.history.assert_in_line(key)
        until(lambda: not self.crew.left_over(), lambda: str(self.crew.left_over()))


@POOLS
def test_warm(make_crew: Callable[..., Crew], pool: str, each: int) -> None:
    crew = make_crew(pool, slots=2, worker_prefetch_multiplier=each)
    busy = Busy(crew, "wait", name="word")
    busy.stop(signal.SIGTERM, "Warm shutdown")
    for key in busy.waiting:
        until(partial(three_ran, crew, key), lambda: str(crew.left_over()))
    assert busy.first.alive, "the second one did not have to wait for it"
    crew.tell("word")
    assert busy.first.wait() == 0
    busy.all_done()
    for key in busy.results:
        assert crew.history.numbers(key) == [1, 2, 3], "no repeat"
    assert {run.worker for key in busy.running for run in crew.history.group(key)[:1]} == {"one@test"}
    assert {run.lost for run in crew.history.runs} == {0}


@POOLS
def test_soft(make_crew: Callable[..., Crew], pool: str, each: int) -> None:
    crew = make_crew(pool, slots=2, worker_prefetch_multiplier=each, worker_soft_shutdown_timeout=GRACE)
    busy = Busy(crew, "wait", name="word")
    busy.stop(signal.SIGQUIT, "Initiating Soft Shutdown")
    for key in busy.waiting:
        until(partial(three_ran, crew, key), lambda: str(crew.left_over()))
    crew.tell("word")
    busy.first.wait()
    busy.all_done()
    for key in busy.results:
        assert crew.history.numbers(key) == [1, 2, 3], "no repeat"


def test_soft_and_not_ended_in_time(make_crew: Callable[..., Crew]) -> None:
    crew = make_crew(slots=2, worker_soft_shutdown_timeout=0.5)
    busy = Busy(crew, "wait", name="word")
    busy.stop(signal.SIGQUIT, "Initiating Soft Shutdown")
    busy.first.wait()
    crew.tell("word")
    busy.all_done()
    for key in busy.running:
        assert crew.history.numbers(key) == [1, 1, 2, 3]
    assert {run.lost for run in crew.history.runs} == {0}, "stopped on purpose: nobody was lost"


def test_cold(make_crew: Callable[..., Crew]) -> None:
    crew = make_crew(slots=2)
    busy = Busy(crew, "wait", name="word")
    busy.stop(signal.SIGQUIT, "Cold shutdown")
    busy.first.wait()
    crew.tell("word")
    busy.all_done()
    for key in busy.running:
        assert crew.history.numbers(key) == [1, 1, 2, 3]
    for key in busy.waiting:
        assert crew.history.numbers(key) == [1, 2, 3]
    assert {run.lost for run in crew.history.runs} == {0}


def test_cold_with_greenlets(make_crew: Callable[..., Crew]) -> None:
    """Celery's signal handler breaks soon after it has killed the first one, and ends the worker with it."""
    crew = make_crew("gevent", slots=1).ready()
    results = [crew.send("run", 1, "wait", name="word"), crew.send("run", 2)]
    until(lambda: crew.history.runs)
    first, second = crew.worker, crew.another("two", pool="gevent", slots=1)
    second.start().ready()
    first.send(signal.SIGQUIT)
    first.wait()
    crew.tell("word")
    for result in results:
        crew.state(result, "SUCCESS")
    assert crew.history.numbers("run") == [1, 1, 2], "the one that was killed has not ended"
    assert {run.lost for run in crew.history.runs} == {0}
