"""Tasks that are revoked or expire before they begin: at the gate, in the worker, and with no worker at all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from celery_groupfifo.gate.keys import quote
from tests.support.crews.workers import Crew, on
from tests.support.waiting import until


def test_what_is_parked_or_released_needs_no_worker(make_crew: Callable[..., Crew], key: str) -> None:
    crew = make_crew()
    results = [crew.send(key, number) for number in range(5)]
    crew.app.control.revoke([results[2].id, results[0].id])
    for number in (0, 2):
        assert results[number].state == "REVOKED"
    crew.worker.start().ready()
    crew.wait_for(key, [1, 3, 4])
    for number in (1, 3, 4):
        crew.state(results[number], "SUCCESS")
    assert results[0].state == "REVOKED"


def test_a_group_of_revoked_tasks_leaves_nothing(make_crew: Callable[..., Crew], key: str) -> None:
    crew = make_crew()
    results = [crew.send(key, number) for number in range(3)]
    for result in reversed(results):
        crew.app.control.revoke(result.id)
    assert [result.state for result in results] == ["REVOKED"] * 3
    assert not crew.left_over()


def test_revoking_costs_the_same_at_every_depth(make_crew: Callable[..., Crew], key: str) -> None:
    crew = make_crew()
    costs = []
    for depth in (10, 1000):
        results = [crew.send(f"{key}-{depth}", number) for number in range(depth)]
        crew.app.control.revoke(results[0].id)  # connections are open, scripts are loaded
        crew.redis.config_resetstat()
        crew.app.control.revoke(results[depth // 2].id)
        costs.append({name: each["calls"] for name, each in crew.redis.info("commandstats").items()})
    assert costs[0] == costs[1]


@on("prefork")
def test_what_waits_in_the_worker_for_a_slot(crew: Crew, key: str) -> None:
    for slot in range(crew.slots):
        crew.send(f"{key}-{slot}", 0, "wait", name=key)
    until(lambda: len(crew.history.runs) >= crew.slots and crew.history.group(f"{key}-{crew.slots - 1}"))
    first, *_ = [crew.send(key, number) for number in (1, 2, 3)]
    until(lambda: f"{first.id}] received" in crew.worker.log)
    crew.app.control.revoke(first.id)
    until(lambda: f"Tasks flagged as revoked: {first.id}" in crew.worker.log)
    crew.tell(key)
    crew.wait_for(key, [2, 3])
    crew.state(first, "REVOKED")
    crew.all_slots()


def test_what_waits_for_its_retry(crew: Crew, key: str) -> None:
    first = crew.send(key, 1, "retry", delay=60)
    crew.send(key, 2)
    crew.state(first, "RETRY")
    until(lambda: b"\nh " in (crew.redis.hget("{groupfifo:0}:groups", quote(key)) or b""))
    crew.app.control.revoke(first.id)
    crew.state(first, "REVOKED")
    crew.wait_for(key, [1, 2])
    crew.all_slots()


def test_what_has_expired_when_it_becomes_the_head(crew: Crew, key: str) -> None:
    expiry = datetime.now(timezone.utc) + timedelta(seconds=0.2)
    crew.send(key, 1, "wait", name=key)
    expired = [crew.send(key, number, expires=expiry) for number in (2, 3)]
    lasting = crew.send(key, 4, expires=60)
    until(lambda: datetime.now(timezone.utc) > expiry)
    crew.tell(key)
    crew.wait_for(key, [1, 4])
    for result in expired:
        crew.state(result, "REVOKED")
    crew.state(lasting, "SUCCESS")
    crew.all_slots()


def test_revoked_by_a_stamp(crew: Crew, key: str) -> None:
    assert crew.app.control.revoke_by_stamped_headers({"tag": [key]}, reply=True, timeout=60, limit=1)
    first = crew.send(key, 1)
    stamped = crew.task("act").si(key, 2)
    stamped.stamp(tag=key)
    second, third = stamped.apply_async(), crew.send(key, 3)
    crew.wait_for(key, [1, 3])
    for result, state in ((first, "SUCCESS"), (second, "REVOKED"), (third, "SUCCESS")):
        crew.state(result, state)
    crew.all_slots()


@pytest.mark.parametrize("countdown", [0.5, 60])
def test_what_is_not_due_yet(make_crew: Callable[..., Crew], key: str, countdown: float) -> None:
    crew = make_crew()
    result = crew.send(key, 1, countdown=countdown)
    crew.app.control.revoke(result.id)
    assert result.state == "REVOKED"
    left = crew.left_over()
    assert set(left) <= {"due"}, "at most an appointment that a sweep forgets"
