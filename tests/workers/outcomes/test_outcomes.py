"""Each way in which a task can end, on each pool: its group moves on exactly once, when the run is really over.

What only processes can do is in test_processes.py, what is over before it begins in test_unread.py and
test_revoke.py.
"""

from __future__ import annotations

import re
import time
from itertools import pairwise

import celery
import pytest
from celery.result import AsyncResult

from celery_groupfifo import DuplicateTask, Groups
from tests.support.crews.workers import Crew, on
from tests.support.waiting import until

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


@pytest.mark.parametrize("task", ["act", "early", "strict"])  # strict: a retry is no duplicate, and has no ETA
def test_a_retry_keeps_its_place(crew: Crew, key: str, task: str) -> None:
    followed(crew, key, [1, 1, 1, 2, 3], crew.send(key, 1, "retry", task, times=2), "SUCCESS")
    assert [run.attempt for run in crew.history.group(key)] == [1, 2, 3, 1, 1]


@pytest.mark.parametrize("task", ["act", "patient"])  # the call says it, or the task
def test_a_group_waits_for_retries_only_so_long(crew: Crew, key: str, task: str) -> None:
    options = {"group_max_hold": 0.5} if task == "act" else {}
    first = crew.send(key, 1, "retry", task, times=9, delay=0.2, max_retries=9, **options)
    followed(crew, key, [1, 1, 1, 2, 3], first, "FAILURE")
    assert re.search(r"would wait 0\.(5\d+|6) s for it in all, and its group_max_hold is 0\.5 s", str(first.result))


def test_a_group_waits_for_automatic_retries_only_so_long(crew: Crew, key: str) -> None:
    first = crew.send(key, 1, "fail", "backoff", group_max_hold=0.5, group_on_failure="block")
    crew.send(key, 2)
    groups = Groups(crew.app)
    until(lambda: any(group.key == key for group in groups.list(state="blocked")))
    assert (groups.get(key).reason, crew.history.numbers(key)) == ("ValueError: as told", [1])
    groups.skip(key, expected=first.id)
    crew.wait_for(key, [1, 2])


@pytest.mark.parametrize("task", ["act", "released"])  # the call says it, or the task
@pytest.mark.parametrize("delay", [0, 0.3])
def test_a_retry_joins_the_tail(crew: Crew, key: str, task: str, delay: float) -> None:
    options = {"group_on_retry": "release"} if task == "act" else {}
    start = crew.line_up(key)
    first = crew.send(key, 1, "retry", task, times=2, delay=delay, **options)
    crew.send(key, 2, "wait", name=key)
    crew.send(key, 3)
    start()
    until(lambda: crew.history.numbers(key) == [0, 1, 2])
    time.sleep(delay)  # its countdown, which the group does not wait out
    crew.tell(key)
    crew.wait_for(key, [0, 1, 2, 3, 1, 1])
    crew.state(first, "SUCCESS")
    runs = crew.history.group(key)[1:]
    assert [run.attempt for run in runs] == [1, 1, 1, 2, 3]
    assert [run.fence for run in runs] == sorted({run.fence for run in runs})
    assert runs[4].began - runs[3].began >= delay
    crew.all_slots()


def test_the_last_retry_at_the_tail_fails(crew: Crew, key: str) -> None:
    first = crew.send(key, 1, "retry", "released", times=9, delay=0.05, max_retries=1)
    crew.state(first, "FAILURE")
    crew.wait_for(key, [1, 1])
    crew.all_slots()


def test_an_automatic_retry_at_the_tail(crew: Crew, key: str) -> None:
    start = crew.line_up(key)
    first = crew.send(key, 1, "fail", "backoff", group_on_retry="release")
    crew.send(key, 2)
    start()
    crew.wait_for(key, [0, 1, 2, 1])
    crew.state(first, "FAILURE")


def test_a_lost_process_at_the_tail(crew: Crew, key: str) -> None:
    """A run without an outcome keeps its place; its retry does not."""
    start = crew.line_up(key)
    first = crew.send(key, 1, "leave_and_retry", "released")
    crew.send(key, 2)
    start()
    crew.wait_for(key, [0, 1, 1, 2, 1])
    crew.state(first, "SUCCESS")
    assert [(run.attempt, run.lost) for run in crew.history.group(key)[1:]] == [(1, 0), (1, 1), (1, 0), (2, 0)]


