"""sentry-sdk: traces go on in ordered tasks, and errors arrive, as with plain ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.compatibility.ecosystem.stage import Stage

NAME = "tests.compatibility.ecosystem.apps.sentry"


@pytest.fixture
def sentry(make_stage: Callable[[str], Stage]) -> Stage:
    stage = make_stage("sentry")
    stage.worker()
    stage.call("send")
    stage.wait_for(8, sentry="transaction")
    stage.wait_for(2, sentry="event")
    return stage


def transaction(stage: Stage, name: str) -> Any:
    (found,) = stage.notes(sentry="transaction", transaction=name)
    return found


def spans(stage: Stage, task: str) -> list[tuple[str, str]]:
    """Return the spans of a sender's transaction, without the task's name."""
    inside = transaction(stage, f"{NAME}.{task} False")["spans"]
    return [(span["op"], str(span["description"]).replace(task, "")) for span in inside if span["op"][:5] == "queue"]


def test_a_grouped_send_has_the_spans_of_a_plain_one(sentry: Stage) -> None:
    assert {op for op, _ in spans(sentry, "plain")} == {"queue.submit.celery", "queue.publish"}
    assert spans(sentry, "ordered") == spans(sentry, "plain")


def test_the_trace_goes_on_in_the_worker(sentry: Stage) -> None:
    for task in ("ordered", "plain"):
        for fails in (False, True):
            sender = transaction(sentry, f"{NAME}.{task} {fails}")["contexts"]["trace"]
            runs = [
                each["contexts"]["trace"]
                for each in sentry.notes(sentry="transaction", transaction=f"{NAME}.{task}")
                if each["contexts"]["trace"]["trace_id"] == sender["trace_id"]
            ]
            assert [run["op"] for run in runs] == ["queue.task.celery"], task
            assert runs[0]["status"] == ("internal_error" if fails else "ok")


def test_errors_arrive_with_their_task(sentry: Stage) -> None:
    errors = {each["transaction"]: each for each in sentry.notes(sentry="event")}
    assert set(errors) == {f"{NAME}.ordered", f"{NAME}.plain"}
    for task, error in errors.items():
        assert error["exception"]["values"][0]["type"] == "ValueError", task
        assert error["exception"]["values"][0]["mechanism"]["type"] == "celery", task
        assert error["extra"]["celery-job"]["task_name"] == task
