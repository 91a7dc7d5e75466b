"""Whose word counts when sentinels differ, are away, or have been set up anew."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import redis

from celery_groupfifo.gate import sentinels
from celery_groupfifo.gate.sentinels import SentinelMaster

OLD, NEW = ("10.0.0.1", 6379), ("10.0.0.2", 6379)


class Sentinel:
    """Says what a test lets it say; stands for the connections to it, and for each of them."""

    def __init__(self, address: tuple[str, int] = OLD, epoch: int = 1, flags: str = "master", others: int = 2) -> None:
        self.address, self.epoch, self.flags, self.others = address, epoch, flags, others
        self.error: redis.RedisError | None = None
        self.asked = 0
        self.quorum, self.down_after, self.silent_for = 2, 30_000, 0

    def take(self) -> Sentinel:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self

    def give_back(self, connection: Any) -> None: ...

    def close(self, connection: Any) -> None: ...

    def send_command(self, *words: str) -> None:
        assert words == ("SENTINEL", "MASTER", "main")

    def read_response(self) -> list[bytes]:
        said = {
            "ip": self.address[0],
            "port": self.address[1],
            "flags": self.flags,
            "config-epoch": self.epoch,
            "num-other-sentinels": self.others,
            "quorum": self.quorum,
            "down-after-milliseconds": self.down_after,
            "last-ok-ping-reply": self.silent_for,
        }
        return [str(word).encode() for pair in said.items() for word in pair]


class Clock:
    """The time of a test."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(sentinels, "monotonic", clock)
    return clock


def master_of(*sentinels: Sentinel, others: int = 0) -> SentinelMaster:
    return SentinelMaster(sentinels, "main", others)  # type: ignore[arg-type]


def test_an_answer_serves_for_a_second(clock: Clock) -> None:
    one = Sentinel()
    master = master_of(one)
    assert [master.last() for _ in range(5)] == [OLD] * 5
    one.address = NEW
    clock.now += 0.9
    assert (master.last(), one.asked) == (OLD, 1)
    clock.now += 0.2
    assert (master.last(), one.asked) == (NEW, 2)


def test_a_new_connection_asks_anew(clock: Clock) -> None:
    one = Sentinel()
    master = master_of(one)
    assert master.find() == OLD
    one.address = NEW
    clock.now += 0.1
    assert master.find() == NEW
    assert master.last() == NEW and one.asked == 2


def test_all_are_asked_and_the_newest_word_counts(clock: Clock) -> None:
    """Timeline: the master freezes; the leader names another; the master goes on, and two sentinels see it at work.

    A process that made no call meanwhile has nothing to doubt.
    """
    first, second, leader = Sentinel(), Sentinel(), Sentinel()
    master = master_of(first, second, leader)
    assert master.last() == OLD
    leader.address, leader.epoch = NEW, 2
    clock.now += 1
    assert master.last() == NEW
    assert [each.asked for each in (first, second, leader)] == [2, 2, 2]


@pytest.mark.parametrize(
    ("silent_for", "seconds"),
    [
        ((0, 0, 0), 1.0),
        ((29_800, 0, 0), 1.0),
        ((29_800, 29_600, 0), 0.4),
        ((29_800, 29_990, 0), 0.2),
        ((29_990, 29_990, 29_990), 0.1),
        ((40_000, 29_700, 0), 0.3),
    ],
)
def test_an_answer_serves_until_a_quorum_may_see_the_master_down(
    clock: Clock, silent_for: tuple[int, int, int], seconds: float
) -> None:
    each = [Sentinel(), Sentinel(), Sentinel()]
    for one, milliseconds in zip(each, silent_for, strict=True):
        one.silent_for = milliseconds
        one.flags = "master" if milliseconds < one.down_after else "s_down,master"
    master = master_of(*each)
    assert master.last() == OLD
    clock.now += seconds - 0.01
    assert master.last() == OLD and each[0].asked == 1
    clock.now += 0.02
    assert master.last() == OLD and each[0].asked == 2


def test_one_that_is_away_counts_as_one_that_sees_it_down(clock: Clock) -> None:
    away, second, third = Sentinel(), Sentinel(), Sentinel()
    away.error = redis.ConnectionError("refused")
    second.silent_for = 29_500
    master = master_of(away, second, third)
    assert master.last() == OLD
    clock.now += 0.51
    assert master.last() == OLD and third.asked == 2


def test_while_all_see_it_down_they_are_asked_often(clock: Clock) -> None:
    """The master may go on in any moment, after another one was chosen."""
    each = [Sentinel(), Sentinel()]
    master = master_of(*each)
    assert master.last() == OLD
    for one in each:
        one.flags = "s_down,master"
    clock.now += 1
    assert master.last() == OLD
    each[1].address, each[1].epoch, each[1].flags = NEW, 2, "master"
    clock.now += 0.11
    assert master.last() == NEW


