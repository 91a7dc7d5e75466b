"""The pace of a process that looks: free for a while, then a part of the time."""

from __future__ import annotations

import pytest
from celery import Celery

from celery_groupfifo import Groups
from celery_groupfifo.gate.store import Store
from celery_groupfifo.groups import pace
from celery_groupfifo.groups.pace import OWED, Pace, pace_of


class Hours:
    """The clock of the wall and that of the CPU, both in a test's hands."""

    def __init__(self) -> None:
        self.now = self.cpu = 100.0

    def wait(self, seconds: float) -> None:
        """Sleep."""
        self.now += seconds

    def work(self, seconds: float) -> None:
        """Use the CPU."""
        self.now += seconds
        self.cpu += seconds


def refuse(seconds: float) -> None:
    """Fail: nobody waits here."""
    pytest.fail(f"It waits for {seconds} s.")


@pytest.fixture
def hours(monkeypatch: pytest.MonkeyPatch) -> Hours:
    hours = Hours()
    monkeypatch.setattr(pace, "monotonic", lambda: hours.now)
    monkeypatch.setattr(pace, "thread_time", lambda: hours.cpu)
    return hours


def test_a_few_calls_never_wait(hours: Hours) -> None:
    limit = Pace(share=0.1, burst=2.0)
    for _ in range(19):
        with limit.call(wait=refuse):
            hours.work(0.1)


def test_without_pause_it_is_a_part_of_the_time(hours: Hours) -> None:
    limit, calls = Pace(share=0.1, burst=2.0), 0
    start = hours.now
    while hours.now < start + 1000:
        with limit.call(wait=hours.wait):
            hours.work(0.01)
        calls += 1
    assert calls * 0.01 == pytest.approx(2 + 0.1 * 1000, rel=0.01)


def test_waiting_for_redis_costs_nothing(hours: Hours) -> None:
    limit = Pace(share=0.1, burst=2.0)
    for _ in range(100):
        with limit.call(wait=refuse):
            hours.wait(1)
            hours.work(0.05)


def test_a_rest_gives_the_burst_back_and_no_more(hours: Hours) -> None:
    limit = Pace(share=0.1, burst=2.0)
    limit.spent(2.0)
    hours.wait(1000)
    limit.spent(2.1)
    assert limit.owed() == pytest.approx(1.0)


def test_no_call_waits_for_longer_than_it_may_and_the_rest_is_owed(hours: Hours) -> None:
    limit = Pace(share=0.1, burst=2.0, longest=3.0)
    limit.spent(1000.0)
    assert limit.owed() == 3.0
    hours.wait(3)
    assert limit.owed() == 3.0, "of a minute"
    hours.wait(OWED - 3)
    assert limit.owed() == pytest.approx(0.0)


def test_a_dear_call_is_a_part_of_the_time_too(hours: Hours) -> None:
    """A list of a large gate takes more than a second of CPU: no part of that is forgiven."""
    limit, start, calls = Pace(), hours.now, 0
    while hours.now < start + 1000:
        with limit.call(wait=hours.wait):
            hours.work(1.3)
        calls += 1
    assert calls * 1.3 < 2 + 2 * 1.3 + pace.SHARE * 1000


def test_calls_at_the_same_time_wait_for_each_other(hours: Hours) -> None:
    limit = Pace(share=0.1, burst=0.0)
    with limit.call(wait=hours.wait):
        hours.work(1.0)
    waits: list[float] = []
    for _ in range(3):  # none of them has come to its work
        waits.append(limit.owed())
        limit.charge()
    assert waits == sorted(waits) and waits[1] - waits[0] == pytest.approx(pace.LAST * 1.0 / 0.1)


@pytest.mark.parametrize(("waited", "counts"), [(0.002, 0.002), (5.0, pace.SCRIPT)])
def test_the_time_of_a_script_counts_up_to_a_bound(hours: Hours, waited: float, counts: float) -> None:
    limit = Pace(share=0.1, burst=0.0)
    with limit.call(wait=refuse, most=pace.SCRIPT):
        hours.wait(waited)
    assert limit.owed() == pytest.approx(counts / 0.1, abs=1e-6)


def test_a_call_that_failed_counts_too(hours: Hours) -> None:
    limit = Pace(share=0.1, burst=0.0)
    with pytest.raises(ValueError, match="x"), limit.call():
        hours.work(0.1)
        raise ValueError("x")
    assert limit.owed() == pytest.approx(1.0)


@pytest.fixture
def app(hours: Hours, monkeypatch: pytest.MonkeyPatch) -> Celery:
    """An app whose gate takes 2.1 seconds of CPU for every answer."""
    app = Celery("busy", broker="redis://127.0.0.1:1/0", set_as_current=False)

    def read(name: str, build: object, keys: object = None) -> list[object]:
        hours.work(2.1)
        return [[]]

    monkeypatch.setattr(Groups(app).gate.store, "read", read)
    return app


@pytest.fixture
def waits(hours: Hours, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that calls have waited."""
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        hours.wait(seconds)

    monkeypatch.setattr(pace, "sleep", wait)
    monkeypatch.setattr(Store, "look", lambda store: None)
    return waits


def test_a_process_that_looks_by_new_groups_each_time_is_slowed_down_too(app: Celery, waits: list[float]) -> None:
    Groups(app).actions()
    assert waits == []
    Groups(app).actions()
    assert len(waits) == 1
    Groups(app, paced=False).actions()
    assert len(waits) == 1


def test_another_gate_has_a_pace_of_its_own(app: Celery, waits: list[float]) -> None:
    other = Celery("other", broker="redis://127.0.0.1:1/1", set_as_current=False)
    assert pace_of(Groups(app).gate) is pace_of(Groups(app).gate) is not pace_of(Groups(other).gate)


@pytest.mark.parametrize("green", ["gevent", "eventlet"])
def test_the_time_of_other_greenlets_is_not_counted(
    app: Celery, waits: list[float], monkeypatch: pytest.MonkeyPatch, green: str
) -> None:
    """They share the thread, and its CPU time: nobody is slowed down."""
    monkeypatch.setattr(pace, "detect_environment", lambda: green)
    for _ in range(3):
        Groups(app).actions()
    assert waits == []
