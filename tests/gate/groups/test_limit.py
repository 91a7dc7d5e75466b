"""limit: an operator changes how fast a group goes, for a time or until it is taken back."""

from __future__ import annotations

from typing import Any

import pytest

from celery_groupfifo import InvalidOption, UnknownGroup
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.groups.workers import Workers
from tests.support.shop import Shop

SECOND = 1001
"""A run may have begun at any time within its millisecond."""


@pytest.fixture(autouse=True)
def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workers, "ask", lambda self, call, destination=None: {})


def send_all(shop: Shop, ids: str, **options: Any) -> None:
    for id in ids:
        shop.send("k", id, **options)


def begin_all(shop: Shop) -> list[Ticket]:
    tickets = []
    while shop.world.queued("celery"):
        ticket = shop.world.begin(shop.world.receive("celery"))
        if ticket is not None:  # else it was released before a pause
            tickets.append(ticket)
            shop.world.invite(ticket, "celery")
    return tickets


def test_it_counts_at_the_next_start(shop: Shop) -> None:
    send_all(shop, "abc")
    ticket = shop.begin()  # it counts, too
    assert shop.groups.limit("k", rate="2/s", reason="their API", by="anna")
    shop.world.finish(ticket, "k")
    shop.world.finish(shop.begin(), "k")
    group = shop.groups.get("k")
    assert group.state == "held" and group.head == "c" and shop.world.queued("celery") == []
    assert group.limit is not None
    assert (group.limit.rate, group.limit.concurrency, group.limit.until) == ("2/s", None, None)
    assert (group.limit.by, group.limit.reason, str(group.limit)) == ("anna", "their API", "2/s")
    shop.world.tick(SECOND)
    shop.world.sweep()
    assert shop.world.queued("celery") == ["c"]


def test_it_comes_before_what_the_tasks_say(shop: Shop) -> None:
    send_all(shop, "abc", group_rate="1/h", group_concurrency=1)
    shop.world.finish(shop.begin(), "k")
    assert shop.groups.get("k").state == "held"
    shop.groups.limit("k", rate="1000/s")
    assert shop.world.queued("celery") == ["b"], "what was held back goes on at once"
    shop.groups.limit("k", concurrency=2)
    shop.world.finish(shop.begin(), "k")
    assert shop.groups.get("k").state == "held", "their own rate counts again"


def test_more_at_once(shop: Shop) -> None:
    send_all(shop, "abcd")
    first = shop.begin()
    shop.groups.limit("k", concurrency=3)
    shop.world.finish(first, "k")
    assert [ticket.id for ticket in begin_all(shop)] == ["b", "c", "d"]
    assert len(shop.groups.get("k").running) == 3 and shop.groups.verify() == []


def test_fewer_at_once(shop: Shop) -> None:
    send_all(shop, "abcdef", group_concurrency=3)
    a, b, c = begin_all(shop)
    shop.groups.limit("k", concurrency=1)
    shop.world.finish(a, "k"), shop.world.finish(b, "k")
    assert shop.world.queued("celery") == [] and shop.groups.verify() == []
    shop.world.finish(c, "k")
    assert [ticket.id for ticket in begin_all(shop)] == ["d"]


def test_starts_that_were_counted_before_count_for_it(shop: Shop) -> None:
    """Also those of a group that was empty meanwhile."""
    send_all(shop, "a", group_rate="1/h")
    shop.world.finish(shop.begin(), "k")
    assert shop.groups.limit("k", rate="1/m")
    send_all(shop, "b")
    assert shop.groups.get("k").state == "held" and shop.world.queued("celery") == []


@pytest.mark.parametrize("expires", [False, True])
def test_it_ends(shop: Shop, expires: bool) -> None:
    send_all(shop, "ab")
    shop.groups.limit("k", rate="1/h", expires_in=60 if expires else None)
    shop.world.finish(shop.begin(), "k")
    until = shop.groups.get("k").limit
    assert until is not None and (until.until is not None) == expires
    if expires:
        shop.world.tick(59_000)
        shop.world.sweep(shop.world.lists("celery"))
        assert shop.world.queued("celery") == []
        shop.world.tick(2000)
        shop.world.sweep(shop.world.lists("celery"))
    else:
        assert shop.groups.limit("k")
    assert shop.world.queued("celery") == ["b"] and shop.groups.get("k").limit is None
    assert not shop.groups.limit("k"), "there is none any more"
    assert shop.groups.verify() == []


