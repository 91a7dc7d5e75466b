"""A batch that does not come to its end: each of its calls is told once, or runs again, and none out of order."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import billiard
import pytest

from celery_groupfifo import Groups
from tests.support.crews.workers import Crew, Worker
from tests.support.waiting import until
from tests.workers.outcomes.test_batches import batches, notes
from tests.workers.servers.test_reconnect import cut

POOLS = pytest.mark.parametrize("pool", ["prefork", "threads"])

#: Of a soft shutdown, all of which Celery sleeps; the test says its word at once.
GRACE = 5
LEASE = 2
LIMIT = 0.5


class Broken:
    """A worker in the middle of a batch, the calls 1 to 3, with call 4 behind it; the first one ends at the word `go`.

    Args:
        crew: Not started.
        task: With a batch.
        more: Of the first call.
    """

    def __init__(self, crew: Crew, task: str = "batch", **more: object) -> None:
        self.crew, self.first = crew.ready(), crew.worker
        crew.send("k", 0, "wait", task, name="line-up")
        until(lambda: batches(crew, "k") == [[0]])
        self.results = [crew.send("k", 1, "wait", task, name="go", **more)]
        self.results += [crew.send("k", number, task=task) for number in (2, 3)]
        crew.tell("line-up")
        until(lambda: batches(crew, "k") == [[0], [1, 2, 3]])
        self.results.append(crew.send("k", 4, task=task))

    def heir(self) -> Worker:
        """Return a second worker, ready."""
        return self.crew.another("two", pool=self.crew.pool, slots=2).start().ready()

    def stop(self, said: str) -> None:
        """Tell the first worker to stop."""
        self.first.send(signal.SIGQUIT)
        until(lambda: said in self.first.log, lambda: self.first.log[-2000:])

    def ended(self, overlap: bool = False) -> list[list[int]]:
        """Wait until nothing is left, and return the batches after the first one: each success was told once.

        Args:
            overlap: A run has gone on after its lease.
        """
        crew = self.crew
        until(lambda: not crew.left_over(), lambda: f"{crew.left_over()} {notes(crew, 'k')}")
        runs = crew.history.group("k")
        assert [run.fence for run in runs] == sorted({run.fence for run in runs})
        if not overlap:
            crew.history.assert_in_line("k")
        logs = "".join(worker.log for worker in crew.workers)
        for result in self.results:
            told = logs.count(f"[{result.id}] succeeded in")
            assert told == (result.state == "SUCCESS"), f"{result.id} was told {told} times: {result.state}"
        return batches(crew, "k")[1:]


@POOLS
def test_a_soft_shutdown_waits_for_it(make_crew: Callable[..., Crew], pool: str) -> None:
    scene = Broken(make_crew(pool, slots=2, worker_soft_shutdown_timeout=GRACE))
    scene.heir()
    scene.stop("Initiating Soft Shutdown")
    scene.crew.tell("go")
    scene.first.wait()
    for result in scene.results:
        scene.crew.state(result, "SUCCESS")
    assert scene.ended() == [[1, 2, 3], [4]]


@pytest.mark.parametrize("grace", [0, 0.5])
def test_a_cold_shutdown_gives_it_back(make_crew: Callable[..., Crew], grace: float) -> None:
    scene = Broken(make_crew(slots=2, worker_soft_shutdown_timeout=grace))
    scene.heir()
    scene.stop("Initiating Soft Shutdown" if grace else "Cold shutdown")
    scene.first.wait()
    scene.crew.tell("go")
    for result in scene.results:
        scene.crew.state(result, "SUCCESS")
    assert scene.ended() == [[1, 2, 3], [1, 2, 3, 4]]
    assert {note["lost"] for note in notes(scene.crew, "k")} == {0}, "stopped on purpose: nobody was lost"


@POOLS
def test_a_worker_that_was_frozen_tells_nothing_of_it(make_crew: Callable[..., Crew], pool: str) -> None:
    scene = Broken(make_crew(pool, slots=2, groupfifo_lease_ttl=LEASE, groupfifo_sweep_interval=0.2))
    os.killpg(scene.first.pid, signal.SIGSTOP)
    scene.heir()
    until(lambda: len(batches(scene.crew, "k")) > 2, "the lease is over")
    os.killpg(scene.first.pid, signal.SIGCONT)
    until(lambda: "has lost its lease" in scene.first.log, lambda: scene.first.log[-2000:])
    scene.crew.tell("go")
    for result in scene.results:
        scene.crew.state(result, "SUCCESS")
    assert scene.ended(overlap=True) == [[1, 2, 3], [1], [2], [3], [4]]
    scene.crew.all_slots()


@pytest.mark.parametrize("task", ["batch", "batch_early"])
def test_a_hard_time_limit_is_the_failure_of_each(make_crew: Callable[..., Crew], task: str) -> None:
    scene = Broken(make_crew(slots=2), task, time_limit=LIMIT)
    for result, state in zip(scene.results, ["FAILURE"] * 3 + ["SUCCESS"], strict=True):
        scene.crew.state(result, state)
    assert scene.ended() == [[1, 2, 3], [4]]
    assert [scene.first.log.count(f"TimeLimitExceeded({LIMIT}) (task {each.id}") for each in scene.results] == [
        1,
        1,
        1,
        0,
    ]


def test_a_hard_time_limit_that_blocks_the_group_is_that_of_the_first_call(make_crew: Callable[..., Crew]) -> None:
    scene = Broken(make_crew(slots=2), "batch_blocking", time_limit=LIMIT)
    groups = Groups(scene.crew.app)
    until(lambda: groups.get("k").state == "blocked")
    scene.crew.state(scene.results[0], "FAILURE")
    groups.skip("k", expected=scene.results[0].id)
    for result in scene.results[1:]:
        scene.crew.state(result, "SUCCESS")
    assert scene.ended() == [[1, 2, 3], [2, 3, 4]]


def test_a_batch_of_a_greenlet_that_is_cancelled_with_its_broker_goes_back(make_crew: Callable[..., Crew]) -> None:
    """Its requests are cancelled in any order, and the first one ends the greenlet of all."""
    scene = Broken(make_crew("gevent", slots=4, worker_cancel_long_running_tasks_on_connection_loss=True))
    until(lambda: cut(scene.crew, "broker") > 0)
    until(lambda: "Terminating it instead" in scene.first.log, lambda: scene.first.log[-2000:])
    scene.crew.tell("go")
    for result in scene.results:
        scene.crew.state(result, "SUCCESS")
    assert batches(scene.crew, "k")[1:] == [[1, 2, 3], [1, 2, 3, 4]]


@pytest.mark.parametrize("task", ["batch", "batch_early"])
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_batch_without_memory_counts_as_lost(make_crew: Callable[..., Crew], pool: str, task: str) -> None:
    crew = make_crew(pool, slots=2).ready()
    crew.send("k", 0, "wait", task, name="line-up")
    until(lambda: batches(crew, "k") == [[0]])
    results = [crew.send("k", 1, "memory", task), *(crew.send("k", number, task=task) for number in (2, 3))]
    crew.tell("line-up")
    if pool == "prefork" and billiard.VERSION >= (4, 3):
        crew.worker.wait()
        crew.worker.start().ready()
    until(lambda: not crew.left_over(), lambda: f"{crew.left_over()} {notes(crew, 'k')}")
    lost = [(note["numbers"], note["lost"]) for note in notes(crew, "k")[1:]]
    if task == "batch":
        assert lost == [([1, 2, 3], 0), ([1], 1), ([2], 1), ([3], 1)]
    else:
        assert (lost, [each.state for each in results]) == ([([1, 2, 3], 0)], ["FAILURE"] * 3)
