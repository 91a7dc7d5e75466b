"""The effect of a final failure on the group: as set by the call, else the task, else the setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import KEYS_HEADER, TRAVELLING, Failure
from celery_groupfifo.sending.options import option_of
from celery_groupfifo.settings import OPTIONS
from celery_groupfifo.windows import Breaker

if TYPE_CHECKING:
    from celery_groupfifo.worker.member import Member

#: Characters of an exception's text that are stored.
KEPT = 1000
#: Bytes of a traceback that are stored: its end, which tells most.
TRACEBACK = 8_000


def failure(
    member: Member, headers: Mapping[str, Any], task: Any, error: BaseException, traceback: object = None
) -> Failure | None:
    """Return the failure of a run that has failed for good, with its group's policy.

    Args:
        member: The worker.
        headers: Of its message.
        task: The task, whose class may set the policy; None: it is not known here.
        error: The exception.
        traceback: As text, as Celery has it; it is kept with a dead letter.

    Returns:
        None when the policy is `continue`, and no circuit breaker counts it.
    """
    policy = str(_option(member, headers, task, "group_on_failure"))
    after = _option(member, headers, task, "group_break_after") if policy != "block" else None
    if policy == "continue" and after is None:
        return None
    lasts = _option(member, headers, task, "group_block_for") if policy == "block" else None
    kept = _end(traceback) if policy == "dead_letter" and isinstance(traceback, str) else ""
    name, worker = str(headers.get("task") or ""), str(member.consumer.hostname)
    keys = headers.get(KEYS_HEADER, ())[1:] if after is not None or policy == "cancel_rest" else ()
    others = tuple(quote(key) for key in keys)
    return Failure(policy, name, _text(error), worker, kept, _ms(lasts), Breaker.parse(after), others)


def blocks(member: Member, headers: Mapping[str, Any], task: Any) -> bool:
    """Return whether the final failure of a run would block its group; see `failure`."""
    return bool(_option(member, headers, task, "group_on_failure") == "block")


def _option(member: Member, headers: Mapping[str, Any], task: Any, name: str) -> Any:
    """Return the value of an option that counts for a run: the call's, else the task's, else the setting's."""
    for value in (headers.get(TRAVELLING[name]), option_of(task, name)):
        if value is not None:
            return value
    return getattr(member.gate.settings, OPTIONS[name])


def _ms(seconds: float | None) -> int:
    return 0 if seconds is None else round(seconds * 1000)


def _text(error: BaseException) -> str:
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # a user's exception may fail to make its text
        text = type(error).__name__
    return text[:KEPT].encode("utf-8", "backslashreplace").decode()


def _end(traceback: str) -> str:
    """Return the end of a traceback, from the start of a line on when there is more of it."""
    text = traceback.encode("utf-8", "backslashreplace")
    if len(text) > TRACEBACK:
        text = text[-TRACEBACK:].partition(b"\n")[2] or text[-TRACEBACK:]
    return text.decode("utf-8", "ignore")
