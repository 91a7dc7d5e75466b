"""celery-redbeat: ordered tasks on a schedule that is kept in Redis."""

from __future__ import annotations

from collections.abc import Callable

from tests.compatibility.ecosystem.stage import Stage


def test_schedules_in_redis(make_stage: Callable[[str], Stage]) -> None:
    stage = make_stage("redbeat")
    stage.call("schedule")
    stage.worker()
    stage.beat("-S", "redbeat.RedBeatScheduler")
    for task, key in (("ordered", "template"), ("ordered", "option"), ("plain", "plain")):
        stage.wait_for(3, task=task, key=key)
    fences = [note["fence"] for note in stage.notes(task="ordered", key="template")]
    assert fences == sorted(set(fences))
