"""Tasks with several keys as operators see them: sentences, lists, verify, and what they can't do with them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from celery_groupfifo import GroupFifoError, Groups, WrongState
from celery_groupfifo.groups import verify
from tests.support.shop import Shop
from tests.support.world import World


def test_explain_says_what_it_waits_for(shop: Shop) -> None:
    shop.send("a", "first", group_key="acct:9")
    shop.send("a", "second", group_key="acct:9")
    shop.send("a", "t", group_key=["acct:1", "acct:9"])
    said = shop.groups.explain("acct:1")
    assert "holds its head shop.send[t]: it waits until it is also the first in 'acct:9', where 2 tasks are" in said
    assert shop.groups.get("acct:1").reason == "waits for the other groups of its head"
    shop.groups.purge("acct:9")
    shop.send("a", "t", group_key=["acct:1", "acct:9"])
    said = shop.groups.explain("acct:9")
    assert "waits for its head shop.send[t], which belongs to group 'acct:1', too, and waits for a slot" in said
    shop.world.redis.lrange("celery", 0, -1)
    while shop.world.redis.llen("celery") > 1:
        shop.world.redis.rpop("celery")
    ticket = shop.begin()
    assert re.search(r"and runs there on celery@host under fence \d{16}", shop.groups.explain("acct:9"))
    shop.world.fail(ticket, "acct:1", owner="celery@host/0a1b2c3d")
    assert "has failed, and blocks it" in shop.groups.explain("acct:9")


def test_lists_show_the_task_in_each_of_its_groups(shop: Shop) -> None:
    for key in ("acct:1", "acct:9"):
        shop.send("a", f"head of {key}", group_key=key)
    shop.send("a", "t", group_key=["acct:1", "acct:9"])
    for key in ("acct:1", "acct:9"):
        (task,) = shop.groups.tasks(key)
        assert (task.task_id, task.task, task.args) == ("t", "shop.send", "('a', 7)")
    found = shop.groups.find("t")
    assert found is not None and (found.key, found.state) == ("acct:1", "parked")
    stats = shop.groups.stats()
    assert (stats.depth, stats.parked, stats.totals.tasks_parked) == (3, 1, 3)


def test_a_revoke_is_told_once(shop: Shop) -> None:
    shop.send("a", "head", group_key="acct:9")
    shop.send("a", "t", group_key=["acct:1", "acct:9"])
    assert shop.groups.purge("acct:9") == 2
    assert shop.state("t") == "REVOKED" and shop.groups.stats().totals.tasks_revoked == 2


def test_its_dead_letter_is_not_redriven(shop: Shop) -> None:
    shop.send("a", "t", group_key=["acct:1", "acct:9"])
    shop.groups.drop("acct:9", expected="t")
    with pytest.raises(GroupFifoError, match="has several group keys"):
        shop.groups.redrive("t")
    assert shop.groups.discard("t") == 1


def test_it_is_not_moved(shop: Shop) -> None:
    for key in ("acct:1", "acct:9"):
        shop.send("a", f"head of {key}", group_key=key)
    shop.send("a", "t", group_key=["acct:1", "acct:9"])
    for key in ("acct:1", "acct:9"):
        with pytest.raises(WrongState, match=r"Task t .* has a place in other groups, too, so it can't be moved"):
            shop.groups.move(key, "other")


def test_retry_does_not_hurry_it(shop: Shop) -> None:
    shop.send("a", "head", group_key="acct:9")
    shop.send("a", "t", group_key=["acct:1", "acct:9"])
    with pytest.raises(WrongState, match="holds no head"):
        shop.groups.retry("acct:1")


def without_its_task(world: World) -> None:
    world.redis.hdel(world.keys.entries, "t")


def without_a_word(world: World) -> None:
    world.redis.hdel(world.keys.begins, "k t")
    world.redis.hdel(world.keys.entries, "t")


def without_a_place(world: World) -> None:
    world.redis.hdel(world.keys.entries, "t;k1")
    world.redis.lrem(world.keys.line("B"), 0, world.redis.lindex(world.keys.line("B"), 0))  # type: ignore[arg-type]


def without_a_call(world: World) -> None:
    world.redis.zrem(world.keys.due, "h A t")


@pytest.mark.parametrize(
    ("breaks", "names"),
    [
        (without_its_task, {"elsewhere", "message"}),
        (without_a_word, {"stand_in", "message"}),
        (without_a_place, {"waits"}),
        (without_a_call, {"waits"}),
    ],
)
def test_verify_names_and_mends_what_is_broken(
    world: World, monkeypatch: pytest.MonkeyPatch, breaks: Callable[[World], None], names: set[str]
) -> None:
    monkeypatch.setattr(verify, "PAUSE", 0)
    groups = Groups(world.app, world.gate)
    before = world.run("b", "B")
    world.park("t", "A", others=["B"])
    world.park("b2", "B")
    if breaks is not without_a_place:
        world.finish(before, "B")
    assert groups.verify() == []
    breaks(world)
    assert {breach.name for breach in groups.verify(repair=True)} == names
    for _ in range(4):
        world.sweep(world.lists("q"))
    assert groups.verify() == []
    if "waits" in names:
        assert world.queued() == ["t"]
    else:
        assert world.queued() == ["b2"], "the group goes on"


def skips_a_task_before_it(groups: Groups, world: World) -> None:
    groups.skip("B", expected="b")


def drops_a_task_before_it(groups: Groups, world: World) -> None:
    groups.drop("B", expected="b")


def purges_a_group_before_it(groups: Groups, world: World) -> None:
    world.park("u", "B", others=["C"])  # behind t in B, and the head of C
    world.park("c", "C")
    assert world.waiting("C") == ["c"]
    groups.purge("B")


def revokes_it(groups: Groups, world: World) -> None:
    world.park("a", "A")
    groups.revoke("t")


def resumes_one_of_its_groups(groups: Groups, world: World) -> None:
    groups.pause("B")
    groups.skip("B", expected="b")
    assert not world.redis.delete(world.keys.wake), "it waits for the end of the pause"
    groups.resume("B")


@pytest.mark.parametrize(
    ("act", "goes_out"),
    [
        (skips_a_task_before_it, "t"),
        (drops_a_task_before_it, "t"),
        (purges_a_group_before_it, "c"),
        (revokes_it, "a"),
        (resumes_one_of_its_groups, "t"),
    ],
)
def test_an_action_wakes_a_worker_for_the_other_groups(
    world: World, act: Callable[[Groups, World], None], goes_out: str
) -> None:
    """Else they would go on with the next sweep only, up to an interval later."""
    world.park("b", "B")
    world.pop()
    world.park("t", "A", others=["B"])
    world.redis.delete(world.keys.wake)
    act(Groups(world.app, world.gate), world)
    assert world.redis.delete(world.keys.wake), "the bell"
    for _ in range(2):  # as the worker that it wakes: its first sweep says that more is due now
        world.sweep(world.lists("q"))
    assert world.queued()[-1:] == [goes_out]
