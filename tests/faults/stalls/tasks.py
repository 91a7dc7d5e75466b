"""More tasks: without a guard over what they do, so that the gate alone decides what counts."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from celery import Task, shared_task

from celery_groupfifo import GroupFifoTask, GroupRun
from tests.support.stages.app import deed, note, wait


@deed
def load(task: Any, module: str) -> None:
    """Import a module."""
    importlib.import_module(module)


def _relay(self: Any, key: str, seq: int, name: str) -> str:
    """Wait for a word to this run: the name, and how often the task was lost before. Returns who it was."""
    group = GroupRun.of(self)
    run = {"group": key, "seq": seq, "fence": group.fence if group else 0, "worker": self.request.hostname}
    lost = group.lost if group else 0
    note(ev="start", attempt=self.request.retries + 1, lost=lost, **run)
    wait(self, f"{name}-{lost}")
    note(ev="end", ok=True, **run)
    return str(self.request.hostname)


#: An ordered task that looks at no fence.
bare = shared_task(_relay, name="stalls.bare", base=GroupFifoTask, group_key="{key}", bind=True)

#: A task of plain Celery, to be sent with `group_key=`.
keyed = shared_task(_relay, name="stalls.keyed", bind=True)

#: What a run is inside of, where it is of a class with a call of its own; Flask's is the app.
inside: ContextVar[str] = ContextVar("inside", default="nothing")


class InContext:
    """The pattern of Flask's page on Celery: a class of task that runs inside of a context."""

    run: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        token = inside.set("a context")
        try:
            return self.run(*args, **kwargs)
        finally:
            inside.reset(token)


class OrderedInContext(InContext, GroupFifoTask):
    """As `FlaskTask(GroupFifoTask)`."""

    abstract = True


class PlainInContext(InContext, Task):
    """As `FlaskTask(Task)`, to be sent with `group_key=`."""

    abstract = True


def _inside(self: Any, key: str, seq: int, name: str) -> str:
    return f"{_relay(self, key, seq, name)} in {inside.get()}"


flask = shared_task(_inside, name="stalls.flask", base=OrderedInContext, group_key="{key}", bind=True)
plain_flask = shared_task(_inside, name="stalls.plain_flask", base=PlainInContext, bind=True)
