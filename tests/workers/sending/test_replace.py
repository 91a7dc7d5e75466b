"""New arguments for a parked task, with producers that send at the same time, and a worker that runs it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from celery_groupfifo import DuplicateTask
from tests.support.crews.workers import Crew, on
from tests.support.waiting import until

PRODUCERS, EACH = 4, 25


def produce(crew: Crew, key: str, producer: int) -> list[int]:
    """Send under one id; return the numbers that were taken."""
    taken = []
    for n in range(EACH):
        number = 100 * (producer + 1) + n
        try:
            crew.send(key, number, task_id=f"{key}-newest", group_on_duplicate="replace")
            taken.append(number)
        except DuplicateTask:
            pass
    return taken


@on("prefork", "threads")
def test_producers_at_the_same_time(crew: Crew, key: str) -> None:
    """One of the last arguments of the producers is what runs, once, in the place of the first call."""
    crew.send(key, 1, "wait", name=key)
    until(lambda: crew.history.group(key))
    first = crew.send(key, 2, task_id=f"{key}-newest")
    crew.send(key, 3)
    with ThreadPoolExecutor(PRODUCERS) as threads:
        done = list(threads.map(partial(produce, crew, key), range(PRODUCERS)))
    assert [len(taken) for taken in done] == [EACH] * PRODUCERS
    crew.tell(key)
    until(lambda: len(crew.history.group(key)) == 3 and not crew.left_over())
    one, newest, three = crew.history.numbers(key)
    assert (one, three) == (1, 3) and newest in [taken[-1] for taken in done]
    crew.state(first, "SUCCESS")
    assert first.result == newest
    crew.all_slots()


@on("prefork", "threads")
def test_while_it_starts_and_runs(crew: Crew, key: str) -> None:
    """Either it runs with the new arguments, or the call raises: whatever comes first."""
    for round in range(20):
        name = f"{key}-{round}"
        before = crew.send(key, 1000 + round)
        result = crew.send(key, round, task_id=name)
        try:
            crew.send(key, 500 + round, task_id=name, group_on_duplicate="replace")
            wanted = 500 + round
        except DuplicateTask:
            wanted = round
        crew.state(before, "SUCCESS")
        crew.state(result, "SUCCESS")
        until(lambda: not crew.left_over())  # it may have ended before the call, which then has sent a new one
        runs = [number for number in crew.history.numbers(key) if number in (round, 500 + round)]
        assert runs in ([wanted], [round, 500 + round])


@on("prefork")
def test_a_retry_is_not_replaced(crew: Crew, key: str) -> None:
    first = crew.send(key, 1, "retry", times=2, delay=1)
    crew.state(first, "RETRY")
    for _ in range(2):
        with pytest.raises(DuplicateTask):
            crew.send(key, 9, task_id=first.id, group_on_duplicate="replace")
    crew.wait_for(key, [1, 1, 1])
    crew.state(first, "SUCCESS")
