"""Each way in which a task can end, on each pool: its group moves on exactly once, when the run is really over.

What only processes can do is in test_processes.py, what is over before it begins in test_unread.py and
test_revoke.py.
"""

from __future__ import annotations

import celery
import pytest
from celery.result import AsyncResult

from tests.waiting import until
from tests.worker.workers import Crew, on

#: What a rejected task's result is: Celery stores one from 5.7 on, of plain tasks too.
REJECTED = "FAILURE" if celery.VERSION >= (5, 7) else "PENDING"


def followed(crew: Crew, key: str, runs: list[int], first: AsyncResult, state: str) -> None:
    """Task 1 was sent; 2 and 3 follow. The group makes these runs, task 1 comes to this state, all slots are free."""
    rest = [crew.send(key, number) for number in (2, 3)]
    crew.wait_for(key, runs)
    crew.state(first, state)
    for result in rest:
        crew.state(result, "SUCCESS")
    crew.all_slots()
    assert crew.worker.alive


@pytest.mark.parametrize("task", ["act", "early"])
@pytest.mark.parametrize(
    ("deed", "state"), [("succeed", "SUCCESS"), ("fail", "FAILURE"), ("ignore", "PENDING"), ("reject", REJECTED)]
)
def test_an_end_for_good(crew: Crew, key: str, task: str, deed: str, state: str) -> None:
    followed(crew, key, [1, 2, 3], crew.send(key, 1, deed, task), state)


def test_a_rejected_task_has_the_result_of_a_plain_one(crew: Crew, key: str) -> None:
    plain = crew.task("plain").delay(1, "reject")
    ordered = crew.send(key, 1, "reject")
    crew.keep([plain])
    crew.wait_for(key, [1])
    until(lambda: any(run.id == plain.id and run.ended for run in crew.history.runs))
    crew.state(ordered, REJECTED)
    crew.state(plain, REJECTED)


def test_a_failure_that_is_not_acknowledged(crew: Crew, key: str) -> None:
    followed(crew, key, [1, 2, 3], crew.send(key, 1, "fail", "refused"), "FAILURE")


@pytest.mark.parametrize("deed", ["succeed", "fail"])
def test_a_result_that_nobody_wants(crew: Crew, key: str, deed: str) -> None:
    followed(crew, key, [1, 2, 3], crew.send(key, 1, deed, "silent"), "PENDING")


@pytest.mark.parametrize("deed", ["odd", "unstored"])
def test_a_result_that_nobody_takes(crew: Crew, key: str, deed: str) -> None:
    followed(crew, key, [1, 2, 3], crew.send(key, 1, deed), "FAILURE")


@pytest.mark.parametrize("task", ["act", "early"])
def test_a_retry_keeps_its_place(crew: Crew, key: str, task: str) -> None:
    followed(crew, key, [1, 1, 1, 2, 3], crew.send(key, 1, "retry", task, times=2), "SUCCESS")
    assert [run.attempt for run in crew.history.group(key)] == [1, 2, 3, 1, 1]


def test_a_retry_without_a_countdown(crew: Crew, key: str) -> None:
    followed(crew, key, [1, 1, 2, 3], crew.send(key, 1, "retry", delay=0), "SUCCESS")


def test_a_retry_waits_out_its_countdown(crew: Crew, key: str) -> None:
    followed(crew, key, [1, 1, 2, 3], crew.send(key, 1, "retry", delay=0.5), "SUCCESS")
    first, second, *_ = crew.history.group(key)
    assert second.began - first.began >= 0.5


def test_the_last_retry_fails(crew: Crew, key: str) -> None:
    followed(crew, key, [1, 1, 2, 3], crew.send(key, 1, "retry", times=9, delay=0.05, max_retries=1), "FAILURE")


def test_an_automatic_retry_with_backoff(crew: Crew, key: str) -> None:
    followed(crew, key, [1, 1, 2, 3], crew.send(key, 1, "fail", "backoff"), "FAILURE")
    first, second, *_ = crew.history.group(key)
    assert second.attempt == 2 and second.began - first.began >= 1


def test_a_rejection_with_requeue_goes_back_to_the_head(crew: Crew, key: str) -> None:
    followed(crew, key, [1, 1, 2, 3], crew.send(key, 1, "requeue"), "SUCCESS")


def test_what_was_acknowledged_early_can_not_be_requeued(crew: Crew, key: str) -> None:
    followed(crew, key, [1, 2, 3], crew.send(key, 1, "requeue", "early"), "PENDING")


def test_a_replacement_under_the_same_id_keeps_its_place(crew: Crew, key: str) -> None:
    by = crew.task("act").si(key, 11)
    first = crew.send(key, 1, "replace", by=by)
    followed(crew, key, [1, 11, 2, 3], first, "SUCCESS")
    assert first.result == 11


def test_wrong_arguments(crew: Crew, key: str) -> None:
    first = crew.app.send_task("worker.act", ("only one",), group_key=key)
    followed(crew, key, [2, 3], first, "FAILURE")
    assert isinstance(first.result, TypeError)


def test_a_rate_limit(crew: Crew, key: str) -> None:
    results = [crew.send(key, number, task="limited") for number in range(6)]
    crew.wait_for(key, list(range(6)))
    for result in results:
        crew.state(result, "SUCCESS")
    first, *_, last = crew.history.group(key)
    assert last.began - first.began >= 4 / 20  # the bucket holds one more at the start
    crew.all_slots()


def test_an_exit_is_a_lost_worker(crew: Crew, key: str) -> None:
    first = crew.send(key, 1, "leave", group_max_lost=2)
    followed(crew, key, [1, 1, 2, 3], first, "FAILURE")
    assert [run.lost for run in crew.history.group(key)] == [0, 1, 0, 0]


@on("prefork")  # only processes can be interrupted
def test_a_soft_time_limit(crew: Crew, key: str) -> None:
    first = crew.send(key, 1, "sleep", seconds=20, soft_time_limit=0.2)
    followed(crew, key, [1, 2, 3], first, "FAILURE")


@on("prefork", "gevent")  # the others have no hard time limits
@pytest.mark.parametrize("task", ["act", "early"])
def test_a_hard_time_limit(crew: Crew, key: str, task: str) -> None:
    first = crew.send(key, 1, "sleep", task, seconds=20, time_limit=0.3)
    followed(crew, key, [1, 2, 3], first, "FAILURE")
