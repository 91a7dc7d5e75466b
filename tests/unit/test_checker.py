"""The checker itself: silent on good histories, and on each bad one it names exactly what is broken."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from celery_groupfifo.testing.checker import check, summary
from celery_groupfifo.testing.history import Event

# Workers' pool processes, by their ids.
A, B = 11, 22


def sent(t: float, seq: int, group: str = "g") -> Event:
    return {"ev": "sent", "t": t, "pid": 1, "group": group, "seq": seq, "id": f"{group}-{seq}"}


def start(t: float, seq: int, fence: int, pid: int = A, group: str = "g") -> Event:
    return {
        "ev": "start",
        "t": t,
        "pid": pid,
        "group": group,
        "seq": seq,
        "fence": fence,
        "attempt": 1,
        "lost": 0,
        "worker": f"w{pid}",
    }


def end(t: float, seq: int, fence: int, pid: int = A, reason: str = "", group: str = "g") -> Event:
    outcome: dict[str, Any] = {"ok": False, "reason": reason} if reason else {"ok": True}
    return {**start(t, seq, fence, pid, group), "ev": "end", **outcome}


def kill(t: float, *pids: int) -> Event:
    return {"ev": "kill", "t": t, "pid": 1, "target": list(pids), "worker": "w"}


def pause(t: float, until: float, *pids: int) -> Event:
    return {"ev": "pause", "t": t, "pid": 1, "target": list(pids), "until": until}


def gone(t: float, seq: int) -> Event:
    return {"ev": "gone", "t": t, "pid": 1, "group": "g", "seq": seq, "reason": "revoked"}


SENT_TWO = [sent(0.1, 1), sent(0.2, 2)]
SECOND_RUNS = [start(8, 2, 90, B), end(9, 2, 90, B)]

GOOD: dict[str, list[Event]] = {
    "nothing": [],
    "one after the other": [*SENT_TWO, start(1, 1, 1), end(2, 1, 1), *SECOND_RUNS],
    "the next begins at the very moment": [*SENT_TWO, start(1, 1, 1), end(8, 1, 1), *SECOND_RUNS],
    "a start is written before its sent": [start(0.05, 1, 1), sent(0.1, 1), end(2, 1, 1)],
    "a retry keeps its place": [
        *SENT_TWO,
        *[start(1, 1, 1), end(2, 1, 1, reason="retry"), start(3, 1, 2, B), end(4, 1, 2, B)],
        *SECOND_RUNS,
    ],
    "a failure is an end": [*SENT_TWO, start(1, 1, 1), end(2, 1, 1, reason="failed"), *SECOND_RUNS],
    "killed while it ran": [
        *SENT_TWO,
        start(1, 1, 1),
        kill(2, A),
        start(3, 1, 2),
        end(4, 1, 2),
        *SECOND_RUNS,
    ],
    "killed between its end and the gate": [
        *SENT_TWO,
        *[start(1, 1, 1), end(2, 1, 1), kill(2.1, A), start(3, 1, 2, B), end(4, 1, 2, B)],
        *SECOND_RUNS,
    ],
    "killed between the two records of the kill": [
        *SENT_TWO,
        *[kill(0.9, A), start(1, 1, 1), kill(1.1, A), start(3, 1, 2, B), end(4, 1, 2, B)],
        *SECOND_RUNS,
    ],
    "revoked before it ran": [*SENT_TWO, gone(0.5, 1), *SECOND_RUNS],
    "lost too often": [*SENT_TWO, start(1, 1, 1), kill(2, A), gone(3, 1), *SECOND_RUNS],
    "two groups at once": [
        *[sent(0, 1, "g"), sent(0, 1, "h"), start(1, 1, 5, A, "g"), start(1, 1, 3, B, "h")],
        *[end(2, 1, 5, A, group="g"), end(2, 1, 3, B, group="h")],
    ],
}

BAD: dict[str, tuple[list[Event], set[str]]] = {
    "two runs of a task at once": (
        [*SENT_TWO, start(1, 1, 1), start(2, 1, 2, B), kill(3, A), end(4, 1, 2, B), *SECOND_RUNS],
        # Killed too late to be the reason of the second run.
        {"overlap", "repeat"},
    ),
    "a run goes on while it is repeated, for a reason": (
        [sent(0, 1), kill(0.9, A), start(1, 1, 1), start(2, 1, 2, B), kill(3, A), end(4, 1, 2, B)],
        {"overlap"},
    ),
    "the next one starts too early": (
        [*SENT_TWO, start(1, 1, 1), start(2, 2, 2, B), end(3, 1, 1), end(4, 2, 2, B)],
        {"overlap", "order"},
    ),
    "a run that nobody saw end": (
        [*SENT_TWO, start(1, 1, 1), *SECOND_RUNS],
        {"overlap", "order", "lost"},
    ),
    "the thawed run of a paused process": (
        [sent(0, 1), start(1, 1, 1), pause(2, 5, A), start(4, 1, 2, B), end(5.5, 1, 1), end(6, 1, 2, B)],
        {"overlap_zombie"},
    ),
    "a thawed process starts late": (
        [sent(0, 1), pause(1, 5, A), start(4, 1, 2, B), start(5.1, 1, 1), end(5.5, 1, 1), end(6, 1, 2, B)],
        {"overlap_zombie"},
    ),
    "a pause is no excuse without a higher fence": (
        [sent(0, 1), start(1, 1, 2), pause(2, 5, A), start(4, 1, 2, B), end(5.5, 1, 2), end(6, 1, 2, B)],
        {"overlap", "fence"},
    ),
    "a pause long ago is no excuse": (
        [*SENT_TWO, pause(0.3, 0.5, A), start(3, 1, 1), start(4, 2, 2, B), end(5, 1, 1), end(6, 2, 2, B)],
        {"overlap", "order"},
    ),
    "last comes first": (
        [*SENT_TWO, start(1, 2, 1), end(2, 2, 1), start(3, 1, 2), end(4, 1, 2)],
        {"order"},
    ),
    "the next one overtakes a retry": (
        [
            *SENT_TWO,
            *[start(1, 1, 1), end(2, 1, 1, reason="retry"), start(3, 2, 2), end(4, 2, 2)],
            *[start(5, 1, 3), end(6, 1, 3)],
        ],
        {"order"},
    ),
    "the next one overtakes a killed one": (
        [
            *SENT_TWO,
            *[start(1, 1, 1), kill(2, A), start(3, 2, 2, B), end(4, 2, 2, B)],
            *[start(5, 1, 3, B), end(6, 1, 3, B)],
        ],
        {"order"},
    ),
    "the first never starts": ([*SENT_TWO, *SECOND_RUNS], {"order", "lost"}),
    "the last never starts": ([*SENT_TWO, start(1, 1, 1), end(2, 1, 1)], {"lost"}),
    "a retry never comes": ([sent(0, 1), start(1, 1, 1), end(2, 1, 1, reason="retry")], {"lost"}),
    "a killed run is not repeated": ([sent(0, 1), start(1, 1, 1), kill(2, A)], {"lost"}),
    "done twice": (
        [sent(0, 1), start(1, 1, 1), end(2, 1, 1), start(3, 1, 2), end(4, 1, 2)],
        {"repeat"},
    ),
    "done again though another process was killed": (
        [sent(0, 1), start(1, 1, 1), end(2, 1, 1), kill(2.5, B), start(3, 1, 2), end(4, 1, 2)],
        {"repeat"},
    ),
    "failed for good, and again": (
        [sent(0, 1), start(1, 1, 1), end(2, 1, 1, reason="failed"), start(3, 1, 2), end(4, 1, 2)],
        {"repeat"},
    ),
    "done again when the next one was done": (
        [
            *SENT_TWO,
            start(1, 1, 1),
            end(2, 1, 1),
            *SECOND_RUNS,
            kill(10, A),
            start(11, 1, 99),
            end(12, 1, 99),
        ],
        {"order"},
    ),
    "a fence falls": ([*SENT_TWO, start(1, 1, 95), end(2, 1, 95), *SECOND_RUNS], {"fence"}),
    "a fence is used twice": ([*SENT_TWO, start(1, 1, 90), end(2, 1, 90), *SECOND_RUNS], {"fence"}),
}


@pytest.mark.parametrize("history", GOOD.values(), ids=GOOD.keys())
def test_good_history_has_no_offender(history: list[Event]) -> None:
    verdict = check(history)
    assert (verdict.broken, verdict.clean) == ((), True), verdict


@pytest.mark.parametrize(("history", "broken"), BAD.values(), ids=BAD.keys())
def test_bad_history_is_named(history: list[Event], broken: set[str]) -> None:
    verdict = check(history)
    assert set(verdict.broken) == broken, verdict
    assert verdict.clean == (broken == {"overlap_zombie"})


def test_every_property_has_a_history_that_breaks_it_alone() -> None:
    alone = {next(iter(broken)) for _, broken in BAD.values() if len(broken) == 1}
    assert alone == {"overlap", "overlap_zombie", "order", "lost", "repeat", "fence"}


def test_order_of_the_events_does_not_matter() -> None:
    for history, broken in BAD.values():
        mixed = random.Random(1).sample(history, len(history))
        assert set(check(mixed).broken) == broken


def test_offenders_are_told_apart_by_group() -> None:
    bad = [sent(0, 1, "h"), start(1, 1, 1, A, "h"), end(2, 1, 1, A, group="h"), start(3, 1, 2, A, "h")]
    verdict = check([*GOOD["a retry keeps its place"], *bad, end(4, 1, 2, A, group="h")])
    [breach] = verdict.repeat
    assert (breach.group, breach.seq) == ("h", 1)
    assert "fence 2" in breach.note


def test_nothing_is_lost_before_all_had_time_to_end() -> None:
    history = [*SENT_TWO, start(1, 1, 1)]
    assert check(history, drained=False).clean
    assert set(check(history).broken) == {"lost"}


def _several_at_once(runs: int) -> Iterator[Event]:
    for seq in range(1, runs + 1):
        yield sent(0, seq)
        yield start(seq, seq, seq, pid=100 + seq)
    for seq in range(1, runs + 1):
        yield end(20 - seq, seq, seq, pid=100 + seq)


def test_group_of_several_starts_in_order_and_ends_in_any() -> None:
    history = list(_several_at_once(3))
    assert check(history, concurrency=3).broken == ()
    assert set(check(history, concurrency=2).broken) == {"overlap"}
    assert set(check(history).broken) == {"overlap", "order"}


def test_summary_counts() -> None:
    history = [
        *[sent(0, 1), sent(0, 2), sent(0, 1, "h")],
        *[start(1, 1, 1, A), start(2, 1, 1, B, "h"), end(3, 1, 1, B, group="h"), kill(4, A)],
        *[start(9, 1, 2, B), end(10, 1, 2, B, reason="retry"), start(10, 1, 3, B), end(11, 1, 3, B)],
        *[start(12, 2, 4, B), end(13, 2, 4, B)],
    ]
    found = summary(history)
    assert (found.sent, found.groups, found.done, found.runs, found.busy) == (3, 2, 3, 5, 2)
    assert found.repeats == {"killed": 1, "retry": 1}
    assert found.recoveries == [5]
    assert found.seconds == 13
    first, second = found.workers["w11"], found.workers["w22"]
    assert (first.runs, first.retries, first.pids, first.busy, first.killed) == (1, 0, {A}, 1, True)
    assert (second.runs, second.retries, second.pids, second.busy, second.killed) == (4, 1, {B}, 1, False)


def test_a_worker_that_had_nothing_to_do_is_in_the_summary() -> None:
    found = summary([{"ev": "up", "t": 1, "pid": 5, "worker": "idle"}])
    assert (found.workers["idle"].runs, found.workers["idle"].busy) == (0, 0)


def test_summary_of_nothing() -> None:
    found = summary([])
    assert (found.sent, found.runs, found.seconds, found.workers) == (0, 0, 0, {})
