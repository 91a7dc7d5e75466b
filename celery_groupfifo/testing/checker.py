"""The judge of a history: was the order kept, did runs overlap, was a task lost or repeated?

Pure functions over the events of `history`. A verdict names every offender, property by property; a property that held
has none. The rules in short, for the runs of one group:

* **overlap**: at most one run at a time. A run without an end lasts until its process was known dead; without a kill,
  for ever. Kills are written before and after the deed, and the later record counts here, so that a killed run is never
  thought shorter than it was.
* **overlap_zombie**: as above, but the earlier run's process had been paused and the later one has the higher fence. No
  lease can prevent it, so it is listed apart and does not make a verdict bad.
* **order**: first starts follow `seq`; a task first starts only when the one before it has ended for good, over all its
  retries and repetitions.
* **lost**: sent, and neither ended for good nor declared gone.
* **repeat**: a further run of a task without a recorded reason.
* **fence**: each start has a higher fence than the one before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import NamedTuple

from celery_groupfifo.testing.history import Event
from celery_groupfifo.testing.summary import Summary, summary
from celery_groupfifo.testing.timeline import RecordedRun, Timeline

__all__ = ["Summary", "Verdict", "Violation", "check", "summary"]


class Violation(NamedTuple):
    """One offence, with its group, its task and a sentence."""

    group: str
    seq: int
    note: str


@dataclass(frozen=True)
class Verdict:
    """The offenders of each property; see the module's docstring for the rules."""

    overlap: list[Violation]
    overlap_zombie: list[Violation]
    order: list[Violation]
    lost: list[Violation]
    repeat: list[Violation]
    fence: list[Violation]

    @property
    def broken(self) -> tuple[str, ...]:
        """Return the names of the properties with offenders, `overlap_zombie` among them."""
        return tuple(item.name for item in fields(self) if getattr(self, item.name))

    @property
    def clean(self) -> bool:
        """Return whether all properties held; `overlap_zombie` does not count."""
        return not set(self.broken) - {"overlap_zombie"}


def check(events: Iterable[Event], *, drained: bool = True, concurrency: int = 1) -> Verdict:
    """Judge a history.

    Args:
        events: the history, in any order.
        drained: True when all work had the time to end; False: no task is called lost.
        concurrency: runs that a group may have at once. Above 1, tasks start in order but may end in any.

    Returns:
        The verdict.
    """
    timeline = Timeline.of(events)
    overlap, overlap_zombie = _overlaps(timeline, concurrency)
    return Verdict(
        overlap=overlap,
        overlap_zombie=overlap_zombie,
        order=_order(timeline, strict=concurrency == 1),
        lost=_lost(timeline) if drained else [],
        repeat=_repeats(timeline),
        fence=_fences(timeline),
    )


def _overlaps(timeline: Timeline, concurrency: int) -> tuple[list[Violation], list[Violation]]:
    plain: list[Violation] = []
    zombie: list[Violation] = []
    for group, runs in timeline.runs.items():
        live: list[RecordedRun] = []
        for run in runs:
            live = [other for other in live if other.end > run.start]
            sound = [other for other in live if not timeline.zombie(other)]
            others = ", ".join(_name(other) for other in live)
            breach = Violation(group, run.seq, f"{_name(run)} started while {others} had not ended")
            if len(live) >= concurrency:
                excused = len(sound) < concurrency or timeline.zombie(run)
                (zombie if excused else plain).append(breach)
            live.append(run)
    return plain, zombie


def _order(timeline: Timeline, *, strict: bool) -> list[Violation]:
    breaches: list[Violation] = []
    for group in {**timeline.sent, **timeline.runs}:
        by_seq = _by_seq(timeline, group)
        known = set(timeline.sent.get(group, ())) | set(by_seq)
        line = sorted(seq for seq in known if seq in by_seq or (group, seq) not in timeline.gone)
        for earlier, later in pairwise(line):
            if later in by_seq:
                gone = (group, earlier) in timeline.gone
                note = _out_of_line(by_seq.get(earlier, []), by_seq[later][0], strict=strict, gone=gone)
                if note:
                    breaches.append(Violation(group, later, f"{_name(by_seq[later][0])} started {note}"))
    return breaches


def _out_of_line(runs: list[RecordedRun], later: RecordedRun, *, strict: bool, gone: bool) -> str | None:
    """Say what is wrong with the first start of a task, given the runs of the one before it; None: it is right."""
    if not runs:
        return "though the one before it never did"
    if later.start < runs[0].start:
        return f"before {_name(runs[0])}"
    if not strict:
        return None
    last = runs[-1]
    if last.start > later.start:
        return f"before {_name(last)}, a further run of the one before it"
    if last.end > later.start:
        return f"while {_name(last)} had not ended"
    if not last.final and not gone:
        return f"though {_name(last)} had not ended for good ({last.outcome})"
    return None


def _lost(timeline: Timeline) -> list[Violation]:
    breaches: list[Violation] = []
    for group, sent in timeline.sent.items():
        by_seq = _by_seq(timeline, group)
        for seq in sent:
            runs = by_seq.get(seq, [])
            if (group, seq) in timeline.gone or any(run.final for run in runs):
                continue
            fate = f"last seen as {_name(runs[-1])}: {runs[-1].outcome}" if runs else "never started"
            breaches.append(Violation(group, seq, f"#{seq} was sent, {fate}"))
    return breaches


def _repeats(timeline: Timeline) -> list[Violation]:
    return [
        Violation(run.group, run.seq, f"{_name(again)} repeats {_name(run)} ({run.outcome}) for no recorded reason")
        for run, again in timeline.repeats()
        if timeline.reason(run, again) is None
    ]


def _fences(timeline: Timeline) -> list[Violation]:
    breaches: list[Violation] = []
    for group, runs in timeline.runs.items():
        sound = [run for run in runs if not timeline.zombie(run)]
        breaches += [
            Violation(group, later.seq, f"{_name(later)} started after {_name(earlier)}: its fence is not higher")
            for earlier, later in pairwise(sound)
            if later.fence <= earlier.fence
        ]
    return breaches


def _by_seq(timeline: Timeline, group: str) -> dict[int, list[RecordedRun]]:
    # A zombie's run does not count: its completion is refused, and another run of its task does the work.
    by_seq: dict[int, list[RecordedRun]] = defaultdict(list)
    for run in timeline.runs.get(group, ()):
        if not timeline.zombie(run):
            by_seq[run.seq].append(run)
    return by_seq


def _name(run: RecordedRun) -> str:
    return f"#{run.seq} (fence {run.fence}, {run.worker} pid {run.pid})"
