"""celery-batches: its tasks are collected, ordered ones beside them run one by one."""

from __future__ import annotations

from collections.abc import Callable

from tests.compatibility.ecosystem.stage import Stage


def test_batches_beside_groups(make_stage: Callable[[str], Stage]) -> None:
    stage = make_stage("batches")
    stage.worker()
    stage.call("send")
    batches = [note["batch"] for note in stage.notes() if "batch" in note]
    stage.wait_for(6, key="a")
    batches = [note["batch"] for note in stage.notes() if "batch" in note]
    assert sorted(number for batch in batches for number in batch) == list(range(6))
    assert {len(batch) for batch in batches} == {3}
    runs = stage.notes(key="a")
    assert [run["number"] for run in runs] == list(range(6))
    assert [run["fence"] for run in runs] == sorted(run["fence"] for run in runs)
