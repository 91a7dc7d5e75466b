"""Groups on one worker: in order, one at a time, and beside each other."""

from __future__ import annotations

from pytest_celery import RESULT_TIMEOUT, CeleryTestSetup, add

from tests.workers.nodes.history import history_of
from tests.workers.nodes.tasks import flaky, hopeless, step


def test_one_group_runs_in_order_and_one_at_a_time(celery_setup: CeleryTestSetup) -> None:
    results = [step.delay("a", number) for number in range(50)]
    assert [result.get(timeout=RESULT_TIMEOUT) for result in results] == list(range(50))
    history = history_of(celery_setup.worker)
    assert history.numbers("a") == list(range(50))
    history.assert_all_in_line()
    assert history.most_at_once() == 1


def test_groups_run_beside_each_other(celery_setup: CeleryTestSetup) -> None:
    keys = ["a", "b", "c", "d"]
    results = [step.delay(key, number, seconds=1.5 if number == 0 else 0) for number in range(3) for key in keys]
    for result in results:
        result.get(timeout=RESULT_TIMEOUT)
    history = history_of(celery_setup.worker)
    history.assert_all_in_line()
    assert history.most_at_once() == len(keys)
    assert {key: history.numbers(key) for key in keys} == {key: [0, 1, 2] for key in keys}


def test_plain_tasks_run_beside_a_busy_group(celery_setup: CeleryTestSetup) -> None:
    results = [step.delay("a", number, seconds=4 if number == 0 else 0) for number in range(3)]
    assert add.delay(1, 2).get(timeout=RESULT_TIMEOUT) == 3
    assert not results[-1].ready()
    assert results[-1].get(timeout=RESULT_TIMEOUT) == 2


def test_a_retry_keeps_its_place(celery_setup: CeleryTestSetup) -> None:
    results = [step.delay("a", 1), flaky.delay("a", 2), step.delay("a", 3)]
    assert [result.get(timeout=RESULT_TIMEOUT) for result in results] == [1, 2, 3]
    history = history_of(celery_setup.worker)
    history.assert_all_in_line()
    assert [(run.number, run.attempt) for run in history.group("a")] == [(1, 1), (2, 1), (2, 2), (3, 1)]


def test_a_failure_lets_the_group_go_on(celery_setup: CeleryTestSetup) -> None:
    failed, after = hopeless.delay("a", 1), step.delay("a", 2)
    assert after.get(timeout=RESULT_TIMEOUT) == 2
    assert isinstance(failed.get(timeout=RESULT_TIMEOUT, propagate=False), ValueError)
    assert history_of(celery_setup.worker).numbers("a") == [1, 2]
