"""An app with parts that raise on the way of a message from the broker to the pool, each of them once.

Celery has many places for a user's code there, and kombu raises by itself where two threads meet.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import Any

from celery import bootsteps, shared_task
from celery.concurrency import prefork, thread
from celery.worker.request import Request
from celery.worker.strategy import default
from kombu.utils.scheduling import round_robin_cycle

from celery_groupfifo import GroupFifoTask
from tests.support.stages.app import CONF, act, directory, note

#: Where they raise; each is a task of its own, and tasks of a group are numbered.
POINTS = ("strategy", "request", "body", "hook", "log", "pool", "rotate")
#: Which time it is that raises: a later one, so that it may have come with the end of another run.
TIME = 3
#: Names whoever raises once, whatever becomes of its process.
NAME = "RAISING_NAME"

_lock = threading.Lock()


def strike(name: str | None, point: str, error: type[Exception] = RuntimeError) -> None:
    """Raise on the way of a task of this point, once in all lives of a worker: the file of the times outlives it."""
    if name != f"raising.{point}":
        return
    with _lock, (directory() / f"times-{os.environ[NAME]}-{point}").open("ab") as times:
        now = times.write(b".") and times.tell() == TIME
    if now:
        note(ev="raised", point=point, group=f"{os.environ[NAME]}-{point}")
        raise error("as told")


class RaisingStrategy:
    """A strategy of the user's own."""

    def __init__(self, task: Any, app: Any, consumer: Any, **options: Any) -> None:
        self._handle = default(task, app, consumer, **options)

    def __call__(self, message: Any, *args: Any, **options: Any) -> Any:
        strike(message.headers["task"], "strategy")
        return self._handle(message, *args, **options)


class RaisingRequest(Request):
    """A request of the user's own, with a body that may have to be deciphered."""

    def __init__(self, message: Any, *args: Any, **options: Any) -> None:
        strike(message.headers["task"], "request")
        super().__init__(message, *args, **options)

    @property
    def body(self) -> Any:
        strike(self.name, "body")
        return super().body


class RaisingHook(bootsteps.StartStopStep):
    """A step of the user's own, which is called back for each task, as Celery's autoscaler is."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        consumer.on_task_message.add(_received)


def _received(request: Any) -> None:
    strike(request.name, "hook")


class RaisingFilter(logging.Filter):
    """A filter of the user's own."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, dict):
            strike(record.args.get("name"), "log")
        return True


class _RaisingPool:
    """A pool that can't take one more: no thread to be had, no memory for a job."""

    def apply_async(self, target: Any, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        strike(args[0] if args else None, "pool")
        return super().apply_async(target, args, kwargs, **options)  # type: ignore[misc]


class RaisingPrefork(_RaisingPool, prefork.TaskPool):
    """Of processes."""


class RaisingThreads(_RaisingPool, thread.TaskPool):
    """Of threads."""


def _rotate(self: Any, last_used: Any, rotate: Any = round_robin_cycle.rotate) -> Any:
    """Do what `items.pop(items.index(…))` does when two threads meet in it. kombu itself has one thread there."""
    if not sys._getframe(1).f_globals["__name__"].startswith("kombu") and (directory() / "rotates").exists():
        strike("raising.rotate", "rotate", IndexError)
    return rotate(self, last_used)


for _point in POINTS:
    shared_task(
        act,
        name=f"raising.{_point}",
        base=GroupFifoTask,
        group_key="{key}",
        bind=True,
        Strategy=RaisingStrategy,
        Request=RaisingRequest,
    )

if CONF in os.environ:
    from tests.support.stages.app import app

    app.steps["consumer"].add(RaisingHook)
    logging.getLogger("celery.worker.strategy").addFilter(RaisingFilter())
    round_robin_cycle.rotate = _rotate  # type: ignore[method-assign]
