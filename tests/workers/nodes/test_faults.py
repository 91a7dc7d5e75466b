"""One worker, one broker, and their deaths."""

from __future__ import annotations

from pytest_celery import RESULT_TIMEOUT, CeleryTestSetup

from tests.support.waiting import HUNG, until
from tests.workers.nodes.conftest import LEASE_TTL
from tests.workers.nodes.history import history_of
from tests.workers.nodes.tasks import step


def test_a_killed_worker_goes_on_after_its_restart(celery_setup: CeleryTestSetup) -> None:
    results = [step.delay("a", number, seconds=4 if number == 0 else 0) for number in range(3)]  # to be killed in
    worker = celery_setup.worker
    until(lambda: history_of(worker).runs)
    worker.kill()
    worker.restart()

    assert [result.get(timeout=LEASE_TTL + RESULT_TIMEOUT) for result in results] == [0, 1, 2]
    history = history_of(worker)
    history.assert_all_in_line()
    assert history.numbers("a") == [0, 0, 1, 2]
    assert [run.lost for run in history.runs] == [0, 1, 0, 0]


def test_a_worker_that_is_told_to_stop_ends_its_task_first(celery_setup: CeleryTestSetup) -> None:
    results = [step.delay("a", number, seconds=1.5) for number in range(2)]
    worker = celery_setup.worker
    until(lambda: history_of(worker).runs)
    worker.restart()

    assert [result.get(timeout=LEASE_TTL + RESULT_TIMEOUT) for result in results] == [0, 1]
    history = history_of(worker)
    history.assert_all_in_line()
    assert history.numbers("a") == [0, 1]


def test_after_a_restart_of_redis_groups_run_again(celery_setup: CeleryTestSetup) -> None:
    assert step.delay("a", 1).get(timeout=RESULT_TIMEOUT) == 1
    celery_setup.broker.restart()
    celery_setup.worker.wait_for_log("Connection to broker lost", timeout=HUNG)
    results = [step.delay("a", number) for number in (2, 3)]
    assert [result.get(timeout=RESULT_TIMEOUT) for result in results] == [2, 3]
    history = history_of(celery_setup.worker)
    history.assert_all_in_line()
    assert history.numbers("a") == [1, 2, 3]


def test_a_run_outlives_a_restart_of_redis(celery_setup: CeleryTestSetup) -> None:
    results = [step.delay("a", number, seconds=2) for number in range(2)]
    until(lambda: history_of(celery_setup.worker).runs)
    celery_setup.broker.restart()

    assert [result.get(timeout=RESULT_TIMEOUT) for result in results] == [0, 1]
    history = history_of(celery_setup.worker)
    history.assert_all_in_line()
    assert history.numbers("a") == [0, 1]
