"""Processes are killed, timed out, terminated, worn out. The group waits until the process is gone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import billiard
import pytest
from celery import Task
from celery.exceptions import WorkerLostError
from celery.result import AsyncResult

from celery_groupfifo import Groups, WrongState
from tests.support.crews.workers import Crew, on
from tests.support.waiting import until


def begun(crew: Crew, key: str) -> None:
    """Wait until a task of the group runs."""
    until(lambda: crew.history.group(key))


def followed(crew: Crew, key: str, runs: list[int], first: AsyncResult, state: str) -> None:
    """See test_outcomes.py; here 2 and 3 were sent already."""
    crew.wait_for(key, runs)
    crew.state(first, state)
    crew.all_slots()
    assert crew.worker.alive


def send_three(crew: Crew, key: str, deed: str, **more: Any) -> AsyncResult:
    first = crew.send(key, 1, deed, **more)
    for number in (2, 3):
        crew.send(key, number)
    return first


@on("prefork")
@pytest.mark.parametrize("task", ["act", "early"])
def test_a_child_beyond_its_hard_limit_is_dead_before_the_group_moves(crew: Crew, key: str, task: str) -> None:
    first = send_three(crew, key, "endure", task=task, seconds=20, time_limit=0.3)
    followed(crew, key, [1, 2, 3], first, "FAILURE")  # in line: by its signs of life


@on("prefork", "gevent", "eventlet")
@pytest.mark.parametrize("task", ["act", "early"])
def test_a_terminated_task_ends_before_the_group_moves(crew: Crew, key: str, task: str) -> None:
    first = send_three(crew, key, "linger", task=task, seconds=0.4)
    begun(crew, key)
    crew.app.control.revoke(first.id, terminate=True)
    crew.state(first, "REVOKED")
    followed(crew, key, [1, 2, 3], first, "REVOKED")


@on("prefork", "gevent", "eventlet")
def test_a_run_that_an_operator_terminates(crew: Crew, key: str) -> None:
    groups, first = Groups(crew.app), send_three(crew, key, "linger", seconds=0.4)
    begun(crew, key)
    assert groups.terminate(first.id, "hangs", "anna").key == key
    followed(crew, key, [1, 2, 3], first, "REVOKED")
    action = groups.actions(1, key)[0]
    assert (action.what, action.by, action.reason, action.more) == ("terminate", "anna", "hangs", {"task_id": first.id})


@on("threads", "solo")
def test_a_pool_that_can_end_no_run_says_so_and_the_task_goes_on(crew: Crew, key: str) -> None:
    """A retry of it, too: a question that waits in the worker, or a mark that it keeps, would revoke that one."""
    groups, first = Groups(crew.app), send_three(crew, key, "wait_and_retry", name=f"go-{crew.pool}")
    begun(crew, key)
    why = r"its pool, thread, can't end a run\." if crew.pool == "threads" else "does not answer, .*its pool is solo"
    with pytest.raises(WrongState, match=f"{why}.* Nothing was done"):
        groups.terminate(first.id)
    assert groups.actions(1, key) == []
    crew.tell(f"go-{crew.pool}")
    followed(crew, key, [1, 1, 2, 3], first, "SUCCESS")


@on("prefork")
def test_a_terminated_task_that_hears_no_signal(crew: Crew, key: str) -> None:
    first = send_three(crew, key, "endure", seconds=0.6)
    begun(crew, key)
    crew.app.control.revoke(first.id, terminate=True)
    crew.state(first, "REVOKED")
    followed(crew, key, [1, 2, 3], first, "REVOKED")


@on("prefork")
@pytest.mark.parametrize("deed", ["die", "vanish"])
def test_a_killed_child_runs_its_task_again(crew: Crew, key: str, deed: str) -> None:
    first = send_three(crew, key, deed, times=2)
    followed(crew, key, [1, 1, 1, 2, 3], first, "SUCCESS")
    assert [run.lost for run in crew.history.group(key)] == [0, 1, 2, 0, 0]


@on("prefork")
def test_a_task_that_kills_its_child_each_time_fails_for_good(crew: Crew, key: str) -> None:
    first = send_three(crew, key, "die", times=99)
    followed(crew, key, [1, 1, 1, 2, 3], first, "FAILURE")
    assert isinstance(first.result, WorkerLostError)
    assert [run.lost for run in crew.history.group(key)] == [0, 1, 2, 0, 0]


@on("prefork")
def test_a_task_that_is_acknowledged_early_is_not_run_again(crew: Crew, key: str) -> None:
    first = send_three(crew, key, "die", task="early", times=99)
    followed(crew, key, [1, 2, 3], first, "FAILURE")
    assert isinstance(first.result, WorkerLostError)


@on("prefork")
@pytest.mark.skipif(not hasattr(Task, "retry_on_worker_lost"), reason="an option of Celery 5.7")
def test_a_lost_process_is_a_retry(crew: Crew, key: str) -> None:
    first = send_three(crew, key, "disappear", task="relentless")
    followed(crew, key, [1, 1, 2, 3], first, "FAILURE")
    assert isinstance(first.result, WorkerLostError)
    assert [run.attempt for run in crew.history.group(key)] == [1, 2, 1, 1]


def test_a_task_that_must_never_run_twice(make_crew: Callable[..., Crew], key: str) -> None:
    """Not even when the machine is lost that ran it: then that is its failure."""
    crew = make_crew(slots=1, groupfifo_lease_ttl=2.0, groupfifo_sweep_interval=0.2).ready()
    first = send_three(crew, key, "wait", task="early", name=key, group_max_lost=1)
    begun(crew, key)
    crew.worker.kill()
    crew.worker.start().ready()
    followed(crew, key, [1, 2, 3], first, "FAILURE")
    assert isinstance(first.result, WorkerLostError)


def test_children_that_are_replaced_after_a_few_tasks(make_crew: Callable[..., Crew], key: str) -> None:
    crew = make_crew(slots=2, worker_max_tasks_per_child=2).ready()
    groups = [f"{key}-{group}" for group in range(3)]
    for number in range(6):
        for group in groups:
            crew.send(group, number)
    for group in groups:
        crew.wait_for(group, list(range(6)))
    pids = [run.pid for run in crew.history.runs]
    assert max(map(pids.count, pids)) <= 2


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_memory_error_ends_the_worker(make_crew: Callable[..., Crew], key: str, pool: str) -> None:
    """So Celery has it. The task goes back, and its loss is counted.

    The pool of billiard before 4.3 keeps the error to itself, and the worker goes on.
    """
    crew = make_crew(pool, slots=1).ready()
    first = send_three(crew, key, "memory")
    if pool == "solo" or billiard.VERSION >= (4, 3):
        crew.worker.wait()
        crew.worker.start().ready()
    followed(crew, key, [1, 1, 2, 3], first, "SUCCESS")
    assert [run.lost for run in crew.history.group(key)] == [0, 1, 0, 0]


@on("threads", "gevent", "eventlet")
def test_memory_error_ends_the_run(crew: Crew, key: str) -> None:
    first = send_three(crew, key, "memory")
    followed(crew, key, [1, 1, 2, 3], first, "SUCCESS")
    assert [run.lost for run in crew.history.group(key)] == [0, 1, 0, 0]


@on("gevent")
def test_a_greenlet_beyond_its_hard_limit_ends_before_the_group_moves(crew: Crew, key: str) -> None:
    first = send_three(crew, key, "linger", seconds=0.3, time_limit=0.2)
    followed(crew, key, [1, 2, 3], first, "FAILURE")


@on("prefork")
def test_jobs_of_all_sizes(crew: Crew, key: str) -> None:
    """Small ones go to a child in one write, large ones in several: to the children they are all the same."""
    sizes = [*range(0, 6_000, 50), 70_000, 2_000_000]
    results = []
    for number, size in enumerate(sizes):
        more = {"deed": "count", "text": "x" * size}
        send = crew.send(f"{key}-{number % 6}", number, **more) if number % 3 else plain(crew, number, **more)
        results.append(send)
    for size, result in zip(sizes, results, strict=True):
        crew.state(result, "SUCCESS")
        assert result.result == size
    for group in range(6):
        crew.history.assert_in_line(f"{key}-{group}")


@on("prefork")
def test_the_pool_talks_with_its_children_in_few_calls(crew: Crew) -> None:
    """That is only time won, so that no run would show it."""
    (reply,) = crew.app.control.broadcast("loop", reply=True, timeout=60, limit=1)
    turn, job, answer = (reply["one@test"][name] for name in ("turn", "job", "answer"))
    assert job == "celery_groupfifo.worker.prefork"
    assert answer == [job]
    assert job in turn
    assert "celery.concurrency.asynpool" not in turn


def plain(crew: Crew, number: int, **more: Any) -> AsyncResult:
    """Send a task without a group."""
    result = crew.task("plain").delay(number, **more)
    crew.keep([result])
    return result


def test_a_child_does_not_outlive_its_worker(make_crew: Callable[..., Crew], key: str) -> None:
    crew = make_crew(slots=1, groupfifo_lease_ttl=2.0).ready()
    other = crew.another("two", slots=1).start().ready()
    first = send_three(crew, key, "endure", seconds=20, times=1)
    begun(crew, key)
    owner, rest = (crew.worker, other) if crew.history.runs[0].worker == "one@test" else (other, crew.worker)
    os.kill(owner.pid, signal.SIGKILL)  # not its children
    crew.wait_for(key, [1, 1, 2, 3])  # in line: by the signs of life of the first run
    crew.state(first, "SUCCESS")
    assert rest.alive


def test_a_child_that_heard_no_signal_and_is_killed_later(make_crew: Callable[..., Crew], key: str) -> None:
    """Celery marks a child that it told to end; what kills it in a later task is no termination of that one."""
    crew = make_crew(slots=1).ready()
    deaf = crew.send(f"{key}-deaf", 1, "endure", seconds=0.4)
    begun(crew, f"{key}-deaf")
    crew.app.control.revoke(deaf.id, terminate=True)
    crew.wait_for(f"{key}-deaf", [1])
    followed(crew, key, [1, 1, 2, 3], send_three(crew, key, "die"), "SUCCESS")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
@on("prefork")
def test_a_child_killed_from_outside(crew: Crew, key: str, number: signal.Signals) -> None:
    first = send_three(crew, key, "wait", name=key)
    begun(crew, key)
    os.kill(crew.history.group(key)[0].pid, number)
    until(lambda: len(crew.history.group(key)) == 2)
    crew.tell(key)
    followed(crew, key, [1, 1, 2, 3], first, "SUCCESS")
