"""A gate behind sentinels: what is kept leads to the master that they name, also when an old one comes back."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis

from celery_groupfifo.errors import GateUnavailable
from celery_groupfifo.gate.gate import Gate, build_gate
from celery_groupfifo.gate.sentinels import SENTINEL_PATIENCE
from tests.support import sentinels
from tests.support.sentinels import MASTER, PASSWORD, Watched
from tests.support.waiting import until
from tests.support.world import make_entry


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with sentinels.watched(tmp_path) as watched:
        yield watched


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """For tests that leave the master where it is."""
    with sentinels.watched(tmp_path_factory.mktemp("sentinels")) as watched:
        yield watched


def warm(gate: Gate, many: int = 5) -> None:
    """Let the gate keep some connections."""
    held = [gate.store.connections.take() for _ in range(many)]
    for connection in held:
        gate.store.connections.give_back(connection)


def park(gate: Gate, id: str) -> bool:
    return gate.park(make_entry(gate, id, id), gate.number())


def scripts_run(port: int) -> int:
    """Return the number of scripts that a server was asked to run."""
    with redis.Redis(port=port, password=PASSWORD) as client:
        return int(client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0))


def test_nothing_is_parked_at_an_old_master_that_comes_back(watched: Watched) -> None:
    """Timeline: kept connections, the master is frozen, another one takes over, the old one goes on.

    For some seconds the old one takes itself for the master, and answers on the kept connections.
    """
    gate = build_gate(watched.app)
    mine = gate.store.connections.open()
    assert park(gate, "before")
    warm(gate)
    generation, run_before = gate.store.connections.generation, scripts_run(watched.first.port)
    assert run_before > 0
    with redis.Redis(port=watched.second.port, password=PASSWORD, db=2) as replica:
        until(lambda: replica.hlen(gate.keyspace.partitions[0].entries) == 1)
    watched.fail_over()
    watched.thaw()
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda number: park(gate, f"t{number}"), range(40)))
    assert scripts_run(watched.first.port) == run_before
    with redis.Redis(port=watched.second.port, password=PASSWORD, db=2) as master:
        assert master.hlen(gate.keyspace.partitions[0].entries) == 41
    assert gate.store.connections.generation > generation
    assert not gate.store.connections.trusts(mine)
    gate.store.connections.close(mine)
    gate.store.close()


def test_a_call_that_hangs_at_the_old_master_is_repeated_at_the_new_one(watched: Watched) -> None:
    gate = build_gate(watched.app, timeout=3.0)
    warm(gate)
    until(lambda: park(gate, "before"))
    watched.fail_over()
    assert park(gate, "a")
    with redis.Redis(port=watched.second.port, password=PASSWORD, db=2) as master:
        assert master.hexists(gate.keyspace.partitions[0].entries, "a")
    gate.store.close()


@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
def test_the_answer_of_a_master_that_was_frozen_is_not_believed(watched: Watched, bulk: bool) -> None:
    """Timeline: the master freezes with a call; one sentinel names another; it goes on, and answers the call."""
    gate = build_gate(watched.app)
    assert park(gate, "before")

    def parked(gate: Gate, bulk: bool) -> bool:
        if not bulk:
            return park(gate, "t0")
        return gate.park_all([make_entry(gate, "t0", "t")], gate.numbers(1)) == [True]

    watched.freeze()
    with ThreadPoolExecutor(1) as pool:
        call: Future[Any] = pool.submit(parked, gate, bulk)
        until(watched.replaced)
        watched.thaw()
        for _ in range(100):  # those who call again must not wait for longer than the sentinels take
            try:
                assert call.result() is True
                break
            except GateUnavailable:
                call = pool.submit(parked, gate, bulk)
                time.sleep(0.1)
    with watched.client(watched.second) as master:
        assert master.hexists(gate.keyspace.partitions[0].entries, "t0")
    gate.store.close()


def test_a_process_that_made_no_call_meanwhile_finds_the_new_master(watched: Watched) -> None:
    """Timeline: a call; the master freezes; one sentinel names another; the first goes on, and takes calls at once."""
    gate = build_gate(watched.app)
    assert park(gate, "before")
    warm(gate)
    watched.freeze()
    until(watched.replaced)
    watched.thaw()

    def parked() -> bool:
        try:
            return park(gate, "t0")
        except GateUnavailable as error:
            assert "They are choosing another one" in str(error)
            return False

    until(parked)
    with watched.client(watched.second) as master:
        assert master.hexists(gate.keyspace.partitions[0].entries, "t0")
    gate.store.close()


def test_while_no_sentinel_answers_what_is_kept_goes_on(calm: Watched) -> None:
    gate = build_gate(calm.app)
    assert park(gate, "w")
    for sentinel in calm.sentinels:
        sentinel.send_signal(signal.SIGSTOP)
    try:
        took = []
        for number in range(100):
            started = time.monotonic()
            assert park(gate, f"w{number}")
            took.append(time.monotonic() - started)
            if took[-1] > SENTINEL_PATIENCE:
                break
            time.sleep(0.05)
        assert SENTINEL_PATIENCE < took[-1] < 10, "it has asked all of them, and each has half a second, not five"
        started = time.monotonic()
        for number in range(20):
            assert park(gate, f"x{number}")
        assert time.monotonic() - started < 10, "they are not asked each time: that takes 30 s"
    finally:
        for sentinel in calm.sentinels:
            sentinel.send_signal(signal.SIGCONT)
    gate.store.close()


def test_all_gates_of_a_process_ask_together(calm: Watched) -> None:
    for port in calm.ports:
        calm.ask(port, "SENTINEL", "SET", MASTER, "down-after-milliseconds", "5000")
    gate, other = build_gate(calm.app), build_gate(calm.app)
    assert park(gate, "a") and park(other, "b")

    def asked() -> int:
        stats = [calm.ask(port, "INFO", "commandstats").get("cmdstat_sentinel|master") for port in calm.ports]
        return sum(int(each["calls"]) for each in stats if each)

    before, started = asked(), time.monotonic()
    for number in range(100):
        assert park(gate, f"a{number}") and park(other, f"b{number}")
    assert asked() - before <= len(calm.ports) * (2 + (time.monotonic() - started))
    gate.store.close()
    other.store.close()
