"""list, get, tasks, find, stats: what they say is what is there, and pages cost pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from celery import Celery

from celery_groupfifo import Groups, UnknownGroup
from celery_groupfifo.errors import GateUnavailable, GroupFifoError, InvalidOption
from celery_groupfifo.flower.index import read_index
from celery_groupfifo.gate.counts import TOTALS
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.groups import reader as reading
from celery_groupfifo.groups import verify
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.stats import Stats, Totals
from celery_groupfifo.groups.view import Found, Sort, State, plain
from tests.support.shop import Shop
from tests.support.stored import stored
from tests.support.world import TTL_MS, World


def fill(world: World) -> None:
    """A group in each state; depths are 1 to 6."""
    for n, state in enumerate(["waiting", "running", "held", "paused", "draining", "scheduled"], 1):
        world.tick(1000)
        if state == "running":
            world.run(f"{state}0", state, "q2")
        elif state == "held":
            ticket = world.run(f"{state}0", state, "q3")
            world.hold(ticket, 60_000, state)
        else:
            world.park(f"{state}0", state, delay=90_000 if state == "scheduled" else 0)
        for m in range(1, n):
            world.park(f"{state}{m}", state, delay=90_000 if state == "scheduled" else 0)
    groups = Groups(world.app, world.gate)
    groups.pause("paused", "why not", by="anna")
    groups.drain("draining")


def test_states(world: World, groups: Groups) -> None:
    fill(world)
    found = groups.list()
    assert [(group.key, group.depth) for group in found] == [
        ("scheduled", 6),
        ("draining", 5),
        ("paused", 4),
        ("held", 3),
        ("running", 2),
        ("waiting", 1),
    ]
    states = {group.key: group.state for group in found}
    assert states.pop("scheduled") == "held"
    assert all(key == state for key, state in states.items())
    heads = {group.key: group.head for group in found}
    assert heads.pop("scheduled") is None
    assert all(head == f"{key}0" for key, head in heads.items())
    assert found.cursor is None


@pytest.mark.parametrize("sort", ["depth", "age", "key"])
@pytest.mark.parametrize("state", ["waiting", "running", "held", "paused", "draining", "blocked"])
def test_only_one_state(world: World, groups: Groups, state: State, sort: Sort) -> None:
    fill(world)
    expected = {"held": {"held", "scheduled"}, "blocked": set()}.get(state, {state})
    assert {group.key for group in groups.list(state=state, sort=sort)} == expected


@pytest.mark.parametrize("sort", ["depth", "age", "key"])
def test_an_empty_gate(world: World, groups: Groups, sort: Sort) -> None:
    page = groups.list(sort=sort)
    assert page == [] and page.cursor is None
    assert read_index(Reader(world.gate)).rows == []
    world.finish(world.run("a"))
    assert groups.list(sort=sort) == [] and groups.verify() == []


def test_by_age_the_longest_waiting_first(world: World, groups: Groups) -> None:
    fill(world)
    world.tick(10_000)
    found = groups.list(sort="age")
    assert [group.key for group in found if group.head] == ["waiting", "running", "held", "paused", "draining"]
    ages = {group.key: group.oldest_age for group in found}
    assert (ages["waiting"], ages["draining"], ages["scheduled"]) == (15, 11, None)


def test_a_head_that_nobody_begins_waits_longer_than_what_is_behind_it(shop: Shop) -> None:
    shop.send("eta", "e", countdown=3600)
    for key in ("stuck", "runs"):
        shop.send(key, f"{key}-1")
    shop.world.receive("celery")  # lost
    shop.begin()
    shop.world.tick(20_000)
    for key in ("stuck", "runs"):
        shop.send(key, f"{key}-2")
    shop.world.tick(998)
    ages = {group.key: group.oldest_age for group in shop.groups.list(sort="age")}
    assert list(ages) == ["stuck", "runs", "eta"], "what waits for its ETA has no age"
    assert (ages["stuck"], ages["runs"], ages["eta"]) == (21.001, 0.998, None)
    index = read_index(Reader(shop.world.gate))
    assert index.oldest == ages["stuck"] == shop.groups.get("stuck").oldest_age


@pytest.mark.parametrize("sort", ["depth", "age", "key"])
def test_pages_together_are_the_whole(world: World, groups: Groups, sort: Sort) -> None:
    for n in range(250):
        world.park(f"t{n}", f"g{n:03}")
    seen, cursor, pages = [], None, 0
    while True:
        page = groups.list(sort=sort, limit=40, cursor=cursor)
        seen += [group.key for group in page]
        pages += 1
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(seen) == [f"g{n:03}" for n in range(250)]
    assert pages <= 8


def test_a_page_of_one_state_ends_where_the_next_begins(world: World, groups: Groups) -> None:
    for n in range(60):
        world.park(f"t{n}", f"g{n}")
        if n % 3 == 0:
            groups.drain(f"g{n}")
    seen, cursor = [], None
    for _ in range(10):
        page = groups.list(state="draining", limit=7, cursor=cursor)
        seen += [group.key for group in page]
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted(f"g{n}" for n in range(0, 60, 3))


@pytest.fixture
def between_pages(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], object]], None]:
    """Pages of ten; something is done once, after the first page of a key."""
    monkeypatch.setattr(reading, "AT_ONCE", 10)
    one = Reader.one

    def do_after_first(wanted: str, do: Callable[[], object]) -> None:
        pending = [do]

        def watched(self: Reader, command: str, *args: Any, **options: Any) -> Any:
            reply = one(self, command, *args, **options)
            if args[:1] == (wanted,) and pending:
                pending.pop()()
            return reply

        monkeypatch.setattr(Reader, "one", watched)

    return do_after_first


@pytest.mark.parametrize("renewed", [10, 25])
def test_a_renewal_between_two_pages_hides_no_run(
    world: World, between_pages: Callable[[str, Callable[[], object]], None], renewed: int
) -> None:
    """Timeline: the leases that end first are read, their worker renews them all, and the next page is read."""
    tickets = []
    for n in range(25):
        world.tick(1)
        tickets.append(world.run(f"t{n}", f"g{n}"))
    between_pages(world.keys.due, lambda: world.gate.renew(quote("w1"), tickets[:renewed]))
    index = read_index(Reader(world.gate))
    assert index.running == 25 and all(len(row.running) == 1 for row in index.rows)


def test_many_leases_that_end_in_the_same_moment(
    world: World, between_pages: Callable[[str, Callable[[], object]], None]
) -> None:
    world.run("first", "first")
    world.tick(1)
    for n in range(45):
        world.run(f"t{n}", f"g{n}")
    between_pages(world.keys.due, lambda: None)
    assert read_index(Reader(world.gate)).running == 46


@pytest.mark.parametrize("again", [False, True], ids=["resumed", "paused again"])
def test_a_change_between_two_pages_hides_no_paused_group(
    world: World, groups: Groups, between_pages: Callable[[str, Callable[[], object]], None], again: bool
) -> None:
    def change() -> None:
        world.tick(1)
        for n in range(5):
            groups.pause(f"g{n:02}") if again else groups.resume(f"g{n:02}")

    for n in range(25):
        world.tick(1)
        groups.pause(f"g{n:02}")
    left = [f"g{n:02}" for n in range(0 if again else 5, 25)]
    between_pages(world.keys.paused, change)
    assert [group.key for group in groups.list(state="paused", sort="key")] == left
    for n in range(25):
        groups.pause(f"g{n:02}")
    between_pages(world.keys.paused, change)
    assert {row.key for row in read_index(Reader(world.gate)).rows} >= set(left)


@pytest.mark.parametrize("place", [2, 3, 6, 7, 4], ids=["release", "fence", "lost", "since", "due"])
def test_a_record_that_can_not_be_read_hides_nothing_else(
    world: World, groups: Groups, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """Timeline: somebody writes into the gate's hash, and operators look what is wrong."""
    monkeypatch.setattr(verify, "PAUSE", 0)
    for key in ("bad", "good"):
        world.run(f"{key}1", key)
        world.park(f"{key}2", key)
    state, record = stored(world.redis.hget(world.keys.groups, "bad")).split(b"\n")
    words = record.split(b" ")
    words[place] = b"x"
    world.redis.hset(world.keys.groups, "bad", state + b"\n" + b" ".join(words))
    index = read_index(Reader(world.gate))
    assert [row.key for row in index.rows] == ["bad", "good"] and index.running == 1
    assert sorted(group.key for group in groups.list()) == ["bad", "good"]
    assert groups.find("bad1") is not None and found(groups, "good1").state == "running"
    assert "bad1" in {breach.task_id for breach in groups.verify()}


