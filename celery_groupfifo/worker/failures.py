"""What a final failure means for the group: the call's word, the task's, the setting's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from celery_groupfifo.gate.model import TRAVELLING, Failure
from celery_groupfifo.sending.options import option_of

if TYPE_CHECKING:
    from celery_groupfifo.worker.member import Member

#: Characters of an exception's text that are kept.
KEPT = 1000


def failure(member: Member, headers: Mapping[str, Any], task: Any, error: BaseException) -> Failure | None:
    """How a run has failed for good.

    Args:
        member: The worker.
        headers: Of its message.
        task: Whose class may say what becomes of the group; None: it is not known here.
        error: What was raised.

    Returns:
        None when the group just goes on.
    """
    policy = headers.get(TRAVELLING["group_on_failure"]) or option_of(task, "group_on_failure")
    policy = str(policy or member.gate.settings.on_failure)
    if policy == "continue":
        return None
    return Failure(policy, str(headers.get("task") or ""), _text(error), str(member.consumer.hostname))


def _text(error: BaseException) -> str:
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # what a user's exception makes of itself
        text = type(error).__name__
    return text[:KEPT].encode("utf-8", "backslashreplace").decode()
