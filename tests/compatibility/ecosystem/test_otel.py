"""opentelemetry-instrumentation-celery: an ordered task's run is a child of its send, as a plain one's is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.compatibility.ecosystem.stage import Stage

NAME = "tests.compatibility.ecosystem.apps.otel"
#: They differ from one task to the next.
OWN = ("celery.hostname", "celery.task_name", "messaging.message.id", "messaging.message_id")


def shape(stage: Stage, task: str) -> list[Any]:
    """Return the spans of a task's sends and runs, sorted, without what differs by task."""
    sends = {each["id"]: each for each in stage.notes(span=f"apply_async/{NAME}.{task}")}
    found = []
    for run in stage.notes(span=f"run/{NAME}.{task}"):
        send = sends[run["parent"]]
        assert send["trace"] == run["trace"]
        for each in (send, run):
            attributes = {name: value for name, value in each["attributes"].items() if name not in OWN}
            found.append((each["kind"], each["status"], sorted(attributes)))
    return sorted(found, key=str)


def test_runs_are_children_of_their_sends(make_stage: Callable[[str], Stage]) -> None:
    stage = make_stage("otel")
    stage.worker()
    stage.call("send")
    for task in ("ordered", "plain"):
        stage.wait_for(2, span=f"run/{NAME}.{task}")
    assert len(shape(stage, "ordered")) == 4
    assert shape(stage, "ordered") == shape(stage, "plain")
