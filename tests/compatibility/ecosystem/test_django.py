"""Django: sends at the commit, results and schedules in the database, structured logs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.compatibility.ecosystem.stage import Stage

NAME = "tests.compatibility.ecosystem.apps.django_app"


@pytest.fixture
def project(make_stage: Callable[[str], Stage]) -> Stage:
    stage = make_stage("django_app")
    stage.call("migrate")
    return stage


def test_tasks_are_parked_when_their_transaction_is_committed(project: Stage) -> None:
    said = project.call("commits")
    assert said == {"plain": True, "before the commit": 0, "after the commit": 2, "at the end": 7}
    project.worker()
    assert [run["number"] for run in project.wait_for(7, key="t")] == [1, 2, 3, 4, 5, 6, 7]


def test_results_and_structured_logs(project: Stage) -> None:
    """With django-celery-results and django-structlog."""
    project.worker()
    results = project.call("send")
    assert [(each["task_name"], each["status"], each["result"]) for each in results] == [
        (f"{NAME}.ordered", "SUCCESS", "1"),
        (f"{NAME}.plain", "SUCCESS", "1"),
    ]
    assert results[0]["task_args"] == results[1]["task_args"]
    (ordered,), (plain,) = project.notes(task="ordered"), project.notes(task="plain")
    assert ordered["context"]["request_id"] == plain["context"]["request_id"] == "from the request"
    assert set(ordered["context"]) == set(plain["context"])


def test_schedules_of_the_database(project: Stage) -> None:
    """With django-celery-beat."""
    project.call("schedule")
    project.worker()
    project.beat("-S", "django_celery_beat.schedulers:DatabaseScheduler")
    for task in ("ordered", "plain"):
        project.wait_for(3, task=task, key="beat")
