"""The same tasks, ordered; and the plain ones of an app that uses the package."""

from __future__ import annotations

import time

from celery import Task

from benchmarks import recording
from benchmarks.apps import work
from benchmarks.apps.config import configured_app
from benchmarks.producer import SMALL
from celery_groupfifo import BatchCall, GroupFifoTask

app = configured_app()


def tenant_of(group: str, **_: object) -> str:
    """Return the tenant of a group."""
    return "small" if group == f"g{SMALL}" else "big"


noop = app.task(base=GroupFifoTask, group_key="{group}", name="bench.noop")(work.noop)
step = app.task(base=GroupFifoTask, group_key="{group}", name="bench.step")(work.step)
fair_step = app.task(base=GroupFifoTask, group_key="{group}", group_fair_key=tenant_of, name="bench.fair_step")(
    work.step
)
weighted_step = app.task(
    base=GroupFifoTask, group_key="{group}", group_fair_key=tenant_of, group_fair_weight=3, name="bench.weighted_step"
)(work.step)
plain_noop = app.task(name="bench.plain_noop")(work.noop)
plain_step = app.task(name="bench.plain_step")(work.step)


@app.task(base=GroupFifoTask, group_key=lambda group, number: group, group_batch=50, name="bench.batched")
def batched(calls: list[BatchCall]) -> None:
    """Do nothing, for up to 50 calls at once."""


@app.task(base=GroupFifoTask, group_key=lambda group, number, seconds: group, group_batch=50, name="bench.batched_step")
def batched_step(calls: list[BatchCall]) -> None:
    """Work once for up to 50 calls, as one write to a database does, and record them."""
    time.sleep(calls[0].args[2])
    for call in calls:
        group, number, _ = call.args
        recording.write(recording.START, group, number)
        recording.write(recording.END, group, number)


@app.task(base=GroupFifoTask, bind=True, group_key="{group}", max_retries=1, name="bench.retried")
def retried(self: Task, group: str, number: int, seconds: float) -> None:
    """Record a run, and after the first one be retried at a moment of the monotonic clock, in seconds."""
    work.step(group, number)
    if not self.request.retries:
        raise self.retry(countdown=seconds - time.monotonic())
