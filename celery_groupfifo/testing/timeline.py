"""The timeline of runs, read from events: place, start, end and outcome of each."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from celery_groupfifo.testing.history import Event

OK: Final = "ok"
FAILED: Final = "failed"
KILLED: Final = "killed"
RUNNING: Final = "running"

# A process thawed a moment ago may still start a task that was handed to it before it was stopped.
THAW_SECONDS: Final = 1.0


@dataclass
class RecordedRun:
    """One execution of a task body.

    `end` is infinite for a run without a recorded end; for a killed one it is the moment by which the process was dead.
    `outcome` is ``ok``, ``failed``, ``killed``, ``running``, or the body's reason for another run.
    """

    group: str
    seq: int
    fence: int
    attempt: int
    lost: int
    worker: str
    pid: int
    start: float
    end: float = math.inf
    outcome: str = RUNNING

    @property
    def final(self) -> bool:
        """Return whether the body said that this task needs no further run."""
        return self.outcome in (OK, FAILED)


@dataclass(frozen=True)
class Span:
    """A stretch of time: of a kill (aimed at … known dead), or of a pause (stopped … thawed)."""

    first: float
    last: float


@dataclass
class Timeline:
    """The events, sorted out. Build it with `Timeline.of`."""

    runs: dict[str, list[RecordedRun]] = field(default_factory=lambda: defaultdict(list))
    sent: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    gone: set[tuple[str, int]] = field(default_factory=set)
    workers: set[str] = field(default_factory=set)
    kills: dict[int, Span] = field(default_factory=dict)
    pauses: dict[int, list[Span]] = field(default_factory=lambda: defaultdict(list))
    first: float = 0.0
    last: float = 0.0

    @classmethod
    def of(cls, events: Iterable[Event]) -> Timeline:
        """Sort a history into runs and faults.

        Args:
            events: as `history.load` gives them, or in any order.

        Returns:
            The runs of each group in order of their starts, the sent tasks, and the faults.
        """
        timeline = cls()
        running: dict[tuple[int, str, int, int], RecordedRun] = {}
        ordered = sorted(events, key=lambda event: float(event["t"]))
        for event in ordered:
            timeline._add(event, running)
        for run in running.values():
            timeline._close(run)
        if ordered:
            timeline.first, timeline.last = float(ordered[0]["t"]), float(ordered[-1]["t"])
        return timeline

    def _add(self, event: Event, running: dict[tuple[int, str, int, int], RecordedRun]) -> None:
        kind, now = event["ev"], float(event["t"])
        if kind == "sent":
            self.sent[event["group"]].append(event["seq"])
        elif kind == "up":
            self.workers.add(event["worker"])
        elif kind == "gone":
            self.gone.add((event["group"], event["seq"]))
        elif kind == "kill":
            for pid in event["target"]:
                self.kills[pid] = Span(self.kills.get(pid, Span(now, now)).first, now)
        elif kind == "pause":
            for pid in event["target"]:
                self.pauses[pid].append(Span(now, float(event["until"])))
        elif kind in ("start", "end"):
            run_id = (event["pid"], event["group"], event["seq"], event["fence"])
            if kind == "start":
                running[run_id] = run = _run(event)
                self.workers.add(run.worker)
                self.runs[run.group].append(run)
            elif ended := running.pop(run_id, None):
                ended.end = now
                ended.outcome = OK if event["ok"] else event["reason"]

    def _close(self, run: RecordedRun) -> None:
        # The later of the two kill records counts: only then was the process certainly dead.
        kill = self.kills.get(run.pid)
        if kill and kill.last >= run.start:
            run.end, run.outcome = kill.last, KILLED

    def killed(self, run: RecordedRun, before: float = math.inf) -> bool:
        """Return whether the process of a run was killed after the run's start, and before another moment."""
        kill = self.kills.get(run.pid)
        return kill is not None and kill.last >= run.start and kill.first <= before

    def paused(self, run: RecordedRun, before: float = math.inf) -> bool:
        """Return whether the process of a run was stopped during the run, or right before its start."""
        return any(
            pause.first <= min(run.end, before) and pause.last + THAW_SECONDS >= run.start
            for pause in self.pauses.get(run.pid, ())
        )

    def zombie(self, run: RecordedRun) -> bool:
        """Return whether a run belongs to a paused process and was overtaken by a newer holder of its group.

        No lease can prevent this: the process was stopped for longer than its lease, another one took over with a
        higher fence, and then the first one woke up. Only the fence protects the outside world.
        """
        if not self.paused(run):
            return False
        return any(other.fence > run.fence and other.start < run.end for other in self.runs[run.group])

    def repeats(self) -> Iterator[tuple[RecordedRun, RecordedRun]]:
        """Yield each further run of a task with the run before it.

        Before it means: with the next lower fence; a paused process may start late.
        """
        tasks: dict[tuple[str, int], list[RecordedRun]] = defaultdict(list)
        for runs in self.runs.values():
            for run in runs:
                tasks[run.group, run.seq].append(run)
        for runs in tasks.values():
            yield from pairwise(sorted(runs, key=lambda run: (run.fence, run.start)))

    def reason(self, run: RecordedRun, again: RecordedRun) -> str | None:
        """Return the reason of a task's further run.

        Args:
            run: the earlier run.
            again: the next run of the same task.

        Returns:
            The body's reason (``"retry"``), ``"killed"``, ``"paused"``, or None without a recorded reason.
        """
        if run.outcome not in (OK, FAILED, KILLED, RUNNING):
            return run.outcome
        if self.killed(run, before=again.start):
            return KILLED
        return "paused" if self.paused(run, before=again.start) else None


def _run(event: Event) -> RecordedRun:
    return RecordedRun(
        group=event["group"],
        seq=event["seq"],
        fence=event["fence"],
        attempt=event.get("attempt", 1),
        lost=event.get("lost", 0),
        worker=event.get("worker", "?"),
        pid=event["pid"],
        start=float(event["t"]),
    )
