"""celery-once and celery-singleton: a duplicate is not sent, also where their class and ours are combined."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.ecosystem.stage import Stage
from tests.waiting import until


@pytest.fixture
def once(make_stage: Callable[[str], Stage]) -> Stage:
    return make_stage("once")


def test_a_duplicate_is_not_sent(once: Stage) -> None:
    said = once.call("send")
    assert said == {
        "once": "already queued",
        "ordered_once": "already queued",
        "singleton": True,
        "ordered_singleton": True,
    }
    once.tell("go")
    once.worker("-c", "4")
    for name in said:
        until(lambda name=name: len(once.notes(task=name)) == 2, lambda: str(once.notes()))
    until(lambda: len(once.notes(task="ordered")) == 4, lambda: str(once.notes()))
    once.call("again")
    for name in said:
        assert sorted(run["number"] for run in once.notes(task=name)) == [1, 1, 2], name
    for name in ("ordered_once", "ordered_singleton"):
        runs = once.notes(task=name)
        assert [run["number"] for run in runs] == [1, 2, 1]
        assert [run["fence"] for run in runs] == sorted({run["fence"] for run in runs})
