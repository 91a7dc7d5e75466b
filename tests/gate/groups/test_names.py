"""Two entries of one task: the one that runs, and one with another key that goes on under its id. All show the id."""

from __future__ import annotations

import re

import pytest

from celery_groupfifo.errors import HeadChanged
from tests.support.shop import Shop


def replaced(shop: Shop, **options: object) -> None:
    """Task a runs in group A, and has given its id to a task of group B."""
    shop.send("A", "a")
    shop.begin()
    shop.send("B", "a", replaced_task_nesting=1, **options)


def in_line(shop: Shop) -> None:
    """It stands in line there, behind b."""
    shop.send("A", "a")
    shop.begin()
    shop.send("B", "b")
    shop.send("B", "a", replaced_task_nesting=1)


def test_the_head_and_what_runs(shop: Shop) -> None:
    replaced(shop)
    assert (shop.groups.get("B").head, shop.groups.get("B").state) == ("a", "waiting")
    assert "its head shop.send[a] was released" in shop.groups.explain("B", ask_workers=False)
    assert shop.begin().entry == "a;r"
    run = shop.groups.get("B").running[0]
    assert (run.task_id, run.task) == ("a", "shop.send")
    assert "runs shop.send[a] on celery@host" in shop.groups.explain("B", ask_workers=False)
    assert [group.head for group in shop.groups.list()] == ["a", "a"]


def test_what_is_in_line(shop: Shop) -> None:
    in_line(shop)
    assert [task.task_id for task in shop.groups.tasks("B")] == ["a"]
    assert shop.groups.verify() == []


def test_find_shows_the_run_while_it_lasts(shop: Shop) -> None:
    shop.send("B", "b")
    shop.send("A", "a")
    shop.begin()
    original = shop.begin()
    shop.send("B", "a", replaced_task_nesting=1)
    found = shop.groups.find("a")
    assert found and (found.task_id, found.key, found.state) == ("a", "A", "running")
    shop.world.finish(original, "A", "celery@host/0a1b2c3d")
    found = shop.groups.find("a")
    assert found and (found.task_id, found.key, found.state, found.place) == ("a", "B", "parked", 0)


def test_a_scheduled_one(shop: Shop) -> None:
    replaced(shop, countdown=90 * 60)
    said = shop.groups.explain("B", ask_workers=False)
    assert re.search(r"with an ETA joins it when due, the next one, a, in 1 h (30|29) min", said)
    assert shop.groups.purge("B") == 1
    assert shop.groups.get("A").running[0].task_id == "a"


def test_purge_of_a_group_leaves_the_tasks_entry_in_another_one(shop: Shop) -> None:
    shop.send("A", "a")
    ticket = shop.begin()
    shop.send("B", "a", replaced_task_nesting=1, countdown=60)
    shop.world.gate.surrender([(ticket, False)])
    assert shop.groups.purge("B") == 1
    assert shop.groups.get("A").head == "a"


def test_skip_of_the_head_by_its_id(shop: Shop) -> None:
    replaced(shop)
    with pytest.raises(HeadChanged, match="The head of group 'B' is a, not c"):
        shop.groups.skip("B", expected="c")
    shop.groups.skip("B", expected="a")
    assert shop.state("a") == "REVOKED"
    assert shop.groups.get("A").running[0].task_id == "a"
    assert shop.groups.verify() == []


def test_skip_of_the_first_in_line_of_a_paused_group(shop: Shop) -> None:
    shop.send("A", "a")
    shop.begin()
    shop.groups.pause("B")
    shop.send("B", "a", replaced_task_nesting=1)
    shop.groups.skip("B", expected="a")
    assert shop.groups.get("B").depth == 0


def test_drop_and_redrive(shop: Shop) -> None:
    replaced(shop)
    shop.groups.drop("B", expected="a")
    assert [(letter.id, letter.key) for letter in shop.groups.dead_letters()] == [("a", "B")]
    assert shop.groups.redrive("a") == "B"
    shop.world.receive("celery")  # the stale one
    assert shop.begin().entry == "a;r"


def test_revoke_takes_out_what_waits(shop: Shop) -> None:
    in_line(shop)
    shop.world.redis.delete("celery")
    assert shop.groups.revoke("a")
    assert shop.groups.tasks("B") == []
    assert shop.groups.get("B").depth == 1
    assert [action.key for action in shop.groups.actions()] == ["B"], "not where it runs"


def test_what_is_cancelled_or_purged_is_told_by_its_id(shop: Shop) -> None:
    in_line(shop)
    assert shop.groups.purge("B") == 2
    assert (shop.state("a"), shop.state("b")) == ("REVOKED", "REVOKED")


def test_a_breach_names_the_task(shop: Shop) -> None:
    replaced(shop)
    shop.world.redis.delete(shop.world.keys.on_the_way)
    [breach] = shop.groups.verify(repair=True)
    assert (breach.name, breach.key, breach.task_id) == ("ticket", "B", "a")
    assert shop.groups.verify() == []


def test_a_block_by_it(shop: Shop) -> None:
    replaced(shop)
    shop.world.fail(shop.begin(), "B", owner="celery@host/0a1b2c3d")
    assert "is blocked by the failure of shop.send[a]" in shop.groups.explain("B", ask_workers=False)
    assert shop.groups.get("B").head == "a"
    shop.groups.retry("B")
    assert shop.begin().entry == "a;r"
