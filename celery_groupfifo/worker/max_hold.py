"""The limit of a group's wait for the retries of a task, in the pool: a retry beyond it is a final failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import current_app
from celery.exceptions import MaxRetriesExceededError
from celery.utils.serialization import raise_with_context

from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.gate.model import TRAVELLING
from celery_groupfifo.sending.context import Continuation, continued
from celery_groupfifo.sending.hold import refusal
from celery_groupfifo.sending.message import delay_ms


def limited(retry: Callable[..., Any]) -> Callable[..., Any]:
    """Return the `retry` of a task's class with the limit of `group_max_hold`.

    It fails as Celery's does when the retries are used up: with the exception that it was given, or with
    `MaxRetriesExceededError`. Celery's own would turn an error of the send into a rejection, which is no failure.
    """

    def retry_within(
        self: Any,
        args: Any = None,
        kwargs: Any = None,
        exc: Any = None,
        throw: bool = True,
        eta: Any = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Any:
        run = continued(self.request.id)
        if run is not None and (said := _refusal(self, run, eta, countdown, options)):
            if exc:
                raise_with_context(exc)
            raise MaxRetriesExceededError(
                f"Can't retry {self.name}[{self.request.id}]: {said}.", task_args=args, task_kwargs=kwargs
            )
        return retry(self, args, kwargs, exc, throw, eta, countdown, max_retries, **options)

    retry_within.groupfifo = True  # type: ignore[attr-defined]
    return retry_within


def _refusal(task: Any, run: Continuation, eta: Any, countdown: float | None, options: dict[str, Any]) -> str:
    if eta:
        delay = delay_ms(current_app, eta)
    else:
        delay = round((task.default_retry_delay if countdown is None else countdown) * 1000)
    said = {header: options[option] for option, header in TRAVELLING.items() if options.get(option) is not None}
    return refusal(task, {**run.options, **said}, delay, gate_of(current_app).settings)
