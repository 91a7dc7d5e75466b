"""The failure of a run, as a dead letter keeps it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from celery_groupfifo.windows import Breaker
from celery_groupfifo.worker.failures import TRACEBACK, failure


def traceback_kept(traceback: object, policy: str = "dead_letter") -> str:
    settings = SimpleNamespace(on_failure=policy, block_for=None, break_after=None)
    member: Any = SimpleNamespace(gate=SimpleNamespace(settings=settings), consumer=SimpleNamespace(hostname="w1@host"))
    found = failure(member, {"task": "t"}, None, ValueError("boom"), traceback)
    assert found is not None
    return found.traceback


def test_the_end_of_a_long_traceback_is_kept_from_the_start_of_a_line_on() -> None:
    lines = [f"line {n} ä" for n in range(5000)]
    kept = traceback_kept("\n".join(lines))
    assert TRACEBACK - 20 < len(kept.encode()) <= TRACEBACK
    assert kept.split("\n") == lines[-len(kept.split("\n")) :]


def test_one_endless_line_is_cut_anywhere() -> None:
    kept = traceback_kept("ä" * 20_000)
    assert set(kept) == {"ä"} and TRACEBACK - 2 < len(kept.encode()) <= TRACEBACK


@pytest.mark.parametrize("traceback", ["short", "", "a \ud800 surrogate"])
def test_a_short_one_is_kept_whole(traceback: str) -> None:
    assert traceback_kept(traceback) == traceback.encode("utf-8", "backslashreplace").decode()


def test_it_is_kept_for_a_dead_letter_only_and_where_celery_has_one() -> None:
    assert traceback_kept("text", "block") == traceback_kept(None) == traceback_kept(SimpleNamespace()) == ""


@pytest.mark.parametrize(
    ("setting", "on_task", "call", "lasts"),
    [(None, None, None, 0), (7, None, None, 7000), (7, 2.5, None, 2500), (7, 2.5, 0.1, 100), (None, None, 1, 1000)],
)
def test_the_time_of_a_block(setting: float | None, on_task: float | None, call: float | None, lasts: int) -> None:
    """The call wins over the task, and the task over the setting; other policies have no block."""
    for policy in ("block", "dead_letter"):
        settings = SimpleNamespace(on_failure=policy, block_for=setting, break_after=None)
        member: Any = SimpleNamespace(gate=SimpleNamespace(settings=settings), consumer=SimpleNamespace(hostname="w1"))
        headers = {"task": "t"} if call is None else {"task": "t", "groupfifo_block_for": call}
        task = type("Task", (), {"group_block_for": on_task})()
        found = failure(member, headers, task, ValueError("boom"))
        assert found is not None and found.lasts == (lasts if policy == "block" else 0)


@pytest.mark.parametrize("policy", ["continue", "dead_letter", "block"])
@pytest.mark.parametrize(
    ("setting", "on_task", "call", "breaker"),
    [
        (None, None, None, None),
        ("5/60s", None, None, Breaker(5, 60_000, 60_000)),
        ("5/60s", "3/10m/30s", None, Breaker(3, 600_000, 30_000)),
        ("5/60s", "3/10m/30s", "1/0.5h/0.5s", Breaker(1, 1_800_000, 500)),
    ],
)
def test_the_breaker_that_counts_it(
    policy: str, setting: Any, on_task: Any, call: Any, breaker: Breaker | None
) -> None:
    """The call wins over the task, and the task over the setting. A block needs none: it halts the group already."""
    settings = SimpleNamespace(on_failure=policy, block_for=None, break_after=setting)
    member: Any = SimpleNamespace(gate=SimpleNamespace(settings=settings), consumer=SimpleNamespace(hostname="w1"))
    headers = {"task": "t"} if call is None else {"task": "t", "groupfifo_break_after": call}
    task = type("Task", (), {"group_break_after": on_task})()
    found = failure(member, headers, task, ValueError("boom"))
    if policy == "continue" and breaker is None:
        assert found is None
    else:
        assert found is not None and found.breaker == (None if policy == "block" else breaker)


@pytest.mark.parametrize(
    ("policy", "breaker", "others"),
    [
        ("cancel_rest", None, ("B", "C%20")),
        ("dead_letter", "2/60s", ("B", "C%20")),
        ("dead_letter", None, ()),
        ("block", None, ()),
    ],
)
def test_the_other_groups_of_a_task_where_the_failure_concerns_them(
    policy: str, breaker: str | None, others: tuple[str, ...]
) -> None:
    settings = SimpleNamespace(on_failure=policy, block_for=None, break_after=breaker)
    member: Any = SimpleNamespace(gate=SimpleNamespace(settings=settings), consumer=SimpleNamespace(hostname="w1"))
    found = failure(member, {"task": "t", "groupfifo_keys": ["A", "B", "C "]}, None, ValueError("boom"))
    assert found is not None and found.others == others
