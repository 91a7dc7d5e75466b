"""The bound of a group's depth, with producers that send at the same time, and a worker that runs what is left."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from celery import chain
from celery.result import AsyncResult

from celery_groupfifo import GroupFull, Groups
from celery_groupfifo.errors import UnknownGroup
from celery_groupfifo.settings import Overflow
from tests.support.crews.workers import Crew, on
from tests.support.waiting import HUNG, until

PRODUCERS, EACH, MOST = 4, 25, 5


def produce(crew: Crew, key: str, overflow: Overflow, producer: int) -> tuple[list[AsyncResult], int]:
    """Send; return the results, and the number of refused calls."""
    results, refused = [], 0
    for n in range(EACH):
        try:
            number = 100 * (producer + 1) + n
            results.append(crew.send(key, number, group_max_depth=MOST, group_overflow=overflow))
        except GroupFull:
            refused += 1
        with suppress(UnknownGroup):  # all that were sent may have ended
            assert Groups(crew.app).get(key).depth <= MOST + 1
    return results, refused


@on("prefork")
def test_producers_that_wait_for_room(crew: Crew, key: str) -> None:
    """Nobody is refused, no bound is broken, and the calls of each producer keep their order."""
    with ThreadPoolExecutor(PRODUCERS) as threads:
        done = list(threads.map(partial(produce, crew, key, "wait"), range(PRODUCERS)))
    assert [refused for _, refused in done] == [0] * PRODUCERS
    until(lambda: len(crew.history.group(key)) == PRODUCERS * EACH and not crew.left_over())
    crew.history.assert_in_line(key)
    numbers = crew.history.numbers(key)
    for producer in range(1, PRODUCERS + 1):
        mine = [number for number in numbers if number // 100 == producer]
        assert mine == list(range(100 * producer, 100 * producer + EACH))


@on("prefork", "threads", "gevent", "eventlet", "solo")
def test_a_run_that_waits_for_room(crew: Crew, key: str) -> None:
    """In another group it waits, and holds up nobody but its own; in its own group it would wait for itself."""
    bound: dict[str, Any] = {"group_max_depth": 1, "group_overflow": "wait", "group_overflow_timeout": 30}
    first = crew.send(key, 1, "send_on", name=key, other=key, options=bound)
    until(lambda: crew.history.group(key))
    crew.send(key, 2)
    crew.tell(key)
    crew.wait_for(key, [1, 2])
    with pytest.raises(GroupFull, match=f"sent by a run of this group, task {first.id}"):
        first.get(timeout=HUNG)
    if crew.slots == 1:
        return  # the other group would wait for this run's slot
    other = f"{key}-other"
    crew.send(other, 1, "wait", name=other)
    until(lambda: crew.history.group(other))
    crew.send(other, 2)
    second = crew.send(key, 3, "send_on", name=key, other=other, options=bound)
    crew.send(key, 4)
    until(lambda: len(crew.history.group(key)) == 3)
    crew.tell(other)
    crew.state(second, "SUCCESS")
    crew.wait_for_runs(key, [1, 2, 3, 4])
    crew.wait_for(other, [1, 2, 4])


@on("prefork")
@pytest.mark.parametrize("overflow", ["raise", "drop_new", "drop_oldest"])
def test_producers_at_the_same_time(crew: Crew, key: str, overflow: Overflow) -> None:
    first = crew.send(key, 1, "wait", name=key)
    until(lambda: crew.history.group(key))
    with ThreadPoolExecutor(PRODUCERS) as threads:
        done = list(threads.map(partial(produce, crew, key, overflow), range(PRODUCERS)))
    results = [result for some, _ in done for result in some]
    refused = sum(count for _, count in done)
    assert refused == (PRODUCERS * EACH - MOST if overflow == "raise" else 0)
    parked = [task.task_id for task in Groups(crew.app).tasks(key)]
    assert len(parked) == MOST
    for result in results:
        crew.state(result, "PENDING" if result.id in parked else "REVOKED")
    crew.tell(key)
    until(lambda: len(crew.history.group(key)) == MOST + 1 and not crew.left_over())
    crew.history.assert_in_line(key)
    for result in [first, *(result for result in results if result.id in parked)]:
        crew.state(result, "SUCCESS")
    if overflow == "drop_oldest":
        last = {some[-1].id for some, _ in done}
        assert last & set(parked), "the newest ones stay"
    crew.all_slots()


@on("prefork", "threads")
@pytest.mark.parametrize("overflow", ["raise", "drop_new", "drop_oldest"])
def test_a_retry_in_a_full_group_keeps_its_place(crew: Crew, key: str, overflow: Overflow) -> None:
    bound: dict[str, Any] = {"group_max_depth": 1, "group_overflow": overflow}
    first = crew.send(key, 1, "retry", times=2, delay=0.3, **bound)
    until(lambda: crew.history.group(key))
    second = crew.send(key, 2, **bound)
    crew.wait_for(key, [1, 1, 1, 2])
    crew.state(first, "SUCCESS")
    crew.state(second, "SUCCESS")


@on("prefork")
def test_a_replacement_in_a_full_group_keeps_its_place(crew: Crew, key: str) -> None:
    bound: dict[str, Any] = {"group_max_depth": 1, "group_overflow": "raise"}
    crew.send(key, 1, "replace", by=crew.task("act").si(key, 11).set(countdown=0.3, **bound), **bound)
    until(lambda: crew.history.group(key))
    crew.send(key, 2, **bound)
    crew.wait_for(key, [1, 11, 2])


@on("prefork")
def test_a_dropped_step_ends_its_chain(crew: Crew, key: str) -> None:
    """As a revoked one does: the steps behind it are never sent."""
    crew.send(key, 1, "wait", name=key)
    until(lambda: crew.history.group(key))
    task = crew.task("act")
    bound: dict[str, Any] = {"group_max_depth": 1, "group_overflow": "drop_oldest"}
    steps = chain(task.si(key, 2).set(**bound), task.si(key, 3)).delay()
    crew.keep([steps])
    crew.send(key, 4, **bound)
    crew.state(steps.parent, "REVOKED")
    crew.tell(key)
    crew.wait_for(key, [1, 4])
