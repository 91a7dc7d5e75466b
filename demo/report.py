"""The texts at the end of the demo: a table of the workers, and the verdict."""

from __future__ import annotations

from celery_groupfifo.testing.checker import Verdict
from celery_groupfifo.testing.summary import Summary

_OFFENDERS_SHOWN = 3


def plural(number: int, noun: str) -> str:
    """Return a number with its noun, e.g. ``1 worker`` or ``3 workers``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def worker_table(summary: Summary, slots: int) -> str:
    """Return a table with a line per worker.

    Args:
        summary: the figures.
        slots: slots of each worker.
    """
    width = max(map(len, summary.workers), default=6)
    lines = [f"{'worker':{width}}  {'runs':>5}  {'retries':>7}  slots busy  processes"]
    for worker in summary.workers.values():
        busy = f"{worker.busy} of {slots}"
        fate = "  (killed)" if worker.killed else ""
        figures = f"{worker.runs:>5}  {worker.retries:>7}  {busy:>10}  {len(worker.pids):>9}"
        lines.append(f"{worker.name:{width}}  {figures}{fate}")
    retries = sum(worker.retries for worker in summary.workers.values())
    lines.append(f"{'all':{width}}  {summary.runs:>5}  {retries:>7}  {summary.busy:>10}  at once, at most")
    return "\n".join(lines)


def recovery(summary: Summary) -> str:
    """Return a sentence about when the groups of killed workers went on; empty where there were none."""
    if not summary.recoveries:
        return ""
    first, last = min(summary.recoveries), max(summary.recoveries)
    return (
        f"Messages cut off by the kill: {len(summary.recoveries)}. "
        f"Their groups went on, with them first, after {first:.1f} to {last:.1f} s."
    )


def verdict_text(verdict: Verdict, summary: Summary, *, interim: bool = False) -> str:
    """Return the verdict: one line when it is clean, else the first offenders of each property as well.

    Args:
        verdict: of the checker.
        summary: the figures of the same history.
        interim: True when the demo still goes on.
    """
    explained = {reason: number for reason, number in summary.repeats.items() if reason != "none"}
    reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(explained.items())) or "none"
    head = "SO FAR" if interim else "VERDICT"
    line = (
        f"{head} {'clean' if verdict.clean else 'BROKEN'}: "
        f"{summary.done} of {summary.sent} messages in {summary.groups} groups, {summary.runs} runs; "
        f"order breaks {len(verdict.order)}, overlaps {len(verdict.overlap)}, losses {len(verdict.lost)}, "
        f"fence breaks {len(verdict.fence)}, unexplained repeats {len(verdict.repeat)}, "
        f"explained repeats: {reasons}"
    )
    lines = [line]
    for name in verdict.broken:
        breaches = getattr(verdict, name)
        lines += [f"  {name}: {breach.group}: {breach.note}" for breach in breaches[:_OFFENDERS_SHOWN]]
        if len(breaches) > _OFFENDERS_SHOWN:
            lines.append(f"  {name}: and {len(breaches) - _OFFENDERS_SHOWN} more")
    return "\n".join(lines)
