"""explain: one true sentence for each state."""

from __future__ import annotations

import pytest
from redis.exceptions import ResponseError

from celery_groupfifo.groups.server import _memory
from celery_groupfifo.groups.workers import Workers
from tests.support.shop import Shop
from tests.support.stored import stored
from tests.support.world import TTL_MS

_ASK = Workers.ask


@pytest.fixture(autouse=True)
def fleet(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, object]]:
    """The answers of workers."""
    answers: dict[str, dict[str, object]] = {"groupfifo_leases": {}, "active_queues": {}, "stats": {}}

    class Inspect:
        def __getattr__(self, name: str) -> object:
            return lambda verb=name, **_: answers[verb]

    monkeypatch.setattr(Workers, "ask", lambda self, call, destination=None: dict(call(Inspect())))
    return answers


def test_running(shop: Shop, fleet: dict[str, dict[str, object]]) -> None:
    for id in "abc":
        shop.send("k", id)
    ticket = shop.begin()
    shop.world.tick(12_000)
    runs = [(ticket.fence - 1, 122), (ticket.fence, 123)]  # the earlier one has lost its lease, and goes on
    fleet["groupfifo_leases"] = {"celery@host": [{"task_id": "a", "fence": fence, "pid": pid} for fence, pid in runs]}
    assert shop.groups.explain("k") == (
        f"Group 'k' runs shop.send[a] on celery@host (process 123) since 2027-01-15 08:00:00 UTC (12 s ago) under "
        f"fence {ticket.fence}; the worker's lease has 18 s left and is renewed while it lives. 2 tasks wait behind "
        "it; the next one starts when it ends."
    )


def test_running_on_a_worker_that_does_not_answer(shop: Shop, fleet: dict[str, dict[str, object]]) -> None:
    shop.send("k", "a")
    shop.begin()
    shop.world.tick(12_000)
    assert shop.groups.explain("k").endswith(
        "; the worker's lease has 18 s left and was not renewed for 12 s. The worker does not answer: it is frozen, "
        "killed or cut off from the broker, or its pool is solo. Unless it renews the lease, the next sweep of any "
        "other worker after its end takes the task back. Nothing waits behind it."
    )
    fleet["groupfifo_leases"] = {"celery@host": []}
    said = shop.groups.explain("k")
    assert "was not renewed for 12 s. The worker answers and does not know this run, so it was restarted" in said
    assert "is renewed while it lives. " in shop.groups.explain("k", ask_workers=False)


