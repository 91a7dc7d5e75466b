"""The retry policy of a publish, for calls to the gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.app import amqp as celery_amqp
from kombu.utils.functional import retry_over_time

from celery_groupfifo.errors import GateUnavailable


def retried(options: dict[str, Any], call: Callable[..., Any], *args: Any) -> Any:
    """Call with the retry policy of a publish.

    Args:
        options: Of the publish.
        call: To repeat.
        *args: For the call.

    Returns:
        The result of the call.

    Raises:
        GateUnavailable: The policy is used up.
    """
    policy = options.get("retry_policy") or {}
    if not (options.get("retry") or _callback_retry()):
        return call(*args)
    return retry_over_time(
        call,
        (GateUnavailable,),
        args=args,
        max_retries=policy.get("max_retries", 3),
        interval_start=policy.get("interval_start", 0),
        interval_step=policy.get("interval_step", 0.2),
        interval_max=policy.get("interval_max", 0.2),
    )


def _callback_retry() -> bool:
    """Return whether Celery repeats this publish itself: for the callbacks of a task that already ran."""
    variable = getattr(celery_amqp, "_callback_publish_retry", None)
    return bool(variable is not None and variable.get())
