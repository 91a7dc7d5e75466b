"""This is copied beside Celery's tests as their outermost conftest.py.

It gives their apps the task class of own_group.py, writes down what became of each test, and looks at the end
for what is left in the gate.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest
import redis

from tests.compatibility.celery_suite.left import left_over

GATED = os.environ.get("SUITE_GATED") == "1"
#: Seconds that the worker has at the end for what its tests left to it: a purged ticket goes out again after three.
END_SECONDS = 60.0

#: What ordered tasks do differently on purpose; one of these that passes is a failure.
DIFFERENT = {
    "test_inspect.py::test_Inspect::test_active": "acks_late: a running task is not acknowledged yet",
    "test_inspect.py::test_Inspect::test_query_task": "acks_late: a running task is not acknowledged yet",
    "test_inspect.py::test_Inspect::test_scheduled": "a task with an ETA is kept at the gate, not in a worker",
}


def _write(**line: Any) -> None:
    with open(os.environ["SUITE_OUTCOMES"], "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


if GATED:

    @pytest.fixture(scope="session")
    def celery_parameters() -> dict[str, Any]:
        return {"task_cls": "tests.compatibility.celery_suite.own_group:OwnGroupTask"}

    def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
        for item in items:
            reason = DIFFERENT.get(item.nodeid.rpartition("/")[2])
            call = getattr(item, "callspec", None)
            if call is not None and call.params.get("task_protocol") == 1:
                reason = "the older protocol has no place for a ticket: InvalidSetting says so"
            if reason:
                item.add_marker(pytest.mark.xfail(strict=True, reason=reason))


def pytest_runtest_logstart(nodeid: str) -> None:
    _write(test=nodeid, outcome="begun")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    outcome: str = report.outcome
    if outcome == "rerun":  # of pytest-rerunfailures
        pass
    elif hasattr(report, "wasxfail"):
        outcome = "xpassed" if report.passed else "xfailed"
    elif report.failed and report.when != "call":
        outcome = "error"
    _write(test=report.nodeid, outcome=outcome, seconds=report.duration, why=_why(report))


def _why(report: pytest.TestReport) -> str:
    if report.passed or report.longrepr is None:
        return ""
    return str(report.longrepr).strip().splitlines()[-1][:300]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """After the last test, while the worker still lives."""
    if nextitem is not None:
        return
    with redis.Redis.from_url(os.environ["TEST_BROKER"]) as client:
        end = time.monotonic() + END_SECONDS
        while (left := left_over(client)) and time.monotonic() < end:
            time.sleep(0.1)
        _write(left=left)