def test_workers_that_nobody_can_ask(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question could not be sent: that says nothing about the workers."""

    def ask(self: Workers, call: object, destination: object = None) -> dict[str, object]:
        self.error = "OOM command not allowed"
        return {}

    monkeypatch.setattr(Workers, "ask", ask)
    shop.send("k", "a")
    said = shop.groups.explain("k")
    assert "waits for a slot" in said and "; the workers could not be asked: OOM command not allowed. Nothing" in said
    shop.begin()
    said = shop.groups.explain("k")
    assert "renewed while it lives; the worker could not be asked: OOM command not allowed. Nothing waits" in said


def test_running_with_a_lease_that_is_over(shop: Shop) -> None:
    shop.send("k", "a")
    shop.begin()
    shop.world.tick(TTL_MS + 5000)
    said = shop.groups.explain("k")
    assert "the worker's lease ended 5.0 s ago, so it is lost or can't reach Redis: the next sweep" in said
    assert said.endswith("takes the task back. Nothing waits behind it.")


def test_waiting_for_a_slot(shop: Shop, fleet: dict[str, dict[str, object]]) -> None:
    for key in ("x", "y", "k"):
        shop.send(key, key, priority=0)
    shop.send("k", "b")
    shop.app.send_task("plain")
    fleet["active_queues"] = {"celery@one": [{"name": "celery"}], "celery@two": [{"name": "other"}]}
    assert shop.groups.explain("k") == (
        "Group 'k' waits for a slot: its head shop.send[k] was released to queue 'celery' 0.0 s ago, 2 tickets of the "
        "gate before it and 4 messages in the queue; consumed by celery@one. 1 task waits behind it."
    )


def test_waiting_after_a_worker_was_lost(shop: Shop, fleet: dict[str, dict[str, object]]) -> None:
    """Its number is higher than those of others in the queue, and it stands before them."""
    shop.send("k", "k", priority=0)
    shop.begin()
    shop.send("x", "x", priority=0)
    shop.world.idle_sweeps(2 * TTL_MS)
    fleet["active_queues"] = {"celery@one": [{"name": "celery"}]}
    said = shop.groups.explain("k")
    assert "ago, as a rule to the front, because its worker was lost, 2 messages" in said


def test_the_broker_is_full(shop: Shop) -> None:
    def ask(inspect: object) -> object:
        raise ResponseError("# 1 (LLEN x): command not allowed when used memory > 'maxmemory'.")

    workers = Workers(shop.app)
    assert (_ASK(workers, ask), workers.error) == ({}, "the broker's Redis is full")


@pytest.mark.parametrize(
    ("used", "policy", "said"),
    [
        (99, "noeviction", "99 MB are used of 100 MB (maxmemory)."),
        (
            100,
            "noeviction",
            "100 MB are used of 100 MB (maxmemory): the server is full, and refuses what needs memory.",
        ),
        (100, "allkeys-lru", "100 MB are used of 100 MB (maxmemory)."),
    ],
)
def test_a_full_server_is_called_full(used: int, policy: str, said: str) -> None:
    info = {"used_memory": used * 2**20, "maxmemory": 100 * 2**20, "maxmemory_policy": policy}
    assert [check.what for check in _memory(info) if check.name == "memory"] == [said]


def test_waiting_where_a_consumer_knows_no_groups(shop: Shop, fleet: dict[str, dict[str, object]]) -> None:
    shop.send("k", "a")
    fleet["active_queues"] = {name: [{"name": "celery"}] for name in ("celery@one", "plain@two")}
    fleet["stats"] = {"celery@one": {"groupfifo": {}}, "plain@two": {}}
    assert shop.groups.explain("k").endswith(
        "; consumed by celery@one, plain@two. The app of plain@two does not use celery-groupfifo: it takes ordered "
        "tasks from this queue and runs them as plain ones. `doctor` has the remedy. Nothing waits behind it."
    )


def test_waiting_where_nobody_consumes(shop: Shop, fleet: dict[str, dict[str, object]]) -> None:
    shop.send("k", "a", queue="lonely", priority=3)
    assert "stands still: no worker answers, so none is known to consume queue 'lonely', to" in shop.groups.explain("k")
    fleet["active_queues"] = {"celery@one": [{"name": "celery"}]}
    assert shop.groups.explain("k") == (
        "Group 'k' stands still: no worker that answers consumes queue 'lonely', to which its head shop.send[a] was "
        "released 0.0 s ago. Start a worker with -Q lonely, or route the task to a queue that is consumed. Nothing "
        "waits behind it."
    )
    assert "waits for a slot" in shop.groups.explain("k", ask_workers=False)


def test_held_for_a_retry(shop: Shop) -> None:
    shop.send("k", "a")
    ticket = shop.begin()
    shop.send("k", "b")
    text = stored(shop.world.redis.hget(shop.world.keys.entries, "a"))
    shop.world.hold(ticket, 90_000, "k", "celery")
    shop.world.redis.hset(shop.world.keys.entries, "a", text.replace(b'"retries": 0', b'"retries": 3'))
    shop.app.backend.store_result("a", ValueError("no route"), "RETRY")
    said = shop.groups.explain("k")
    assert said.startswith("Group 'k' waits for retry 3 of 5 of shop.send[a], which goes out in 1 min 30 s, at 2027-")
    assert "Its last run ended with ValueError: no route." in said
    assert said.endswith("1 task waits behind it.")
    assert [group.reason for group in shop.groups.list()] == ["waits for retry 3 of its head"]


def test_held_and_due(shop: Shop) -> None:
    shop.send("k", "a")
    ticket = shop.begin()
    shop.world.hold(ticket, 1000, "k", "celery")
    shop.world.tick(5000)
    assert "goes out as soon as any worker sweeps" in shop.groups.explain("k")


def test_paused(shop: Shop) -> None:
    shop.send("k", "a")
    shop.groups.pause("k", "incident 7", by="anna")
    shop.world.tick(3_700_000)
    assert shop.groups.explain("k") == (
        "Group 'k' is paused by anna since 2027-01-15 08:00:00 UTC (1 h 1 min ago), because: incident 7: 1 task waits; "
        "nothing more starts until it is resumed."
    )


def test_paused_while_it_runs(shop: Shop) -> None:
    shop.send("k", "a")
    shop.begin()
    shop.groups.pause("k", by="anna")
    assert "no tasks wait, and a still runs on celery@host; nothing more starts" in shop.groups.explain("k")


def test_draining(shop: Shop) -> None:
    shop.send("k", "a")
    shop.begin()
    shop.groups.drain("k", by="anna")
    said = shop.groups.explain("k")
    assert "is draining by anna since" in said
    assert "it refuses new tasks and ends the 1 it has. It runs shop.send[a]" in said


def test_nothing_but_an_eta(shop: Shop) -> None:
    shop.send("k", "a", countdown=3600)
    assert shop.groups.explain("k").startswith(
        "Group 'k' has nothing in line: 1 task with an ETA joins it when due, the next one, a, in 59 min"
    )


def test_in_line_and_nothing_under_way(shop: Shop) -> None:
    shop.groups.pause("k")
    shop.send("k", "a")
    shop.world.redis.hset(shop.world.keys.groups, "k", "- 0 0")
    assert "has 1 task in line and none under way: the next sweep" in shop.groups.explain("k")


def test_empty(shop: Shop) -> None:
    assert shop.groups.explain("never") == (
        "Group 'never' is empty: no task of it is parked or under way. It was never used, or all of its tasks have "
        "ended; the next one that is sent starts at once."
    )
