"""A short day on the real scripts, with failures; and days on scripts with a planted fault, which the judge names."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from celery_groupfifo.gate import packing, scripts
from rehearsal.day import Outcome, rehearse
from rehearsal.plan import Plan

#: Three minutes: each worker dies about twice, and stalls and restarts as often.
SHORT = Plan(
    workers=8,
    slots=2,
    groups=40,
    hours=0.05,
    rate=3,
    work=0.5,
    lease=10,
    deaths=960,
    lost=0.02,
    tickets=0.05,
    seed=2,
    samples=2,
)

#: The rules that a fault breaks, the script with the fault, and its text without and with it.
FAULTS = {
    "a task joins at the front of its line": (
        {"order"},
        "park",
        "redis_call('RPUSHX', line, place)",
        "redis_call('LPUSHX', line, place)",
    ),
    "a heartbeat renews nothing": (
        {"overlap", "refused"},
        "renew",
        "now_ms() + ttl",
        "now_ms() + 1",
    ),
    "a ticket that comes twice begins twice": (
        {"overlap", "early"},
        "begin",
        "r.release == drawn and r.state == 'w'",
        "r.release == drawn",
    ),
    "what a lost worker ran stays lost": (
        {"lost"},
        "reclaim",
        "if r and r.state == 'r' and r.owner == owner then",
        "if false then",
    ),
    "a task with several keys waits for its first place only": (
        {"order", "overlap"},
        "park_several",
        "'k ' .. r.id) or ''",
        "'- ' .. r.id) or ''",
    ),
    "a tenant fills the queue": (
        {"turns"},
        "park",
        "out >= tonumber(weight)",
        "false",
    ),
    "the end of any run of a task is accepted": (
        {"refused"},
        "finish",
        "r.state == 'r' and r.fence == fence",
        "r.state == 'r'",
    ),
}


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[set[str]]:
    """Plant a fault in the scripts of this process; the rules that it breaks."""
    rules, script, old, new = FAULTS[request.param]
    sound = scripts.source
    assert old in sound(script), f"{script}.lua has changed: plant the fault anew"

    @cache
    def source(name: str) -> str:
        return sound(name).replace(old, new) if name == script else sound(name)

    monkeypatch.setattr(scripts, "source", source)
    for kept in (scripts.sha, packing._head):
        kept.cache_clear()
    yield rules
    for kept in (scripts.sha, packing._head):
        kept.cache_clear()


def said(outcome: Outcome) -> str:
    return "\n".join(map(str, outcome.judge.breaches)) + f"\n{outcome.judge.counts}"


@pytest.mark.parametrize("seed", [2, 3])
def test_a_day_with_failures_breaks_no_rule(redis_url: str, seed: int) -> None:
    outcome = rehearse(Plan(**{**vars(SHORT), "seed": seed}), redis_url)
    counts = outcome.judge.counts
    assert not outcome.judge.breaches, said(outcome)
    assert outcome.left == {}
    faults = ("killed", "stalled", "restarted", "repeats", "retries", "refused", "tickets lost", "tickets doubled")
    kinds = (*faults, "with several keys", "full turns")
    assert {kind: counts[kind] for kind in kinds if not counts[kind]} == {}, "the day was too quiet"
    assert counts["ended"] + counts["revoked"] == counts["accepted"] > 300


@pytest.mark.parametrize("planted", [*FAULTS], indirect=True)
def test_a_planted_fault_is_named(redis_url: str, planted: set[str]) -> None:
    outcome = rehearse(SHORT, redis_url, enough=1)
    assert {breach.rule for breach in outcome.judge.breaches} & planted, said(outcome)
