"""The effect of a final failure on the group: as set by the call, else the task, else the setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from celery_groupfifo.gate.model import TRAVELLING, Failure
from celery_groupfifo.sending.options import option_of

if TYPE_CHECKING:
    from celery_groupfifo.worker.member import Member

#: Characters of an exception's text that are stored.
KEPT = 1000


def failure(member: Member, headers: Mapping[str, Any], task: Any, error: BaseException) -> Failure | None:
    """Return the failure of a run that has failed for good, with its group's policy.

    Args:
        member: The worker.
        headers: Of its message.
        task: The task, whose class may set the policy; None: it is not known here.
        error: The exception.

    Returns:
        None when the policy is `continue`.
    """
    policy = headers.get(TRAVELLING["group_on_failure"]) or option_of(task, "group_on_failure")
    policy = str(policy or member.gate.settings.on_failure)
    if policy == "continue":
        return None
    return Failure(policy, str(headers.get("task") or ""), _text(error), str(member.consumer.hostname))


def _text(error: BaseException) -> str:
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # a user's exception may fail to make its text
        text = type(error).__name__
    return text[:KEPT].encode("utf-8", "backslashreplace").decode()
