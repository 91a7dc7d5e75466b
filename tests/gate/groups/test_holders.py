"""The holders of leases: each worker until its heads were taken back, with the time of its last sign."""

from __future__ import annotations

import pytest

from celery_groupfifo.groups import fleet
from celery_groupfifo.groups.fleet import Fleet
from celery_groupfifo.groups.leases import read_holders
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.workers import Workers
from tests.support.shop import Shop
from tests.support.world import TTL_MS

GONE = "celery@gone/11111111"


@pytest.fixture(autouse=True)
def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workers, "ask", lambda self, call, destination=None: {})


def test_a_lost_worker_is_listed_until_its_heads_were_taken_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Timeline: a sweep finds the lease over, and its worker dies before it takes the heads back."""
    shop.world.idle_sweeps(TTL_MS)
    shop.send("k", "a")
    shop.begin(GONE)
    reclaim = shop.world.gate.reclaim
    monkeypatch.setattr(shop.world.gate, "reclaim", lambda *args, **options: 0)
    shop.world.idle_sweeps(TTL_MS + 1000)
    assert shop.world.redis.zscore(shop.world.keys.due, f"w {GONE}") is None, "as no worker's any more"
    shop.world.tick(500)
    (worker,) = shop.groups.workers()
    assert (worker.worker, worker.answers, worker.leases) == ("celery@gone", False, 1)
    assert worker.renewed is not None and worker.renewed == 31.5
    (check,) = (check for check in shop.groups.status() if check.name == "silent")
    assert check.what == (
        "Workers that hold leases and do not answer: celery@gone (1 run, lease not renewed for 31 s: it ended 1.5 s "
        "ago)."
    )
    (run,) = shop.groups.get("k").running
    assert run.lease_left == -1.5
    assert "the worker's lease ended 1.5 s ago" in shop.groups.explain("k")
    found = shop.groups.find("a")
    assert found is not None and found.running is not None and found.running.lease_left == -1.5
    monkeypatch.setattr(shop.world.gate, "reclaim", reclaim)
    shop.world.tick(2000)
    assert shop.world.sweep(owner="w2").reclaimed == 1
    assert shop.groups.workers() == []


def test_a_worker_without_runs_is_listed_by_its_lease(shop: Shop) -> None:
    """As one that is frozen while it has nothing to do; it harms no group."""
    shop.send("k", "a")
    ticket = shop.begin(GONE)
    shop.world.finish(ticket, "k", owner=GONE)
    shop.world.tick(7000)
    (worker,) = shop.groups.workers()
    assert (worker.worker, worker.answers, worker.leases, worker.renewed) == ("celery@gone", False, 0, 7.0)
    assert next(check for check in shop.groups.status() if check.name == "silent").ok


def test_workers_that_could_not_be_asked_are_known_by_their_leases(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "ask_fleet", lambda app: Fleet({}, {}, "no broker"))
    shop.send("k", "a")
    shop.begin(GONE)
    assert [(each.worker, each.answers, each.leases) for each in shop.groups.workers()] == [("celery@gone", None, 1)]


def test_a_lease_in_several_partitions_is_that_which_ends_last(shop: Shop) -> None:
    """Each partition has a lease of the worker, and they are renewed one after the other."""
    shop.send("k", "a")
    shop.begin(GONE)
    reader = Reader(shop.world.gate)
    shop.world.tick(4000)
    reader.partitions = [shop.world.keys, shop.world.keys]
    (holder,) = read_holders(reader)
    assert (len(holder.leases), holder.silent_for, holder.lease_left) == (2, 4.0, 26.0)
    assert [lease.task_id for lease in holder.leases] == ["a", "a"]
