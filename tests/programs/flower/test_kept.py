"""A kept value is read once for all who ask, and never older than who asks may bear."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from celery_groupfifo.flower import kept as module
from celery_groupfifo.flower.kept import LONG, STALE, Kept


class Reading:
    """Readings that take time by a clock in a test's hands; each finds what is there when it begins."""

    def __init__(self) -> None:
        self.now, self.takes, self.there, self.made = 100.0, 0.0, "old", 0
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()

    def __call__(self) -> str:
        self.made += 1
        found = self.there
        self.begun.set()
        assert self.may_end.wait(60)
        self.now += self.takes
        return found


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Reading:
    reading = Reading()
    monkeypatch.setattr(module, "monotonic", lambda: reading.now)
    return reading


def settled(kept: Kept) -> None:
    """Return when nobody reads."""
    assert kept._lock.acquire(timeout=60)
    kept._lock.release()


def slow(reading: Reading) -> Kept:
    """A value whose reading takes long, and which is over but serves still."""
    kept = Kept(reading, age=1.0)
    reading.takes = 2 * LONG
    assert kept.get() == "old"
    reading.now += 10 * reading.takes + STALE / 2
    reading.begun.clear()
    return kept


def test_it_serves_for_a_while(reading: Reading) -> None:
    kept = Kept(reading, age=1.0)
    assert kept.old
    assert [kept.get(), kept.get()] == ["old", "old"] and not kept.old
    reading.now, reading.there = reading.now + 1.1, "new"
    assert kept.old and kept.get() == "new" and reading.made == 2


def test_a_slow_one_is_renewed_in_the_background(reading: Reading) -> None:
    kept = slow(reading)
    reading.there = "new"
    reading.may_end.clear()
    assert [kept.get(), kept.get()] == ["old", "old"]
    assert reading.begun.wait(60)
    reading.may_end.set()
    settled(kept)
    assert kept.get() == "new" and reading.made == 2


def test_a_forgotten_one_is_read_at_once(reading: Reading) -> None:
    kept = slow(reading)
    kept.forget()
    reading.there = "new"
    assert kept.old and kept.get() == "new"


def test_a_renewal_that_has_begun_before_does_not_count(reading: Reading) -> None:
    """Timeline: a renewal begins, a group is paused, all is to be read anew, and only then the renewal ends."""
    kept = slow(reading)
    reading.may_end.clear()
    assert kept.get() == "old"
    assert reading.begun.wait(60)
    reading.there = "new"
    kept.forget()
    found: list[Any] = []
    asking = threading.Thread(target=lambda: found.append(kept.get()))
    asking.start()
    reading.may_end.set()
    asking.join(60)
    settled(kept)
    assert found == ["new"] and kept.get() == "new" and reading.made == 3


def test_one_who_has_asked_before_gets_what_was_read_for_him(reading: Reading) -> None:
    kept = Kept(reading, age=1.0)
    reading.may_end.clear()
    found: list[Any] = []
    asking = threading.Thread(target=lambda: found.append(kept.get()))
    asking.start()
    assert reading.begun.wait(60)
    reading.there = "new"
    kept.forget()
    reading.may_end.set()
    asking.join(60)
    assert found == ["old"] and kept.old and kept.get() == "new"


def test_without_a_thread_the_old_one_serves_and_is_renewed_later(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = slow(reading)

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert kept.get() == "old"
    reading.there = "new"
    assert kept.get() == "old", "and renewed in the background"
    assert reading.begun.wait(60)
    settled(kept)
    assert kept.get() == "new"


def test_a_renewal_that_fails_leaves_the_old_one(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = slow(reading)

    def fail() -> str:
        reading.begun.set()
        raise ValueError("away")

    monkeypatch.setattr(kept, "_read", fail)
    assert kept.get() == "old"
    assert reading.begun.wait(60)
    settled(kept)
    assert kept.get() == "old"
