"""The counts of a history: runs, workers, busy slots, repetitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from celery_groupfifo.testing.history import Event
from celery_groupfifo.testing.timeline import KILLED, RecordedRun, Timeline


@dataclass
class WorkerSummary:
    """The counts of one worker. `busy` is the most slots it had at work at once."""

    name: str
    runs: int = 0
    retries: int = 0
    pids: set[int] = field(default_factory=set)
    busy: int = 0
    killed: bool = False


@dataclass
class Summary:
    """The counts of a whole history.

    `busy` is the most slots at work at once, over all workers; `repeats` counts further runs of a task by their reason
    (``"none"`` where there is no reason); `recoveries` has, for each task cut off by a kill, the seconds until it ran
    again; `seconds` goes from the first event to the last.
    """

    sent: int
    groups: int
    done: int
    runs: int
    busy: int
    seconds: float
    repeats: Counter[str]
    recoveries: list[float]
    workers: dict[str, WorkerSummary]


def summary(events: Iterable[Event]) -> Summary:
    """Count the runs, workers and repetitions of a history.

    Args:
        events: the history, in any order.

    Returns:
        The figures, workers in order of their names.
    """
    timeline = Timeline.of(events)
    runs = [run for group in timeline.runs.values() for run in group]
    return Summary(
        sent=sum(map(len, timeline.sent.values())),
        groups=len({*timeline.sent, *timeline.runs}),
        done=len({(run.group, run.seq) for run in runs if run.final}),
        runs=len(runs),
        busy=_most_at_once(runs),
        seconds=timeline.last - timeline.first,
        repeats=Counter(timeline.reason(run, again) or "none" for run, again in timeline.repeats()),
        recoveries=[again.start - run.end for run, again in timeline.repeats() if run.outcome == KILLED],
        workers={
            name: _worker(name, timeline, [run for run in runs if run.worker == name])
            for name in sorted(timeline.workers)
        },
    )


def _worker(name: str, timeline: Timeline, runs: list[RecordedRun]) -> WorkerSummary:
    return WorkerSummary(
        name=name,
        runs=len(runs),
        retries=sum(run.outcome == "retry" for run in runs),
        pids={run.pid for run in runs},
        busy=_most_at_once(runs),
        killed=any(timeline.killed(run) for run in runs),
    )


def _most_at_once(runs: Iterable[RecordedRun]) -> int:
    # At equal times an end comes before a start: False sorts first.
    steps = sorted([(run.start, True) for run in runs] + [(run.end, False) for run in runs])
    most = now = 0
    for _, begins in steps:
        now += 1 if begins else -1
        most = max(most, now)
    return most
