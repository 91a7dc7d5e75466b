"""Duplicates by their id and by a key of their own, on a worker: what runs, and what the results are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from celery_groupfifo import DuplicateTask
from celery_groupfifo.gate.keys import quote
from tests.support.crews.workers import Crew, on
from tests.support.waiting import until

LATEST: dict[str, Any] = {"group_on_duplicate": "keep_latest"}


@on("prefork", "threads")
def test_producers_at_the_same_time_get_one_run_more(crew: Crew, key: str) -> None:
    """One runs; of all that are sent meanwhile, one of the last ones runs, once; the others are REVOKED."""
    first = crew.send(key, 1, "wait", name=key, group_dedup_key="k", **LATEST)
    until(lambda: crew.history.group(key))

    def produce(producer: int) -> list[Any]:
        return [crew.send(key, 100 * producer + n, group_dedup_key="k", **LATEST) for n in range(20)]

    with ThreadPoolExecutor(4) as threads:
        sent = list(threads.map(produce, range(1, 5)))
    crew.tell(key)
    until(lambda: len(crew.history.group(key)) == 2 and not crew.left_over())
    _, newest = crew.history.numbers(key)
    assert newest in [100 * producer + 19 for producer in range(1, 5)]
    states = [result.state for results in sent for result in results]
    assert sorted(states) == ["REVOKED"] * 79 + ["SUCCESS"]
    crew.state(first, "SUCCESS")


@on("prefork", "threads")
def test_of_one_id_the_latest_runs_after_the_run(crew: Crew, key: str) -> None:
    crew.send(key, 1, "wait", name=key, task_id=f"{key}-id", **LATEST)
    until(lambda: crew.history.group(key))
    for number in (2, 3, 4):
        assert crew.send(key, number, task_id=f"{key}-id", **LATEST).id == f"{key}-id"
    crew.tell(key)
    crew.wait_for(key, [1, 4])
    until(lambda: not crew.left_over())


@on("prefork")
def test_a_retry_is_neither_a_duplicate_nor_replaced(crew: Crew, key: str) -> None:
    first = crew.send(key, 1, "retry", times=2, delay=1, group_dedup_key="k", **LATEST)
    crew.state(first, "RETRY")
    with pytest.raises(DuplicateTask):
        crew.send(key, 9, group_dedup_key="k", group_on_duplicate="replace")
    assert crew.send(key, 9, group_dedup_key="k").id == first.id
    last = crew.send(key, 2, group_dedup_key="k", **LATEST)
    crew.wait_for(key, [1, 1, 1, 2])
    crew.state(first, "SUCCESS")
    crew.state(last, "SUCCESS")


@on("prefork", "threads")
@pytest.mark.parametrize("deed", ["succeed", "fail"])
def test_it_counts_after_the_end(crew: Crew, key: str, deed: str) -> None:
    options: dict[str, Any] = {"group_dedup_key": "k", "group_dedup_for": 3600}
    begins, due, field = "{groupfifo:0}:begins", "{groupfifo:0}:due", f"i {quote(key)} k"
    first = crew.send(key, 1, deed, **options)
    crew.state(first, "SUCCESS" if deed == "succeed" else "FAILURE")
    until(lambda: not crew.redis.hexists("{groupfifo:0}:groups", quote(key)))
    assert crew.send(key, 2, **options).id == first.id
    crew.redis.hset(begins, field, f"1 {first.id}")  # its time is over
    crew.redis.zadd(due, {field: 3e14})
    until(lambda: not crew.redis.hexists(begins, field))
    assert crew.send(key, 3, group_dedup_key="k").id != first.id
    crew.wait_for(key, [1, 3])
