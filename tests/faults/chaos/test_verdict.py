"""The suite fails when it should: its verdict on hand-made histories, and what its proxy does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from celery_groupfifo.errors import GateUnavailable
from celery_groupfifo.gate.gate import build_gate
from celery_groupfifo.testing.history import Event
from tests.support.stages.app import make_app
from tests.support.stages.effects import Effect
from tests.support.stages.fleet import SLEPT, SUSPENDABLE
from tests.support.stages.stage import QUEUE, Stage
from tests.support.stages.verdict import problems
from tests.support.world import make_entry


def _run(at: float, seq: int, fence: int, pid: int = 1, seconds: float | None = 0.5, **end: object) -> list[Event]:
    run = {"group": "g", "seq": seq, "fence": fence, "worker": f"w{pid}", "pid": pid}
    events = [{"ev": "start", "t": at, **run}]
    if seconds is not None:
        events.append({"ev": "end", "t": at + seconds, "ok": True, **run, **end})
    return events


def _sent(*seqs: int) -> list[Event]:
    return [{"ev": "sent", "t": 0.0, "group": "g", "seq": seq, "pid": 0} for seq in seqs]


def _pause(at: float, until: float, pid: int = 1) -> Event:
    return {"ev": "pause", "t": at, "until": until, "target": [pid], "pid": 0}


def _kill(at: float, pid: int = 1) -> list[Event]:
    return [{"ev": "kill", "t": each, "target": [pid], "worker": f"w{pid}", "pid": 0} for each in (at, at + 0.1)]


def _fault(began: float, at: float) -> Event:
    return {"ev": "fault", "name": "restart_redis", "began": began, "t": at, "pid": 0}


TOLD: Event = {"ev": "lease_lost", "t": 9.0, "group": "g", "fence": 1, "worker": "w1", "pid": 9}
FROZEN = [*_sent(1), *_run(1, 1, 1, seconds=8, ok=False, reason="refused"), _pause(2, 8), *_run(5, 1, 2, pid=2)]

HISTORIES: dict[str, tuple[list[Event], set[str]]] = {
    "all is well": ([*_sent(1, 2), *_run(1, 1, 1), *_run(2, 2, 2)], set()),
    "killed in the middle": ([*_sent(1), *_run(1, 1, 1, seconds=None), *_kill(1.2), *_run(4, 1, 2, pid=2)], set()),
    "killed before the gate had heard": ([*_sent(1), *_run(1, 1, 1), *_kill(1.6), *_run(4, 1, 2, pid=2)], set()),
    "frozen before the gate had heard": ([*_sent(1), *_run(1, 1, 1), _pause(1.6, 5), *_run(4, 1, 2, pid=2)], set()),
    "frozen, overtaken and told": ([*FROZEN, TOLD], set()),
    "frozen, overtaken and not told": (FROZEN, {"frozen holders that were not told"}),
    "killed before the gate had heard over a broken connection": (
        [*_sent(1), *_run(1, 1, 1), _fault(1.2, 1.4), *_kill(5), *_run(7, 1, 2, pid=2)],
        set(),
    ),
    "lost": (_sent(1), {"lost"}),
    "out of order": ([*_sent(1, 2), *_run(1, 2, 1), *_run(2, 1, 2)], {"order"}),
    "two at once": ([*_sent(1, 2), *_run(1, 1, 1), *_run(1.2, 2, 2, pid=2)], {"overlap", "order"}),
    "an older fence later": ([*_sent(1, 2), *_run(1, 1, 2), *_run(2, 2, 1)], {"fence"}),
    "two starts under one fence": (
        [*_sent(1), *_run(1, 1, 1, ok=False, reason="retry"), *_run(2, 1, 1)],
        {"fence", "a second start under one fence"},
    ),
    "repeated for no reason": (
        [*_sent(1), *_run(1, 1, 1), *_run(2, 1, 2)],
        {"repeats without a cause"},
    ),
    "repeated long after it was over": (
        [*_sent(1), *_run(1, 1, 1), *_kill(9), *_run(10, 1, 2, pid=2)],
        {"repeats without a cause"},
    ),
}


@pytest.mark.parametrize(("events", "named"), HISTORIES.values(), ids=HISTORIES)
def test_a_history_is_judged(events: list[Event], named: set[str]) -> None:
    assert set(problems(events, {})) == named


@pytest.mark.parametrize(
    "effects",
    [
        [Effect("g", 1, 2, "end"), Effect("g", 1, 1, "end")],
        [Effect("g", 2, 1, "end"), Effect("g", 1, 2, "end")],
    ],
)
def test_effects_are_judged(effects: list[Effect]) -> None:
    assert set(problems([], {"g": effects})) == {"effects out of order"}


def test_the_proxy_loses_a_reply_after_the_server_has_acted(stage: Stage) -> None:
    gate = build_gate(make_app(broker_url=stage.gate.url(by_proxy=True)))
    stage.proxy.lose_replies(1, "park")
    assert gate.park(make_entry(gate, "a", "a", QUEUE), gate.number()), "the repetition was answered"
    stage.proxy.lose_replies(2, "park")
    number = gate.number()
    with pytest.raises(GateUnavailable):
        gate.park(make_entry(gate, "b", "b", QUEUE), number)
    assert stage.redis.llen(QUEUE) == 2, "the server had acted"
    assert gate.park(make_entry(gate, "b", "b", QUEUE), number)
    assert (stage.proxy.lost, stage.redis.llen(QUEUE)) == (3, 2)
    gate.store.client.close()


def test_the_proxy_turns_the_connections_of_a_moment_into_black_holes(stage: Stage) -> None:
    url = stage.gate.url(by_proxy=True)
    old, new = (redis.Redis.from_url(url, socket_timeout=0.3, retry=Retry(NoBackoff(), 0)) for _ in range(2))
    with old, new:
        old.set("a", 1)
        assert stage.proxy.swallow() == 1
        with pytest.raises(redis.TimeoutError):
            old.set("a", 2)
        assert new.get("a") == b"1", "neither the call nor its answer went through"


def test_the_clocks_of_a_suspended_process_stand_still(tmp_path: Path) -> None:
    slept = tmp_path / "slept"
    slept.write_text("1000")
    look = "import time; print(time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME), time.unsuspended())"
    environment = {**os.environ, "PYTHONPATH": str(SUSPENDABLE), SLEPT: str(slept)}
    said = subprocess.run([sys.executable, "-c", look], env=environment, capture_output=True, text=True, check=True)
    stood_still, went_on, of_the_others = map(float, said.stdout.split())
    assert stood_still < of_the_others - 999
    assert time.clock_gettime(time.CLOCK_BOOTTIME) - 60 < went_on