def test_one_that_is_silent_is_left_alone_while_others_answer(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    one, silent = Sentinel(), Sentinel()
    master = master_of(silent, one)

    def take() -> Sentinel:
        silent.asked += 1
        clock.now += 0.5
        raise redis.TimeoutError("silent")

    monkeypatch.setattr(silent, "take", take)
    assert master.last() == OLD
    for _ in range(20):
        clock.now += 1.4
        assert master.last() == OLD
    assert (silent.asked, one.asked) == (1, 21)
    clock.now += 2.5
    assert master.last() == OLD and silent.asked == 2
    one.error = redis.ConnectionError("refused")
    clock.now += 2
    assert master.last() == OLD and silent.asked == 3, "nobody else answers"


def test_while_all_are_away_the_last_word_counts_for_what_is_kept(clock: Clock) -> None:
    one = Sentinel()
    master = master_of(one)
    assert master.last() == OLD
    one.error = redis.ConnectionError("refused")
    clock.now += 2
    assert master.last() == OLD
    with pytest.raises(redis.ConnectionError, match=r"No sentinel names a master for 'main'\. refused"):
        master.find()


def test_the_longer_they_do_not_answer_the_longer_they_are_left_alone(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Sentinel()
    master = master_of(one)
    assert master.last() == OLD

    def silent() -> Sentinel:
        one.asked += 1
        clock.now += 0.5
        raise redis.TimeoutError("silent")

    monkeypatch.setattr(one, "take", silent)
    clock.now += 2
    assert master.last() == OLD and one.asked == 2
    clock.now += 2.4
    assert master.last() == OLD and one.asked == 2
    clock.now += 0.2
    assert master.last() == OLD and one.asked == 3


@pytest.mark.parametrize("flags", ["s_down,master", "master,o_down", "slave", "s_down,master,disconnected"])
def test_a_master_that_does_not_work_is_none(clock: Clock, flags: str) -> None:
    assert master_of(Sentinel(flags=flags), Sentinel(NEW)).find() == NEW
    with pytest.raises(redis.ConnectionError, match="They see none at work"):
        master_of(Sentinel(flags=flags)).find()


def test_a_sentinel_that_missed_a_failover_does_not_count(clock: Clock) -> None:
    """It was cut off together with the old master, and takes it for the master still."""
    leader, cut_off, other = Sentinel(NEW, epoch=2), Sentinel(OLD, epoch=1), Sentinel(NEW, epoch=2)
    master = master_of(leader, cut_off, other)
    assert master.find() == NEW
    leader.error = redis.ConnectionError("away")
    clock.now += 2
    assert master.last() == master.find() == NEW
    other.error = leader.error
    clock.now += 2
    assert master.last() == NEW
    with pytest.raises(redis.ConnectionError):
        master.find()


def test_nor_does_it_count_while_those_that_know_better_are_left_alone(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader, cut_off = Sentinel(NEW, epoch=2), Sentinel(OLD, epoch=1)
    master = master_of(leader, cut_off)
    assert master.find() == NEW

    def silent() -> Sentinel:
        leader.asked += 1
        clock.now += 0.5
        raise redis.TimeoutError("silent")

    monkeypatch.setattr(leader, "take", silent)
    for _ in range(10):
        clock.now += 2
        assert master.last() == NEW
    assert leader.asked == 2, "it rests"


def test_sentinels_that_were_set_up_anew_count(clock: Clock) -> None:
    each = [Sentinel(OLD, epoch=7), Sentinel(OLD, epoch=7)]
    master = master_of(*each)
    assert master.find() == OLD
    for one in each:
        one.address, one.epoch = NEW, 0
    clock.now += 2
    assert master.last() == NEW


def test_a_lonely_sentinel_does_not_count_where_others_are_asked_for(clock: Clock) -> None:
    assert master_of(Sentinel(OLD, others=0), Sentinel(NEW, others=2), others=1).find() == NEW


@pytest.mark.parametrize("ask", ["find", "last"])
def test_a_burst_of_callers_shares_one_question(clock: Clock, ask: str) -> None:
    one = Sentinel()
    master, entered, go = master_of(one), threading.Event(), threading.Event()
    take = one.take

    def slow() -> Sentinel:
        entered.set()
        assert go.wait(30)
        return take()

    one.take = slow  # type: ignore[method-assign]
    found: list[tuple[str, int]] = []
    threads = [threading.Thread(target=lambda: found.append(getattr(master, ask)())) for _ in range(50)]
    threads[0].start()
    assert entered.wait(30)
    for thread in threads[1:]:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(30)
    assert (found, one.asked) == ([OLD] * 50, 1)


def test_a_failed_call_lets_them_be_asked_soon(clock: Clock) -> None:
    one = Sentinel()
    master = master_of(one)
    assert master.last() == OLD
    one.address, one.epoch = NEW, 2
    clock.now += 0.05
    master.doubt()
    assert master.last() == OLD, "a tenth of a second at least"
    clock.now += 0.06
    assert master.last() == NEW
    clock.now += 0.9
    assert master.last() == NEW and one.asked == 2


def test_a_doubt_hurries_no_sentinels_that_do_not_answer(clock: Clock) -> None:
    one = Sentinel()
    master = master_of(one)
    one.error = redis.ConnectionError("refused")
    assert master.last() is None
    for _ in range(5):
        master.doubt()
        clock.now += 0.15
        assert master.last() is None
    assert one.asked == 1


@pytest.mark.parametrize("flags", ["master,failover_in_progress", "s_down,master,failover_in_progress"])
def test_while_one_chooses_another_master_none_is_used(clock: Clock, flags: str) -> None:
    first, leader = Sentinel(), Sentinel()
    master = master_of(first, leader)
    assert master.last() == OLD
    leader.flags = flags
    master.doubt()
    clock.now += 0.2
    assert master.last() == sentinels.CHOOSING, "no kept connection leads there"
    with pytest.raises(redis.ConnectionError, match="They are choosing another one"):
        master.find()
    leader.flags = "master"
    clock.now += 0.2
    assert master.last() == OLD, "it was given up"


def test_one_that_has_not_heard_of_the_end_of_a_failover_stops_nobody(clock: Clock) -> None:
    late, leader = Sentinel(OLD, 1, "s_down,master,failover_in_progress"), Sentinel(NEW, 2)
    master = master_of(late, leader)
    master.doubt()
    assert master.find() == NEW
