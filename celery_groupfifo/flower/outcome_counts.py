"""The outcomes of each group since this Flower started: the gate keeps no data of a group that has ended."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

#: Groups that are remembered; the one without an event for the longest time is forgotten first.
GROUPS = 50_000
#: Failures that are remembered per group.
FAILURES = 10


@dataclass(slots=True)
class FailedRun:
    """A run that failed for good.

    Attributes:
        task_id: Of the task.
        task: Its name.
        worker: The node's name.
        when: Unix time, by the worker's clock.
    """

    task_id: str
    task: str
    worker: str
    when: float


@dataclass(slots=True)
class GroupOutcomes:
    """The outcomes of one group.

    Attributes:
        succeeded: Runs that succeeded.
        failed: Runs that failed for good.
        failures: The last of those, newest first.
    """

    succeeded: int = 0
    failed: int = 0
    failures: deque[FailedRun] = field(default_factory=lambda: deque(maxlen=FAILURES))


class OutcomeCounts:
    """The ends of runs by group, counted from `groupfifo-finished` events.

    Args:
        most: Groups that are remembered.
    """

    def __init__(self, most: int = GROUPS) -> None:
        self._most = most
        self._groups: OrderedDict[str, GroupOutcomes] = OrderedDict()

    def take(self, event: dict[str, Any]) -> None:
        """Count an event of a worker; only ends of runs count."""
        key, outcome = event.get("key"), event.get("outcome")
        if event.get("type") != "groupfifo-finished" or not isinstance(key, str):
            return
        counts = self._groups.setdefault(key, GroupOutcomes())
        self._groups.move_to_end(key)
        if outcome == "success":
            counts.succeeded += 1
        elif outcome == "failure":
            counts.failed += 1
            id, task, worker = (str(event.get(name) or "") for name in ("uuid", "task", "hostname"))
            counts.failures.appendleft(FailedRun(id, task, worker, float(event.get("timestamp") or 0)))
        if len(self._groups) > self._most:
            self._groups.popitem(last=False)

    def of(self, key: str) -> GroupOutcomes:
        """Return the counts of a group; zeros for an unknown one."""
        return self._groups.get(key) or GroupOutcomes()


#: Of this process, in which one Flower runs.
outcome_counts = OutcomeCounts()
