"""The workers' page shows the leases of now, and workers that do not answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from celery_groupfifo.flower.board import Board
from celery_groupfifo.gate.keys import CLAIM_MS, due_score, quote
from celery_groupfifo.groups.workers import Workers
from celery_groupfifo.worker.inspect import STATS
from tests.programs.flower.conftest import Shop

TTL = 30.0


def workers(client: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the workers by name, and the leases."""
    found = client.get("/groups/workers/data").json
    return {worker["name"]: worker for worker in found["workers"]}, found["leases"]


def test_a_run_that_has_ended_is_no_lease_that_is_over(client: Any, shop: Shop) -> None:
    """Timeline: all groups are read for the table, one run ends and another one begins, the workers' page is opened."""
    for key in ("a", "b", "c"):
        shop.send(key, key)
    first, _ = shop.begin(), shop.begin()
    assert client.get("/groups/data").json["running"] == 2
    shop.finish(first, "a")
    shop.begin()
    known, leases = workers(client)
    assert [lease["task_id"] for lease in leases] == ["b", "c"]
    assert all(0 < lease["lease_left"] <= TTL for lease in leases)
    assert known["one@test"]["leases"] == 2 and 0 < known["one@test"]["lease_left"] <= TTL


def test_an_earlier_life_of_a_worker_that_answers_is_silent(
    client: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timeline: a worker is killed, and starts again under its name; the leases of its former life go on."""
    monkeypatch.setattr(Workers, "queues", lambda self: {"one@test": ["celery"]})
    monkeypatch.setattr(Workers, "stats", lambda self: {"one@test": {STATS: {"owner": "one@test/2"}}})
    shop.send("k", "a")
    shop.begin("one@test")
    found = client.get("/groups/workers/data").json["workers"]
    assert [(each["name"], each["answers"], each["leases"]) for each in found] == [
        ("one@test", True, 0),
        ("one@test", False, 1),
    ]


def test_workers_that_nobody_could_ask_are_not_called_silent(
    client: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Workers) -> dict[str, list[str]]:
        self.error = "no broker"
        return {}

    monkeypatch.setattr(Workers, "queues", fail)
    shop.send("k", "a")
    shop.begin("one@test")
    found = client.get("/groups/workers/data").json
    assert [worker["answers"] for worker in found["workers"]] == [None]
    assert (found["error"], found["unconsumed_queues"]) == ("no broker", [])
    assert client.get("/api/groups/summary").json["workers"] is None


def test_a_silent_worker_is_shown_since_its_last_sign_until_its_groups_moved_on(client: Any, shop: Shop) -> None:
    shop.send("k", "a", "b")
    ticket = shop.begin("lost@test")
    gate, keys = shop.groups.gate, shop.groups.gate.keyspace.partitions[0]
    now = int(Board(shop.app).reader.now())
    gate.store.client.zadd(keys.due, {"w lost@test/1": due_score("w", now - 5_000)})
    known, leases = workers(client)
    worker = known["lost@test"]
    assert (worker["answers"], worker["leases"], worker["queues"]) == (False, 1, [])
    assert worker["lease_left"] <= -5
    since = datetime.fromisoformat(leases[0]["since"]).timestamp()
    assert datetime.fromisoformat(leases[0]["renewed"]).timestamp() == since, "it has renewed nothing"
    gate.store.client.zadd(keys.due, {"w lost@test/1": due_score("w", now + 60_000)})
    assert datetime.fromisoformat(workers(client)[0]["lost@test"]["renewed"]).timestamp() > since + 20
    gate.surrender([(ticket, True)])
    known, leases = workers(client)
    assert (known["lost@test"]["answers"], known["lost@test"]["leases"], leases) == (False, 0, [])
    gate.leave(quote("lost@test/1"))
    assert workers(client) == ({}, [])


def test_a_lost_worker_is_shown_while_its_heads_are_taken_back(client: Any, shop: Shop) -> None:
    """Timeline: a sweep finds its lease over, and is lost itself before it takes the heads back."""
    shop.send("k", "a")
    shop.begin("lost@test")
    redis, keys = shop.groups.gate.store.client, shop.groups.gate.keyspace.partitions[0]
    now = int(Board(shop.app).reader.now())
    redis.zrem(keys.due, "w lost@test/1")
    redis.zadd(keys.due, {"v lost@test/1": due_score("v", now + CLAIM_MS - 500)})
    known, (lease,) = workers(client)
    worker = known["lost@test"]
    assert (worker["answers"], worker["leases"]) == (False, 1)
    assert -60 < worker["lease_left"] == lease["lease_left"] <= -0.5
    silent_for = now / 1000 - datetime.fromisoformat(worker["renewed"]).timestamp()
    assert TTL < silent_for < TTL + 1
