"""The state of a running demo, read from its history: nothing here asks the gate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from celery_groupfifo.testing.history import Event

RunId = tuple[int, str, int]


@dataclass
class WorkerState:
    """One worker. `busy` holds its current runs: process, group, number."""

    name: str
    up: bool = False
    killed: bool = False
    runs: int = 0
    retries: int = 0
    busy: set[RunId] = field(default_factory=set)
    pids: set[int] = field(default_factory=set)


@dataclass
class GroupState:
    """One group. `state` is ``running``, ``retry`` (waits), ``cut off`` (by a kill) or empty."""

    sent: int = 0
    done: int = 0
    state: str = ""


class Progress:
    """The progress of a demo, updated by events."""

    def __init__(self) -> None:
        self.workers: dict[str, WorkerState] = {}
        self.groups: dict[str, GroupState] = {}
        self.runs = 0
        self._sent: set[tuple[str, int]] = set()
        self._started: set[tuple[str, int]] = set()
        self._done: set[tuple[str, int]] = set()

    @property
    def sent(self) -> int:
        """Return the number of messages that were sent."""
        return len(self._sent)

    @property
    def done(self) -> int:
        """Return the number of messages that ended for good."""
        return len(self._done)

    @property
    def parked(self) -> int:
        """Return the number of messages that were sent and have not started yet."""
        return len(self._sent - self._started)

    @property
    def unfinished(self) -> int:
        """Return the number of messages that were sent and have not ended for good."""
        return len(self._sent - self._done)

    @property
    def busy(self) -> int:
        """Return the number of busy slots, over all workers."""
        return sum(len(worker.busy) for worker in self.workers.values())

    def groups_in(self, state: str) -> int:
        """Return the number of groups in a state; see `GroupState`."""
        return sum(group.state == state for group in self.groups.values())

    def feed(self, events: Iterable[Event]) -> None:
        """Update the state with new events.

        Args:
            events: in order of time; a few late ones do no harm.
        """
        for event in events:
            kind = event["ev"]
            if kind == "sent":
                self._sent.add((event["group"], event["seq"]))
                self._group(event).sent += 1
            elif kind == "up":
                worker = self._worker(event)
                worker.up = True
                worker.pids.add(event["pid"])
            elif kind == "start":
                self._start(event)
            elif kind == "end":
                self._end(event)
            elif kind == "kill":
                self._kill(event)

    def _start(self, event: Event) -> None:
        worker = self._worker(event)
        worker.runs += 1
        worker.pids.add(event["pid"])
        worker.busy.add(_run_id(event))
        self.runs += 1
        self._started.add((event["group"], event["seq"]))
        self._group(event).state = "running"

    def _end(self, event: Event) -> None:
        worker, group = self._worker(event), self._group(event)
        worker.busy.discard(_run_id(event))
        if event["ok"] or event["reason"] == "failed":
            self._done.add((event["group"], event["seq"]))
            group.done += 1
            group.state = ""
        else:
            worker.retries += 1
            group.state = "retry"

    def _kill(self, event: Event) -> None:
        worker = self._worker(event)
        worker.killed = True
        for run in list(worker.busy):
            if run[0] in event["target"]:
                worker.busy.discard(run)
                self.groups[run[1]].state = "cut off"

    def _worker(self, event: Event) -> WorkerState:
        return self.workers.setdefault(event["worker"], WorkerState(event["worker"]))

    def _group(self, event: Event) -> GroupState:
        return self.groups.setdefault(event["group"], GroupState())


def _run_id(event: Event) -> RunId:
    return (event["pid"], event["group"], event["seq"])