def test_a_new_one_replaces_the_time_of_the_one_before(shop: Shop) -> None:
    shop.groups.limit("k", rate="1/s", expires_in=10)
    shop.groups.limit("k", rate="2/s")
    shop.world.tick(20_000)
    shop.world.sweep()
    limit = shop.groups.get("k").limit
    assert limit is not None and limit.rate == "2/s" and limit.until is None


def test_a_group_without_tasks(shop: Shop) -> None:
    shop.groups.limit("k", rate="1/h")
    assert shop.groups.get("k").depth == 0 and shop.groups.verify() == []
    assert list(shop.groups.list()) == [] and shop.groups.stats().groups == 0
    assert shop.groups.explain("k").startswith("Group 'k' is empty: the next task that is sent starts at once. It is ")
    send_all(shop, "ab")
    shop.world.finish(shop.begin(), "k")
    assert shop.groups.get("k").state == "held"
    shop.groups.purge("k")
    assert shop.groups.get("k").limit is not None, "it outlives the group's tasks"
    shop.groups.limit("k")
    with pytest.raises(UnknownGroup):
        shop.groups.get("k")


def test_a_paused_group_and_a_drained_one(shop: Shop) -> None:
    send_all(shop, "ab")
    shop.groups.limit("k", concurrency=2)
    shop.groups.pause("k")
    shop.groups.limit("k", concurrency=3)
    shop.groups.limit("k")
    assert shop.groups.get("k").state == "paused"
    shop.groups.resume("k")
    shop.groups.limit("k", concurrency=2)
    shop.groups.drain("k")
    for ticket in begin_all(shop):
        shop.world.finish(ticket, "k")
    for ticket in begin_all(shop):
        shop.world.finish(ticket, "k")
    assert shop.groups.get("k").depth == 0
    send_all(shop, "c")  # it drains no more


@pytest.mark.parametrize("set_by", ["task", "operator"])
def test_explain_tells_the_rate(shop: Shop, set_by: str) -> None:
    send_all(shop, "ab", **({"group_rate": "1/h"} if set_by == "task" else {}))
    if set_by == "operator":
        shop.groups.limit("k", rate="1/h", expires_in=7200, reason="slow", by="anna")
    shop.world.finish(shop.begin(), "k")
    assert shop.groups.get("k").reason == "its rate of 1/h is used up"
    said = shop.groups.explain("k")
    assert said.startswith(
        "Group 'k' holds its head shop.send[b] back, as its rate of 1/h is used up: it goes out in 1 h 0 min, at "
    )
    more = " It is limited to 1/h by anna 0.0 s ago, until 2027-01-15 10:00:00 UTC, because: slow."
    assert said.endswith(more) == (set_by == "operator")


def test_the_audit_has_it(shop: Shop) -> None:
    shop.groups.limit("k", rate="1/h", concurrency=2, reason="slow", by="anna")
    shop.groups.limit("k", by="bert")
    last, first = shop.groups.actions()
    assert (first.what, first.key, first.by, first.reason) == ("limit", "k", "anna", "slow")
    assert (last.what, last.by) == ("limit", "bert")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"rate": "fast"}, "rate='fast' does not work: set it to 'starts/unit' or"),
        ({"rate": 5}, "rate=5 does not work"),
        ({"concurrency": 0}, "concurrency=0 does not work: set it to a whole number from 1 on"),
        ({"concurrency": "2"}, "concurrency='2' does not work"),
        ({"rate": "1/s", "expires_in": 0}, "expires_in=0 does not work: set it to a number from 0.1 on"),
        ({"rate": "1/s", "expires_in": "1h"}, "expires_in='1h' does not work"),
    ],
)
def test_wrong_values_are_quoted(shop: Shop, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        shop.groups.limit("k", **arguments)
    assert said in str(caught.value)
    assert shop.groups.actions() == []


def test_the_counts_of_held_heads(shop: Shop) -> None:
    """Each is counted once, also in a group that an operator has limited."""
    for key in ("k", "m"):
        for id in "ab":
            shop.send(key, key + id, group_rate="1/h")
        shop.world.finish(shop.begin(), key)
    shop.groups.limit("k", rate="2/h")
    shop.world.finish(shop.begin(), "k")
    shop.send("k", "kc")
    stats = shop.groups.stats()
    assert (stats.held, stats.parked, stats.depth, stats.groups) == (2, 0, 2, 2)