def test_a_retry_at_the_tail_is_revoked(crew: Crew, key: str) -> None:
    first = crew.send(key, 1, "retry", "released", delay=60)
    groups = Groups(crew.app)
    until(lambda: (found := groups.find(first.id)) is not None and found.state == "scheduled")
    assert f"the next one, retry 1 of 3 of worker.released[{first.id}], in " in groups.explain(key)
    groups.revoke(first.id)
    crew.state(first, "REVOKED")
    crew.wait_for(key, [1])
    crew.all_slots()


def test_a_retry_at_the_tail_expires(crew: Crew, key: str) -> None:
    start = crew.line_up(key)
    first = crew.send(key, 1, "retry", "released", delay=0.1, expires=3)
    crew.send(key, 2, "sleep", seconds=3)
    start()
    crew.wait_for(key, [0, 1, 2])
    crew.state(first, "REVOKED")
    crew.all_slots()


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


@pytest.mark.parametrize("task", ["act", "released", "patient"])  # policies of retries do not count
def test_a_rate_limited_run_lets_its_group_wait(crew: Crew, key: str, task: str) -> None:
    """More often than max_retries allows retries, and it uses up none."""
    first = crew.send(key, 1, "rate_limited", task, times=5, seconds=0.2)
    followed(crew, key, [1, 1, 1, 1, 1, 1, 2, 3], first, "SUCCESS")
    runs = crew.history.group(key)
    assert {run.attempt for run in runs} == {1} and {run.lost for run in runs} == {0}
    assert all(later.began - sooner.began >= 0.2 for sooner, later in pairwise(runs[:6]))
    assert len({run.fence for run in runs}) == 8


def test_a_rate_limited_run_keeps_the_key_of_its_call(crew: Crew, key: str) -> None:
    """A key of the call that the template does not give, also of a plain task."""
    first = crew.task("act").apply_async(("elsewhere", 1, "rate_limited"), group_key=key)
    second = crew.task("plain").apply_async((2, "rate_limited"), group_key=key)
    followed(crew, key, [1, 1, 2, 2, 2, 3], first, "SUCCESS")
    crew.keep([second])
    crew.state(second, "SUCCESS")


def test_a_rate_limited_retry_stays_the_same_retry(crew: Crew, key: str) -> None:
    first = crew.send(key, 1, "retry_rate_limited")
    followed(crew, key, [1, 1, 1, 2, 3], first, "SUCCESS")
    assert [run.attempt for run in crew.history.group(key)] == [1, 2, 2, 1, 1]


def test_a_rate_limit_that_another_thread_finds(crew: Crew, key: str) -> None:
    first = crew.send(key, 1, "rate_limited_in_a_thread")
    followed(crew, key, [1, 2, 3], first, "SUCCESS")
    assert "call it in the task, in its own thread" in first.result


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "5", True, None])
def test_a_rate_limit_of_no_seconds(crew: Crew, key: str, seconds: object) -> None:
    first = crew.send(key, 1, "rate_limited", seconds=seconds)
    followed(crew, key, [1, 2, 3], first, "FAILURE")
    assert f"rate_limited({seconds!r})" in str(first.result)


def test_a_rejection_with_requeue_goes_back_to_the_head(crew: Crew, key: str) -> None:
    followed(crew, key, [1, 1, 2, 3], crew.send(key, 1, "requeue"), "SUCCESS")


def test_what_was_acknowledged_early_can_not_be_requeued(crew: Crew, key: str) -> None:
    followed(crew, key, [1, 2, 3], crew.send(key, 1, "requeue", "early"), "PENDING")


@pytest.mark.parametrize("task", ["act", "released"])  # released: it is no retry
def test_a_replacement_under_the_same_id_keeps_its_place(crew: Crew, key: str, task: str) -> None:
    by = crew.task("act").si(key, 11)
    first = crew.send(key, 1, "replace", task, by=by)
    followed(crew, key, [1, 11, 2, 3], first, "SUCCESS")
    assert first.result == 11


def test_a_replacement_is_no_duplicate_and_its_countdown_no_eta(crew: Crew, key: str) -> None:
    first = crew.send(key, 1, "replace", "strict", by=crew.task("strict").si(key, 11).set(countdown=0.2))
    followed(crew, key, [1, 11, 2, 3], first, "SUCCESS")


def test_a_duplicate_of_a_running_task_raises(crew: Crew, key: str) -> None:
    first = crew.send(key, 1, "wait", "strict", name=key)
    until(lambda: crew.history.group(key))
    with pytest.raises(DuplicateTask):
        crew.send(key, 9, "succeed", "strict", task_id=first.id)
    crew.tell(key)
    followed(crew, key, [1, 2, 3], first, "SUCCESS")
    crew.state(crew.send(key, 4, "succeed", "strict", task_id=first.id), "SUCCESS")  # it is over: its id is free


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
