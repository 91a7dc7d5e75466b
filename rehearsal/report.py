"""The report: what a rehearsal found, as lines for people and as a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rehearsal.day import Outcome
from rehearsal.plan import Plan
from rehearsal.samples import Sample

#: Breaches that are shown.
SHOWN = 20


def progress(plan: Plan, sample: Sample, seconds: float) -> str:
    """Return the line that shows how far a rehearsal is."""
    return (
        f"{sample.hours:6.2f} of {plan.hours:g} h · {seconds:5.0f} s · {sample.accepted:,} tasks accepted · "
        f"{sample.tasks:,} at the gate in {sample.groups:,} groups · {sample.busy} of "
        f"{sample.workers * plan.slots:,} slots busy · {sample.mean_us:.0f} µs per call"
    )


def lines(outcome: Outcome) -> Iterator[str]:
    """Yield the lines of the result: the counts, and each breach."""
    judge = outcome.judge
    yield " · ".join(f"{count:,} {name}" for name, count in judge.counts.most_common())
    for breach in judge.breaches[:SHOWN]:
        yield f"BREACH of {breach.rule}: task {breach.id} of group {breach.group} at {breach.ms} ms: {breach.note}"
    if outcome.left:
        yield f"LEFT OVER: {outcome.left}"
    yield "no breach, nothing left over" if is_sound(outcome) else f"{len(judge.breaches)} breaches"


def is_sound(outcome: Outcome) -> bool:
    """Return whether every rule held, and no key is left."""
    return not outcome.judge.breaches and not outcome.left


def write(path: Path, plan: Plan, outcome: Outcome, place: dict[str, Any], seconds: float) -> None:
    """Write the figures.

    Args:
        path: Of the file, JSON.
        plan: Of the day.
        outcome: Of the rehearsal.
        place: Versions and machine.
        seconds: That it took.
    """
    said = {
        "plan": asdict(plan),
        "environment": {name: value for name, value in place.items() if name != "redis"},  # all that INFO says
        "seconds": round(seconds),
        "virtual_hours": round(outcome.seconds / 3600, 2),
        "counts": dict(outcome.judge.counts.most_common()),
        "breaches": [breach._asdict() for breach in outcome.judge.breaches],
        "left": {name: str(value) for name, value in outcome.left.items()},
        "samples": [sample.as_row() for sample in outcome.samples],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
