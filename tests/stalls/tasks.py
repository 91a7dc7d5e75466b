"""More tasks: without a guard over what they do, so that the gate alone decides what counts."""

from __future__ import annotations

import importlib
from typing import Any

from celery import shared_task

from celery_groupfifo import GroupFifoTask
from tests.chaos.app import deed, note, wait


@deed
def load(task: Any, module: str) -> None:
    """Import a module."""
    importlib.import_module(module)


def ticket(task: Any) -> list[str]:
    """Gate, fence, lost and so on: a plain task has no `self.group`."""
    return str(task.request.get("groupfifo") or "gf - 0 0").split()


def _relay(self: Any, key: str, seq: int, name: str) -> str:
    """Wait for a word to this run: the name, and how often the task was lost before. Returns who it was."""
    _, _, fence, lost, *_ = ticket(self)
    run = {"group": key, "seq": seq, "fence": int(fence), "worker": self.request.hostname}
    note(ev="start", attempt=self.request.retries + 1, lost=int(lost), **run)
    wait(self, f"{name}-{lost}")
    note(ev="end", ok=True, **run)
    return str(self.request.hostname)


#: An ordered task that looks at no fence.
bare = shared_task(_relay, name="stalls.bare", base=GroupFifoTask, group_key="{key}", bind=True)

#: A task of plain Celery, to be sent with `group_key=`.
keyed = shared_task(_relay, name="stalls.keyed", bind=True)
