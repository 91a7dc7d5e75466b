"""A Redis that has lost its last writes, under real workers: no two starts have one fence, and fences grow."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.support.crews.workers import Crew
from tests.support.snapshot import copied, put_back
from tests.support.waiting import until
from tests.workers.outcomes.test_lease_lost import lives

POOLS = ("prefork", "threads", "gevent", "eventlet", "solo")


def fences_grow(crew: Crew, key: str) -> None:
    """Check the fences of a group, which the tasks themselves have seen."""
    fences = [run.fence for run in crew.history.group(key)]
    assert all(earlier < later for earlier, later in pairwise(fences)), fences


@pytest.mark.parametrize("pool", POOLS)
def test_a_begin_that_redis_loses_is_repeated_under_a_higher_fence(make_crew: Callable[..., Crew], pool: str) -> None:
    """Timeline: a task runs; its worker dies; Redis comes back as it was between the release and the begin."""
    crew = make_crew(pool, 1 if pool == "solo" else 2, groupfifo_lease_ttl=2)
    results = [crew.send("k", 1, "wait", name="go-on"), crew.send("k", 2)]
    before = copied(crew.redis)
    crew.worker.start()
    until(lambda: crew.history.group("k"), lambda: crew.worker.log)
    crew.worker.kill()
    put_back(crew.redis, before)
    crew.worker.start()
    until(lambda: len(crew.history.group("k")) == 2, lambda: crew.worker.log)
    crew.tell("go-on")
    for result in results:
        crew.state(result, "SUCCESS")
    until(lambda: not crew.left_over())
    assert crew.history.numbers("k") == [1, 1, 2]
    assert {run.lost for run in crew.history.group("k")} == {0}, "the same ticket came twice"
    fences_grow(crew, "k")


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_the_worker_of_a_begin_that_redis_loses_is_told(make_crew: Callable[..., Crew], pool: str) -> None:
    """Timeline: a task runs; Redis loses its begin; the task runs once more; and then both runs end."""
    crew = make_crew(pool, 2, groupfifo_lease_ttl=2)
    results = [crew.send("k", 1, "wait", name="go-on"), crew.send("k", 2)]
    before = copied(crew.redis)
    crew.worker.start()
    until(lambda: crew.history.group("k"), lambda: crew.worker.log)
    put_back(crew.redis, before)
    until(lambda: len(crew.history.group("k")) == 2, lambda: crew.worker.log)
    until(lambda: "has lost its lease" in crew.worker.log, lambda: crew.worker.log)
    crew.tell("go-on")
    for result in results:
        crew.state(result, "SUCCESS")
    until(lambda: len(crew.history.group("k")) == 3 and not crew.left_over(), lambda: crew.worker.log)
    assert crew.history.numbers("k") == [1, 1, 2]
    fences_grow(crew, "k")


@pytest.mark.parametrize(("pool", "says"), [("prefork", "warn"), ("prefork", "terminate"), ("threads", "warn")])
def test_two_runs_of_one_ticket_in_one_worker(make_crew: Callable[..., Crew], pool: str, says: str) -> None:
    """Timeline: both slots work; one ends and takes a task; Redis loses that; the other ends and takes the same task.

    No slot and no prefetch is free meanwhile, so the ticket does not come through the broker.
    """
    more = {"worker_prefetch_multiplier": 1, "groupfifo_on_lease_lost": says}
    crew = make_crew(pool, 2, groupfifo_lease_ttl=2, **more).ready()
    results = [crew.send("x", 1, "wait", name="x-ends"), crew.send("y", 1, "wait", name="y-ends")]
    until(lambda: len(crew.history.runs) == 2, lambda: crew.worker.log)
    results.append(crew.send("k", 1, "wait", name="go-on"))
    before = copied(crew.redis)
    crew.tell("y-ends")
    until(lambda: crew.history.group("k"), lambda: crew.worker.log)
    (first,) = crew.history.group("k")
    put_back(crew.redis, before)
    crew.tell("x-ends")
    until(lambda: len(crew.history.group("k")) == 2, lambda: crew.worker.log)
    lost = f"fence {first.fence}, attempt 1) has lost its lease"
    until(lambda: lost in crew.worker.log, lambda: crew.worker.log)
    if says == "terminate":
        until(lambda: not lives(first), lambda: crew.worker.log)
    crew.tell("go-on")
    for result in results:
        crew.state(result, "SUCCESS")
    until(lambda: not crew.left_over(), lambda: str(crew.left_over()))
    assert crew.history.numbers("k") == [1, 1]
    assert {run.lost for run in crew.history.group("k")} == {0}, "the same ticket came twice"
    fences_grow(crew, "k")
    crew.all_slots()


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_tasks_that_come_with_the_end_of_another_have_new_fences_too(make_crew: Callable[..., Crew], pool: str) -> None:
    """Timeline: a chain of tasks runs in one delivery; Redis goes back to its start; the chain runs again."""
    crew = make_crew(pool, 1, groupfifo_lease_ttl=2)
    for number in range(6):
        crew.send(f"k{number % 2}", number)
    before = copied(crew.redis)
    crew.worker.start()
    until(lambda: len(crew.history.runs) == 6 and not crew.left_over(), lambda: crew.worker.log)
    crew.worker.kill()
    put_back(crew.redis, before)
    crew.worker.start()
    until(lambda: len(crew.history.runs) == 12 and not crew.left_over(), lambda: crew.worker.log)
    for key, numbers in (("k0", [0, 2, 4]), ("k1", [1, 3, 5])):
        assert crew.history.numbers(key) == numbers * 2
        fences_grow(crew, key)
