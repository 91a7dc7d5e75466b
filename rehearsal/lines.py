"""The judge's own picture of a group: the tasks that were accepted, their order, and who runs them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple


class Tenant(NamedTuple):
    """A tenant: its fair key, and the tickets that it may have on their way at once."""

    name: str
    weight: int


@dataclass(slots=True, eq=False)
class Known:
    """A task that the gate has accepted and that has not ended.

    Attributes:
        id: Of the task.
        group: Its key.
        accepted: Time of its place in line (ms).
        due: It may not start before (ms).
        aside: True while it waits beside the line for its ETA.
        started: True since its first start at this place.
        ended: True when it has ended for good.
        others: Its other keys, when it has several.
        tenant: Of its group.
        copied: True when more than one ticket of it may be in the queue.
    """

    id: str
    group: str
    accepted: int
    due: int = 0
    aside: bool = False
    started: bool = False
    ended: bool = False
    others: tuple[str, ...] = ()
    tenant: Tenant | None = None
    copied: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """Return all of its keys, that of its own group first."""
        return self.group, *self.others


@dataclass(slots=True)
class Holder:
    """A run that the gate has begun, and whose end it has not accepted.

    Attributes:
        fence: Of the run.
        owner: The worker.
        since: Time of its begin (ms).
        given_up: True when its worker has given it back, or forgotten it.
    """

    fence: int
    owner: str
    since: int
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a group: tasks at once; starts within a window (ms), 0: any number."""

    together: int = 1
    starts: int = 0
    window: int = 0


@dataclass(slots=True)
class Line:
    """A group with tasks.

    Attributes:
        limits: Of the group.
        placed: Tasks in line, in the order of their places; ended ones may still be among them.
        aside: Tasks that wait beside the line.
        running: The run of each task that has one.
        alive: Tasks that have not ended.
    """

    limits: Limits
    placed: deque[Known] = field(default_factory=deque)
    aside: dict[str, Known] = field(default_factory=dict)
    running: dict[str, Holder] = field(default_factory=dict)
    alive: int = 0

    def place(self, task: Known) -> None:
        """Let a task join the tail, or wait beside the line."""
        if task.aside:
            self.aside[task.id] = task
        else:
            self.placed.append(task)

    def leave(self, task: Known) -> None:
        """Take a task out of its place."""
        if task.aside:
            del self.aside[task.id]
        elif self.placed and self.placed[0] is task:
            self.placed.popleft()
        else:
            self.placed.remove(task)

    def next(self) -> Known | None:
        """Return the first task in line that keeps others from starting; None: there is none."""
        while self.placed and self.placed[0].ended:
            self.placed.popleft()
        if self.limits.together == 1:
            return self.placed[0] if self.placed else None
        return next((task for task in self.placed if not task.started and not task.ended), None)
