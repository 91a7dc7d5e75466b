"""celery-aio-pool: coroutines in order, groups beside each other."""

from __future__ import annotations

from collections.abc import Callable

from tests.compatibility.ecosystem.stage import Stage


def test_coroutines_in_order(make_stage: Callable[[str], Stage]) -> None:
    stage = make_stage("aio")
    stage.worker("-c", "4", pool="custom", CELERY_CUSTOM_WORKER_POOL="celery_aio_pool.pool:AsyncIOPool")
    assert stage.call("send") == [0, 0, 1, 1, 2, 2, 3, 3, 0, 1, 2, 3]
    for key in "ab":
        runs = stage.notes(key=key)
        assert [(run["event"], run["number"]) for run in runs] == [
            (event, number) for number in (0, 1, 1, 2, 3) for event in ("start", "end")
        ]
        fences = [run["fence"] for run in runs if run["event"] == "start"]
        assert fences == sorted(set(fences))