@pytest.mark.parametrize("wrong", [{"state": "x"}, {"sort": "x"}, {"limit": 0}, {"limit": True}, {"cursor": "x"}])
def test_what_does_not_work_is_named(groups: Groups, wrong: dict[str, object]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(InvalidOption, match=f"{name}={value!r} does not work"):
        groups.list(**wrong)  # type: ignore[arg-type]


def test_get(shop: Shop) -> None:
    shop.send("k", "a")
    shop.send("k", "b")
    shop.begin()
    shop.world.tick(10_000)
    group = shop.groups.get("k")
    assert (group.state, group.depth, group.head, group.oldest_age) == ("running", 2, "a", 10)
    (run,) = group.running
    assert (run.task_id, run.task, run.worker) == ("a", "shop.send", "celery@host")
    assert run.lease_left == (TTL_MS - 10_000) / 1000
    assert plain(group)["running"][0]["since"] == run.since.isoformat()
    with pytest.raises(UnknownGroup, match="Group 'other' holds no task"):
        shop.groups.get("other")


def test_tasks_in_order_without_the_revoked(shop: Shop) -> None:
    for n in range(250):
        shop.send("k", f"t{n}")
    shop.groups.revoke("t3")
    tasks = shop.groups.tasks("k", limit=3)
    assert [(task.task_id, task.place) for task in tasks] == [("t1", 0), ("t2", 1), ("t4", 3)]
    assert (tasks[0].task, tasks[0].args, tasks[0].kwargs) == ("shop.send", "('k', 7)", "{}")
    assert [task.task_id for task in shop.groups.tasks("k", limit=2, offset=tasks[-1].place + 1)] == ["t5", "t6"]
    assert len(shop.groups.tasks("k", limit=1000)) == 248
    assert shop.groups.tasks("k", offset=1000) == []


def found(groups: Groups, id: str) -> Found:
    """Return what `find` says of a task that is there."""
    there = groups.find(id)
    assert there is not None, id
    return there


def test_find(shop: Shop) -> None:
    for id in "abc":
        shop.send("k", id)
    shop.send("k", "later", countdown=60)
    shop.send("held", "h")
    begun = shop.begin()
    held = shop.begin()
    shop.world.hold(held, 60_000, "held", "celery")
    assert shop.groups.find("never") is None
    states = {id: found(shop.groups, id) for id in ("a", "b", "c", "later", "h")}
    assert {id: each.state for id, each in states.items()} == {
        "a": "running",
        "b": "parked",
        "c": "parked",
        "later": "scheduled",
        "h": "held",
    }
    assert states["c"].place == 1 and states["c"].key == "k" and states["c"].task == "shop.send"
    running, held_until, later = states["a"].running, states["h"].due, states["later"].due
    assert running and held_until and later
    assert running.fence == begun.fence
    assert held_until.timestamp() * 1000 == shop.world.now + 60_000
    assert 59 < later.timestamp() - shop.world.now / 1000 <= 60


def test_stats(shop: Shop) -> None:
    for n in range(3):
        shop.send("k", f"t{n}")
    shop.send("k", "later", countdown=60)
    shop.send("other", "o")
    shop.groups.pause("other")
    shop.begin()
    stats = shop.groups.stats()
    assert stats == Stats(
        groups=2,
        paused_groups=1,
        blocked_groups=0,
        depth=5,
        parked=3,
        scheduled=1,
        waiting=0,
        running=1,
        held=1,
        dead_letters=0,
        totals=Totals(tasks_parked=5),
    )


def test_each_total_of_the_scripts_has_a_name() -> None:
    assert [each.name for each in fields(Totals)] == list(TOTALS)


def test_a_foreign_key_is_an_error_of_ours(world: World, groups: Groups) -> None:
    world.redis.set(world.keys.groups, "foreign")
    for call in (groups.get, groups.pause, groups.resume):
        with pytest.raises(GroupFifoError, match=r"another type.*groupfifo_namespace"):
            call("g")


def test_redis_away_is_an_error_of_ours() -> None:
    groups = Groups(Celery("nowhere", broker="redis://127.0.0.1:1/0", set_as_current=False))
    for call in (groups.get, groups.pause, groups.tasks, groups.find, groups.explain, groups.purge, groups.revoke):
        with pytest.raises(GateUnavailable, match=r"redis://127.0.0.1:1/0 can't be used right now"):
            call("h")
    for simple in (groups.list, groups.stats, groups.dead_letters, groups.verify, groups.actions, groups.doctor):
        with pytest.raises(GateUnavailable):
            simple()


def test_pages_of_a_hundred_thousand_groups(world: World, groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made by hand, as parking them would take long. A page by key costs a page; else all groups are looked at."""
    monkeypatch.setattr(groups._reader, "_pace", None)  # so many looks in a row would wait
    keys, pipe = world.keys, world.redis.pipeline(transaction=False)
    for n in range(100_000):
        us = (world.now - n) * 1000
        pipe.hset(keys.groups, f"g{n}", f"- {n % 50} 0")
        pipe.rpush(keys.line(quote(f"g{n}")), f"{us} t{n}")
        if n % 20_000 == 0:
            pipe.execute()
    pipe.hset(keys.entries, mapping={f"t{n}": "x" for n in range(100_000)})
    pipe.execute()

    def commands(**how: str) -> int:
        before = int(world.redis.info("stats")["total_commands_processed"])
        groups.list(**how)  # type: ignore[arg-type]
        return int(world.redis.info("stats")["total_commands_processed"]) - before

    pages = {word: commands(sort=word) for word in ("depth", "key", "age")}
    pages |= {"rare": commands(state="running"), "late": commands(cursor="90000")}
    assert pages.pop("key") < 3000
    assert all(100_000 < number < 120_000 for number in pages.values()), "a short command for each"
    assert groups.list(sort="age", limit=1)[0].key == "g99999"
    assert groups.list(limit=1)[0].depth == 50


def test_places_of_revoked_tasks_cost_a_round_trip_per_hundred(world: World, groups: Groups) -> None:
    groups.pause("g")
    pipe = world.redis.pipeline()
    for n in range(5000):
        pipe.rpush(world.keys.line(quote("g")), f"{world.now * 1000} gone{n}")
    pipe.execute()
    world.park("a")
    before = int(world.redis.info("stats")["total_commands_processed"])
    assert groups.get("g").head == "a"
    assert int(world.redis.info("stats")["total_commands_processed"]) - before < 150
    assert [task.task_id for task in groups.tasks("g", limit=1)] == ["a"]
