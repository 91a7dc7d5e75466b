"""celery-once and celery-singleton: a duplicate is not sent, also where their class and ours are combined."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.compatibility.ecosystem.stage import Stage


@pytest.mark.parametrize("library", ["once", "singleton"])
def test_a_duplicate_is_not_sent(make_stage: Callable[[str], Stage], library: str) -> None:
    stage = make_stage(library)
    assert stage.call("send") == {"alone": "not sent", "both": "not sent"}
    stage.tell("go")
    stage.worker("-c", "4")
    for name in ("alone", "both", "ordered"):
        stage.wait_for(2, task=name)
    stage.call("again")
    for name in ("alone", "both"):
        assert sorted(run["number"] for run in stage.notes(task=name)) == [1, 1, 2], name
    runs = stage.notes(task="both")
    assert [run["number"] for run in runs] == [1, 2, 1]
    assert [run["fence"] for run in runs] == sorted({run["fence"] for run in runs})
