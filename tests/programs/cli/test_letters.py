"""The commands about dead letters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from celery_groupfifo.gate.model import Failure
from tests.programs.cli.conftest import Run
from tests.support.shop import Shop

RunJson = Callable[..., Any]


@pytest.fixture
def letters(shop: Shop) -> Shop:
    """Three letters: two of k, one of other."""
    for id, key in (("a", "k"), ("b", "k"), ("c", "other")):
        shop.send(key, id)
        failure = Failure("dead_letter", "shop.send", "ValueError: boom", "w1@host", '  File "send.py"\n    boom()')
        shop.world.gate.finish(shop.world.finishing(shop.begin(), key, failure=failure))
        shop.world.tick(60_000)
    return shop


def dead(shop: Shop) -> list[str]:
    return [letter.id for letter in shop.groups.dead_letters()]


def test_they_are_listed_by_the_page_and_by_a_selection(letters: Shop, run: Run, run_json: RunJson) -> None:
    head, first, *_ = run("dead-letters").stdout.splitlines()
    assert head.split() == ["ID", "KEY", "TASK", "ARGS", "WHEN", "WHY"]
    assert first.startswith("c") and first.endswith("UTC  ValueError: boom")
    more = run("dead-letters", "--limit", "2").stderr
    assert more.startswith("More: --cursor ")
    page = run_json("dead-letters", "--cursor", more.split()[-1])
    assert [letter["id"] for letter in page["dead_letters"]] == ["a"] and page["cursor"] is None
    (one,) = run_json("dead-letters", "other")["dead_letters"]
    assert (one["cause"], one["traceback"]) == ("failed", '  File "send.py"\n    boom()')
    assert [each["id"] for each in run_json("dead-letters", "--older-than", "2m")["dead_letters"]] == ["b", "a"]
    assert run("dead-letters", "--task", "none").stderr == "There are no such dead letters.\n"


def test_find_tells_the_reason_and_the_ways_out(letters: Shop, run: Run, run_json: RunJson) -> None:
    said = run("find", "a").stdout
    assert said.startswith("Task shop.send[a] of group 'k' is a dead letter since 2027-01-15 ")
    assert "UTC: ValueError: boom. `redrive a` parks it again, `discard a` removes it.\n" in said
    assert said.endswith('  File "send.py"\n    boom()\n')
    assert run_json("find", "a")["found"]["dead_letter"]["exception"] == "ValueError: boom"


def test_redrive_of_one_and_of_many(letters: Shop, run: Run, run_json: RunJson) -> None:
    assert run("redrive", "c", "--to", "head").stdout == "Task c is at the head of group 'other'.\n"
    assert "no dead letter of task c" in run("redrive", "c", code=1).stderr
    asked = run("redrive", "--group", "k", input="n\n", code=1).stderr
    assert "Park 2 tasks of group 'k' again, at the tails of their groups?" in asked
    assert dead(letters) == ["b", "a"]
    done = run_json("redrive", "--all", "--yes")
    assert (done["done"], done["count"], done["sentence"]) == (True, 2, "2 tasks are at the tails of their groups.")
    again = run_json("redrive", "--all", "--yes", code=1)
    assert (again["count"], again["sentence"]) == (0, "There was no such dead letter to park again.")
    assert run("dead-letters").stderr == "There are no dead letters.\n"


def test_discard_of_one_of_many_and_of_all(letters: Shop, run: Run, run_json: RunJson) -> None:
    asked = run("discard", "a", input="n\n", code=1).stderr
    assert "Discard 1 task, shop.send[a], a dead letter of group 'k'? This can't be undone." in asked
    assert run("discard", "a", "--yes").stdout == "1 dead letter was discarded.\n"
    assert "There is no dead letter of task a" in run("discard", "a", "--yes", code=1).stderr
    words = ["--group", "k", "--task", "shop.send", "--cause", "failed", "--search", "BOOM", "--older-than", "90s"]
    asked = run("discard", *words, input="n\n", code=1).stderr
    assert "Discard 1 dead letter of group 'k' of task shop.send that are failed with 'BOOM' older than 90 s?" in asked
    assert run("discard", *words, "--yes", "--reason", "tested").stdout == "1 dead letter was discarded.\n"
    assert letters.groups.actions()[0].reason == "tested"
    assert "Discard 1 dead letter? This can't be undone." in run("discard", "--all", input="y\n").stderr
    assert run("discard", "--all", "--yes", code=1).stderr == "There was no such dead letter to discard.\n"


@pytest.mark.parametrize(
    "words",
    [
        ["discard"],
        ["redrive"],
        ["discard", "a", "--all"],
        ["discard", "--all", "--group", "k"],
        ["redrive", "a", "--task", "t"],
        ["discard", "--older-than", "soon"],
        ["discard", "--cause", "lost"],
    ],
)
def test_what_is_not_clear_is_wrong_usage(letters: Shop, run: Run, words: list[str]) -> None:
    run(*words, "--yes", code=2)
    assert len(dead(letters)) == 3
