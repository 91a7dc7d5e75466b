"""The parts of a canvas, of which each follows the run that sends it: the option `group_hold_until`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery._state import get_current_worker_task

from celery_groupfifo.errors import InvalidOption
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.sending.context import Continuation, current
from celery_groupfifo.sending.options import policy_of
from celery_groupfifo.settings import Settings

OPTION = "group_hold_until"
#: Options that it may not go with.
_OTHERS = ("group_concurrency", "group_on_retry", "group_max_depth", "group_overflow")
#: Signatures of several tasks, by the names of Celery's tasks for them; and where those are.
_CANVAS = frozenset({"celery.chain", "celery.group", "celery.chord"})
_INSIDE = ("tasks", "header", "body")


def holds(task: Any, name: str, said: Mapping[str, Any], settings: Settings) -> bool:
    """Return whether a group waits for the whole canvas that begins with a call.

    Args:
        task: None where its code is not loaded.
        name: Of the task.
        said: Our options of the call.
        settings: Of the app.

    Raises:
        InvalidOption: It does, and another option of the call does not go with it.
    """
    if policy_of(task, said, OPTION, settings) != "chain":
        return False
    concurrency, on_retry, bound, overflow = (policy_of(task, said, option, settings) for option in _OTHERS)
    refused = {
        "group_concurrency": concurrency > 1 and "a group that waits for a canvas runs one task at a time",
        "group_on_retry": on_retry == "release" and "a retry at the tail of the line would leave its canvas",
        "group_overflow": bound is not None
        and overflow == "drop_oldest"
        and "the oldest task in line may be the next part of a canvas that has begun",
    }
    for option, why in refused.items():
        if why:
            value = policy_of(task, said, option, settings)
            raise InvalidOption(
                f"{name} was sent with {OPTION}='chain' and {option}={value!r}, which do not go together: {why}. "
                "Set one of the two to its default."
            )
    return True


def leader(key: str, said: Mapping[str, Any], headers: Mapping[str, Any]) -> Continuation | None:
    """Return the run in progress when a message is the next part of its canvas, in the same group; else None.

    What a task's body sends is no part of its canvas, and no callback is.

    Args:
        key: Of the message's group.
        said: Our options of the message.
        headers: Of the message.
    """
    run = current()
    if run is None or not run.leads or said.get(OPTION) == "task" or quote(key) != run.ticket.group:
        return None
    task = get_current_worker_task()
    if task is None:
        return None
    request = task.request
    return run if headers.get("id") in _next_of(run, request) or _replaces(request, headers) else None


def _replaces(request: Any, headers: Mapping[str, Any]) -> bool:
    """Return whether a message is a part of the canvas that `self.replace` sends in a task's place."""
    nesting = headers.get("replaced_task_nesting") or 0
    return bool(nesting > (request.get("replaced_task_nesting") or 0))


def _next_of(run: Continuation, request: Any) -> frozenset[str]:
    """Return the ids that the next parts of a run's canvas have: the next step of its chain, the body of its chord."""
    steps, body = request.chain, request.chord
    return run.ids_of(steps, body, lambda: _ids([*(steps or ())[-1:], body]))


def _ids(signatures: list[Any]) -> list[str]:
    """Return the ids of the tasks in signatures; what their tasks get as arguments does not count."""
    found = []
    while signatures:
        signature = signatures.pop()
        if not isinstance(signature, Mapping):
            continue
        if (task_id := (signature.get("options") or {}).get("task_id")) is not None:
            found.append(task_id)
        if signature.get("task") in _CANVAS:
            for name in _INSIDE:
                inside = (signature.get("kwargs") or {}).get(name)
                signatures += inside if isinstance(inside, (list, tuple)) else [inside]
    return found
