"""The time that a group waits for the retries of a task, and its limit: `group_max_hold`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery_groupfifo.gate.model import HELD_HEADER, HOLD_HEADER, KEYS_HEADER, TRAVELLING
from celery_groupfifo.sending.options import policy_of
from celery_groupfifo.settings import Settings


def retry_policy(task: Any, headers: Mapping[str, Any], option: str, settings: Settings) -> Any:
    """Return the value of an option that counts for a retry: that of its headers, else the task's, else the setting's.

    Args:
        task: The task.
        headers: Of our own, which the retry has.
        option: Its name, `group_…`.
        settings: Of the app.
    """
    return policy_of(task, {option: headers.get(TRAVELLING[option])}, option, settings)


def rejoins(task: Any, headers: Mapping[str, Any], settings: Settings) -> bool:
    """Return whether a retry gives up its place, so that its group does not wait for it.

    One in a canvas that its group waits for never does, nor one with several keys.
    """
    keeps = HOLD_HEADER in headers or KEYS_HEADER in headers
    return not keeps and bool(retry_policy(task, headers, "group_on_retry", settings) == "release")


def held_ms(headers: Mapping[str, Any], delay: int) -> int:
    """Return the milliseconds that the group is to wait for a task in all, with a retry that has a delay."""
    return int(headers.get(HELD_HEADER) or 0) + delay


def refusal(task: Any, headers: Mapping[str, Any], delay: int, settings: Settings) -> str:
    """Return why a retry would hold its group for too long; empty: it does not.

    Args:
        task: The task.
        headers: Of our own, which the retry would have.
        delay: Milliseconds until it is due.
        settings: Of the app.
    """
    most = retry_policy(task, headers, "group_max_hold", settings)
    if most is None or rejoins(task, headers, settings):
        return ""
    held = held_ms(headers, delay)
    if held <= most * 1000:
        return ""
    return (
        f"its group would wait {held / 1000:g} s for it in all, and its group_max_hold is {most:g} s: raise that, or "
        "let the group go on with group_on_retry='release'"
    )
