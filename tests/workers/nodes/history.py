"""Reads what the tasks of tests/workers/nodes/tasks.py wrote."""

from __future__ import annotations

from typing import Any

from tests.support.crews.history import History


def history_of(worker: Any) -> History:
    """Return the history in the volume of a worker's node; all workers of a test share one."""
    code, output = worker.container.exec_run(["cat", "/app/history"])
    return History(output.decode() if code == 0 else "")
