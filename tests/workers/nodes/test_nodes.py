"""The nodes themselves, with plain tasks: what the other tests stand on."""

from __future__ import annotations

from celery import group
from pytest_celery import RESULT_TIMEOUT, CeleryTestSetup, add

from tests.support.waiting import HUNG


def test_a_setup_is_ready_in_every_respect(celery_setup: CeleryTestSetup) -> None:
    assert celery_setup.ready(ping=True, control=True, docker=True)
    assert list(celery_setup.app.control.ping()[0]) == [celery_setup.worker.hostname()]
    assert celery_setup.worker.hostname() in celery_setup.worker.logs()
    celery_setup.worker.assert_log_exists("succeeded")


def test_many_plain_tasks(celery_setup: CeleryTestSetup) -> None:
    sums = group(add.s(number, number) for number in range(100)).delay()
    assert sums.get(timeout=RESULT_TIMEOUT) == [2 * number for number in range(100)]


def test_the_processes_of_a_worker_can_be_asked_for(celery_setup: CeleryTestSetup) -> None:
    processes = celery_setup.worker.get_running_processes_info(["pid", "cmdline"])
    assert any("celery" in " ".join(process["cmdline"] or ()) for process in processes)


def test_a_killed_worker_is_gone_and_comes_back(celery_setup: CeleryTestSetup) -> None:
    worker = celery_setup.worker
    worker.kill()
    assert worker.container.status == "exited"
    result = add.delay(2, 2)
    worker.restart()
    assert result.get(timeout=RESULT_TIMEOUT) == 4


def test_a_restarted_broker_is_found_again(celery_setup: CeleryTestSetup) -> None:
    assert add.delay(2, 2).get(timeout=RESULT_TIMEOUT) == 4
    celery_setup.broker.restart()
    celery_setup.worker.wait_for_log("Connection to broker lost", timeout=HUNG)
    assert add.delay(3, 2).get(timeout=RESULT_TIMEOUT) == 5


def test_a_paused_worker_waits(celery_setup: CeleryTestSetup) -> None:
    node = celery_setup.worker.container._container
    node.pause()
    result = add.delay(2, 2)
    try:
        assert celery_setup.app.control.ping(timeout=1) == []
        assert not result.ready()
    finally:
        node.unpause()
    assert result.get(timeout=RESULT_TIMEOUT) == 4
