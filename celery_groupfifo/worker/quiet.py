"""The calls of a batch whose end nobody sees: they have succeeded, and there is nothing to store, send or tell.

Celery's function that runs a task makes a context of each call, puts it on stacks and takes it off again: most of the
time of a batch of short calls. Here it is left out, where all that it would do for a call is to return.
"""

from __future__ import annotations

from collections.abc import Callable
from logging import INFO
from typing import Any

from celery import current_app, signals
from celery.app import trace
from celery.app.trace import fast_trace_task, task_has_custom, trace_task_ret
from celery.backends.base import Backend
from celery.loaders.base import BaseLoader
from celery.utils.saferepr import saferepr
from kombu.utils.encoding import safe_repr

from celery_groupfifo.sending.context import Continuation, continuing

Call = tuple[Any, ...]
End = Callable[[Call, Any, Callable[[], Continuation]], "tuple[Any, ...] | None"]

#: The code of Celery's own tracer; None: a library has put its own in its place.
_TRACER = next(
    (each for each in trace.build_tracer.__code__.co_consts if getattr(each, "co_name", None) == "trace_task"), None
)
#: What Celery would do after a call that has succeeded.
_FOLLOWING = ("callbacks", "chain", "chord")


def quiet_end(name: str, target: Callable[..., Any]) -> End:
    """Return a function that ends a call of a batch, once for each batch.

    It takes the arguments of the call for Celery's function, its body decoded, its outcome, and a function that returns
    its continuation. It returns what Celery's function would, or None: Celery has to end the call itself.

    Args:
        name: Of the task.
        target: Celery's function that runs a task.
    """
    task = current_app.tasks.get(name)
    if task is None or not _is_quiet(task, target):
        return _never
    size, logs = task.resultrepr_maxsize, trace.logger.isEnabledFor(INFO)

    def end(call: Call, outcome: Any, run: Callable[[], Continuation]) -> tuple[Any, ...] | None:
        request, (_, _, embed) = call[2], call[3]
        ignores = request.get("ignore_result")
        if isinstance(outcome, Exception) or not (task.ignore_result if ignores is None else ignores):
            return None
        if any(request.get(each) or (embed and embed.get(each)) for each in _FOLLOWING):
            return None
        said = "None" if outcome is None else saferepr(outcome, size)
        if logs:
            with continuing(run()):  # the line names the group
                _log(call, said)
        return 0, said, 0.0

    return end


def _never(call: Call, outcome: Any, run: Callable[[], Continuation]) -> None:
    return None


def _log(call: Call, said: str) -> None:
    """Write Celery's line about a call that has succeeded."""
    name, id, request, (args, kwargs, _), *_ = call
    trace.info(
        trace.LOG_SUCCESS,
        {
            "id": id,
            "name": request.get("shadow") or name,
            "return_value": said,
            "runtime": 0.0,
            "args": request.get("argsrepr") or safe_repr(args),
            "kwargs": request.get("kwargsrepr") or safe_repr(kwargs),
        },
    )


def _is_quiet(task: Any, target: Callable[..., Any]) -> bool:
    """Return whether nobody is told of a call of a task: no receiver, no hook, no other tracer."""
    called = getattr(type(task).__call__, "guards", None)  # see trace.py
    loader, backend = task.app.loader, task.app.backend
    return (
        target in (fast_trace_task, trace_task_ret)
        and _TRACER is not None
        and getattr(task.__trace__, "__code__", None) is _TRACER
        and getattr(called, "groupfifo_batch", False)
        and "__call__" not in vars(task)
        and not any(each.receivers for each in (signals.task_prerun, signals.task_postrun, signals.task_success))
        and not any(task_has_custom(task, each) for each in ("before_start", "on_success", "after_return"))
        and not task.app.conf.worker_deduplicate_successful_tasks
        and all(_is_own(loader, each, BaseLoader) for each in ("on_task_init", "on_process_cleanup"))
        and all(_is_own(backend, each, Backend) for each in ("mark_as_done", "process_cleanup"))
    )


def _is_own(one: Any, method: str, kind: type) -> bool:
    """Return whether an object has the method of its Celery base class."""
    return getattr(getattr(one, method), "__func__", None) is getattr(kind, method)
