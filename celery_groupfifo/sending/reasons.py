"""The reasons why sends of an app go Celery's way, for people; usual.py decides about each call."""

from __future__ import annotations

from collections.abc import Iterable
from types import FunctionType
from typing import Any
from weakref import ReferenceType

from celery import Celery

from celery_groupfifo.sending.short_way import inherited
from celery_groupfifo.sending.usual import SIGNALS, Path, changed_methods


def of_app(app: Celery) -> list[str]:
    """Return why no send of an app is usual in this process; empty: those of its usual tasks are."""
    conf = app.conf
    settings = [name for name in ("task_always_eager", "task_send_sent_event") if conf.get(name)]
    found = [f"{name} is set" for name in settings]
    for signal in SIGNALS:
        receivers = [_alive(each[1]) for each in signal.receivers or ()]
        if receivers:
            found.append(f"{signal.name} has receivers ({_modules(receivers)})")
    changed = {} if conf.task_always_eager else Path(app).changed  # an app that sends nothing may have no broker
    return found + [f"{name} is not Celery's own ({_modules([part])})" for name, part in changed.items()]


def of_task(app: Celery, task: Any) -> list[str]:
    """Return why a send of an ordered task is not usual, where that of another task would be."""
    found = [
        "pydantic=True" if name == "pydantic" else f"{name} is not Celery's own ({_modules([part])})"
        for name, part in changed_methods(task, inherited(task)).items()
    ]
    options, conf = task._get_exec_options(), app.conf
    serializer = options.get("serializer") or conf.task_serializer
    if serializer != "json":
        found.append(f"its serializer is {serializer}")
    if options.get("compression") or conf.task_compression:
        found.append("it is compressed")
    if options.get("expires"):
        found.append("it expires")
    for name in ("group_dedup_key", "group_fair_key", "group_order_by"):
        if callable(getattr(task, name, None)):
            found.append(f"its {name} is a callable")
    if (exchange := _exchange(app, task, options)) is not None:
        found.append(f"its queue is behind the {exchange.type} exchange {exchange.name!r}")
    return found


def _exchange(app: Celery, task: Any, options: dict[str, Any]) -> Any:
    """Return the exchange that a task is sent to by name; None: to its queue."""
    try:
        queue = app.amqp.router.route({"queue": options["queue"]} if options.get("queue") else {}, task.name)["queue"]
    except Exception:  # a router may raise anything, and a call says it
        return None
    exchange = getattr(queue, "exchange", None)
    return None if exchange is None or exchange.type == "direct" else exchange


def _alive(receiver: Any) -> Any:
    return receiver() if isinstance(receiver, ReferenceType) else receiver


def _modules(parts: Iterable[Any]) -> str:
    """Return the modules that functions or objects come from, whatever they say of themselves."""
    names = set()
    for part in parts:
        function = getattr(part, "__func__", part)
        if type(function) is FunctionType:
            names.add(str(function.__globals__.get("__name__", "?")))
        elif part is not None:
            names.add(str(getattr(part if isinstance(part, type) else type(part), "__module__", "?")))
    return ", ".join(sorted(names))


__all__ = ["of_app", "of_task"]
