"""Rows of the command line."""

from __future__ import annotations

from datetime import datetime, timezone

from celery_groupfifo.cli.output import GROUP_HEAD, group_row
from celery_groupfifo.groups.view import Group, Running


def test_a_worker_of_many_runs_is_named_once() -> None:
    since = datetime(2026, 3, 1, tzinfo=timezone.utc)
    running = tuple(Running(f"id-{n}", "", f"worker-{n % 2}", n, 30.0, since) for n in range(10))
    group = Group(key="k", state="running", depth=10, head="id-0", running=running, oldest_age=1.0)
    assert group_row(group)[GROUP_HEAD.index("WORKER")] == "worker-0,worker-1"
