"""The calls that run in place: `apply()`, and `apply_async` with `task_always_eager`.

They reach no gate, and have no group. But a key that can't be built or a misspelt option fails there, too: so tests
that run in place find it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import wraps
from typing import Any

from celery import Task

from celery_groupfifo.sending.call import check_call, take_options


def check(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any], options: dict[str, Any]) -> None:
    """Check a call as its send does, and take our options out of it.

    Args:
        task: The task.
        args: Of the call.
        kwargs: Of the call.
        options: Of the call.

    Raises:
        GroupFifoError: The error of the send.
    """
    app, name = task._get_app(), task.name
    said = take_options(name, options)
    if options.get("retries"):  # a retry keeps its group
        return
    check_call(app, task, name, args, kwargs, said, options)


def hook() -> None:
    """Make every task of this process check the calls that run in place."""
    run = Task.apply
    if getattr(run, "groupfifo", False):
        return

    @wraps(run)
    def apply(self: Any, args: Any = None, kwargs: Any = None, *more: Any, **options: Any) -> Any:
        check(self, args or (), kwargs or {}, options)
        return run(self, args, kwargs, *more, **options)

    apply.groupfifo = run  # type: ignore[attr-defined]
    Task.apply = apply
