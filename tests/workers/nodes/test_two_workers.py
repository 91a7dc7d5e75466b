"""Groups over two workers, and what happens when one of them dies or freezes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_celery import RESULT_TIMEOUT, CeleryTestSetup, CeleryTestWorker, CeleryWorkerCluster

from tests.support.waiting import until
from tests.workers.nodes.conftest import LEASE_TTL
from tests.workers.nodes.history import history_of
from tests.workers.nodes.tasks import fenced, step


@pytest.fixture
def celery_worker_cluster(
    celery_worker: CeleryTestWorker, second_worker: CeleryTestWorker
) -> Iterator[CeleryWorkerCluster]:
    cluster = CeleryWorkerCluster(celery_worker, second_worker)
    yield cluster
    cluster.teardown()


def first_runner(setup: CeleryTestSetup) -> CeleryTestWorker:
    """The worker that runs the first task of the test, once it does."""
    until(lambda: history_of(setup.worker).runs)
    name = history_of(setup.worker).runs[0].worker
    return next(node for node in setup.worker_cluster if node.hostname() == name)


def test_order_holds_over_two_workers(celery_setup: CeleryTestSetup) -> None:
    keys = [f"group {number}" for number in range(10)]
    results = [step.delay(key, number) for number in range(20) for key in keys]
    for result in results:
        result.get(timeout=RESULT_TIMEOUT)
    history = history_of(celery_setup.worker)
    history.assert_all_in_line()
    assert [history.numbers(key) for key in keys] == [list(range(20))] * len(keys)
    assert {run.worker for run in history.runs} == {node.hostname() for node in celery_setup.worker_cluster}


def test_the_other_worker_takes_over_from_a_killed_one(celery_setup: CeleryTestSetup) -> None:
    results = [step.delay("a", number, seconds=4 if number == 0 else 0) for number in range(3)]  # to be killed in
    first_runner(celery_setup).kill()

    assert [result.get(timeout=LEASE_TTL + RESULT_TIMEOUT) for result in results] == [0, 1, 2]
    history = history_of(celery_setup.worker)
    history.assert_all_in_line()
    assert history.numbers("a") == [0, 0, 1, 2]
    cut, again = history.runs[:2]
    assert (cut.ended, cut.lost, again.lost) == (False, 0, 1)
    assert cut.worker != again.worker


def test_what_a_frozen_worker_brings_after_its_lease_is_refused(celery_setup: CeleryTestSetup) -> None:
    results = [fenced.delay("a", 0, seconds=4), step.delay("a", 1)]
    frozen = first_runner(celery_setup)
    other = next(node for node in celery_setup.worker_cluster if node != frozen)
    frozen.container._container.pause()
    until(lambda: len(history_of(other).runs) == 2)
    # Now both run it. The frozen one ends first, as its time to sleep is long over.
    frozen.container._container.unpause()

    assert results[1].get(timeout=RESULT_TIMEOUT) == 1
    until(lambda: all(run.ended for run in history_of(other).runs))
    old, new, after = history_of(other).runs
    assert (old.number, new.number, after.number) == (0, 0, 1)
    assert old.fence < new.fence < after.fence
    assert old.last_sign < new.last_sign <= after.began
    assert results[0].get(timeout=RESULT_TIMEOUT) == new.fence
