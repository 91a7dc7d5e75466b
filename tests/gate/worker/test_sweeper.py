"""The times of sweeps, whatever comes in meanwhile, and the number of workers that make them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from celery import Celery

from celery_groupfifo.errors import GateUnavailable
from celery_groupfifo.gate.gate import Gate, build_gate
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import CutOff, Swept
from celery_groupfifo.worker.sweeper import STOP_SECONDS, Sweeper
from tests.support.waiting import until
from tests.support.world import TTL_MS, World, make_entry


class Notes:
    """The things that a sweeper tells of."""

    def __init__(self) -> None:
        self.reclaims: list[int] = []
        self.lost: list[int] = []
        self.revoked: list[str] = []

    def reclaimed(self, count: int) -> None:
        self.reclaims.append(count)

    def tickets_lost(self, count: int) -> None:
        self.lost.append(count)

    def tell(self, gone: Sequence[tuple[str, bytes]]) -> None:
        self.revoked += [id for id, _ in gone]

    def cancel(self, gate: Gate, part: CutOff) -> None:
        gate.cancel_rest(part, self.tell)


def make_app(url: str, interval: float = 30.0, lease: float = 120.0, partitions: int = 1) -> Celery:
    app = Celery("sweepers", broker=url, set_as_current=False)
    app.conf.update(groupfifo_sweep_interval=interval, groupfifo_lease_ttl=lease, groupfifo_partitions=partitions)
    return app


def make_sweeper(gate: Gate, owner: str = "w1", notes: Notes | None = None, *queues: str) -> Sweeper:
    notes = notes or Notes()
    return Sweeper(gate, quote(owner), lambda: [(queue, queue) for queue in queues], notes, partial(notes.cancel, gate))


@pytest.fixture
def far_apart(redis_url: str) -> Iterator[World]:
    """A world whose sweepers have nothing to do for half a minute at a time."""
    world = World(redis_url, make_app(redis_url))
    yield world
    world.close()


# -- one pass -----------------------------------------------------------------


def test_an_idle_sweeper_sleeps_for_an_interval(far_apart: World) -> None:
    assert 25 < make_sweeper(far_apart.gate).pass_once() <= 30


def test_the_interval_is_well_below_half_a_lease(redis_url: str) -> None:
    """Else each sweep of a lonely worker would come after a gap, and reclaim nothing, ever."""
    world = World(redis_url, make_app(redis_url, interval=20, lease=40))
    assert 5 < make_sweeper(world.gate).pass_once() <= 10
    world.close()


def during_sweep(world: World, monkeypatch: pytest.MonkeyPatch, deed: Callable[[], Any]) -> None:
    """Let something happen after the script of a sweep has run, before its answer is used."""
    sweep = world.gate.sweep

    def sweeping(*args: Any, **more: Any) -> Swept:
        swept = sweep(*args, **more)
        deed()
        return swept

    monkeypatch.setattr(world.gate, "sweep", sweeping)


@pytest.mark.parametrize("passes", [0, 1], ids=["the first sweep", "a later one"])
def test_what_becomes_due_during_a_sweep_is_not_forgotten(
    far_apart: World, monkeypatch: pytest.MonkeyPatch, passes: int
) -> None:
    """Timeline: the sweep looks, a retry is stored that is due at once, the sweep's answer says that nothing is due."""
    sweeper = make_sweeper(far_apart.gate)
    for _ in range(passes):
        sweeper.pass_once()
        sweeper.wake_in(0)
    during_sweep(far_apart, monkeypatch, lambda: sweeper.wake_in(0))
    assert sweeper.pass_once() == 0


def test_a_sweep_that_failed_is_due_at_once(far_apart: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sweeper = make_sweeper(far_apart.gate)

    def broken() -> None:
        raise GateUnavailable("away")

    with monkeypatch.context() as patch:
        during_sweep(far_apart, patch, broken)
        with pytest.raises(GateUnavailable):
            sweeper.pass_once()
    far_apart.redis.delete(far_apart.keys.pulse)
    assert sweeper.pass_once() > 25
    assert far_apart.redis.exists(far_apart.keys.pulse), "it has swept again"


def test_it_tells_what_it_has_done(far_apart: World) -> None:
    notes = Notes()
    sweeper = make_sweeper(far_apart.gate, "w1", notes, "q")
    ticket = far_apart.run("a", "A")
    far_apart.park("b", "A")
    far_apart.fail(ticket, "A", policy="cancel_rest")
    far_apart.run("lost", "L")
    for _ in range(6):
        sweeper.wake_in(0)
        sweeper.pass_once()
        far_apart.tick(30_000)
    assert (notes.revoked, notes.reclaims) == (["b"], [1])


def test_only_who_watches_plans_for_what_is_due(far_apart: World) -> None:
    far_apart.park("a", delay=5000)
    first, second = make_sweeper(far_apart.gate, "w1"), make_sweeper(far_apart.gate, "w2")
    assert first.pass_once() < 6
    assert second.pass_once() > 25
    second.wake_in(0)  # as the bell does: it knows of something due
    assert second.pass_once() < 6
    first.wake_in(0)
    assert first.pass_once() < 6, "and so on: who wakes for a reason watches from then on"


def test_a_watch_ends_by_itself(far_apart: World) -> None:
    far_apart.park("a", delay=40_000)
    assert make_sweeper(far_apart.gate, "w1").pass_once() <= 30
    second = make_sweeper(far_apart.gate, "w2")
    assert second.pass_once() > 25, "the first one watches"
    far_apart.tick(30_001)
    second._sweep_at = 0.0  # its next periodic sweep
    assert second.pass_once() < 10


def test_a_watch_of_the_future_is_over_when_the_clock_was_set_back(far_apart: World) -> None:
    far_apart.park("a", delay=1000)
    make_sweeper(far_apart.gate, "w1").pass_once()
    far_apart.tick(-3_600_000)
    assert far_apart.gate.sweep(far_apart.keys, (), quote("w2"), watch=30).next_due is not None


def test_a_clock_that_was_set_back_counts_as_a_time_without_sweeps(world: World) -> None:
    world.idle_sweeps(TTL_MS)
    world.tick(-3_600_000)
    world.run("a")
    world.idle_sweeps(2 * TTL_MS)
    assert world.queued() == ["a"], "its worker is lost, and that is noticed an hour before the clock has caught up"


# -- the threads ---------------------------------------------------------------


class Counted:
    """Sweepers of as many workers, each with a gate of its own; every call of their scripts is counted."""

    def __init__(self, app: Celery, count: int) -> None:
        self.app, self.calls = app, [0] * count
        self.gates = [build_gate(app) for _ in range(count)]
        self.notes = Notes()
        self.sweepers = [make_sweeper(gate, f"w{at}", self.notes, "q") for at, gate in enumerate(self.gates)]
        for at, gate in enumerate(self.gates):
            self._count(at, gate)

    def _count(self, at: int, gate: Gate) -> None:
        run = gate.store.run

        def counted(*args: Any, **more: Any) -> Any:
            reply = run(*args, **more)
            self.calls[at] += 1
            return reply

        gate.store.run = counted  # type: ignore[method-assign]

    def start(self) -> None:
        """Start all, and wait until each has swept and waits for the bell."""
        for sweeper in self.sweepers:
            sweeper.start()
        first = 2 * len(self.gates[0].keyspace.partitions)  # each sweeps, and looks for lost tickets
        until(lambda: all(count >= first for count in self.calls))
        client = self.gates[0].store.client
        until(lambda: int(client.info("clients")["blocked_clients"]) >= len(self.gates))

    def close(self) -> None:
        """Stop all."""
        for sweeper in self.sweepers:
            sweeper.stop()
        for gate in self.gates:
            gate.store.client.close()


@pytest.fixture
def counted(redis_url: str) -> Iterator[Callable[..., Counted]]:
    made: list[Counted] = []

    def make(count: int, **more: Any) -> Counted:
        made.append(Counted(make_app(redis_url, **more), count))
        return made[-1]

    yield make
    for each in made:
        each.close()


def late(sweepers: Counted, keys: list[str], countdown: float) -> list[float]:
    """Park a task with a countdown in each group, one after the other; how late their tickets come."""
    gate = build_gate(sweepers.app)
    found = []
    for number, key in enumerate(keys):
        due = time.monotonic() + countdown
        assert gate.park(make_entry(gate, f"late{number}", key, "q", int(countdown * 1000)), gate.number())
        until(lambda: gate.store.client.lpop("q") is not None)
        found.append(time.monotonic() - due)
    gate.store.client.close()
    return sorted(found)


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_countdown_that_another_process_parks_is_not_late(counted: Callable[..., Counted], partitions: int) -> None:
    """Whatever the interval is: the bell wakes a sweeper, in each partition. Without it each would be 19 s late.

    That it is 250 ms at most is measured by stalls/test_due.py.
    """
    sweepers = counted(2, interval=20, partitions=partitions)
    sweepers.start()
    lateness = late(sweepers, ["A", "B", "C", "D", "E", "F", "G"], 0.3)
    assert lateness[3] < 1 and lateness[-1] < 10, lateness


def test_one_worker_wakes_for_what_is_due(counted: Callable[..., Counted]) -> None:
    """Of ten idle ones: the bell wakes one, and the same one sweeps when the time has come."""
    sweepers = counted(10, interval=20)
    sweepers.start()
    before = list(sweepers.calls)
    late(sweepers, ["A"], 0.3)
    calls = [now - then for now, then in zip(sweepers.calls, before, strict=True)]
    assert sum(count > 0 for count in calls) <= 2, calls
    assert sum(calls) <= 6, f"it looks, it sweeps, it lets the ETA join: {calls}"


def test_what_is_due_far_ahead_wakes_nobody_before(counted: Callable[..., Counted]) -> None:
    sweepers = counted(5, interval=20)
    sweepers.start()
    gate = build_gate(sweepers.app)
    gate.park(make_entry(gate, "far", "F", "q", 15_000), gate.number())
    until(lambda: gate.store.client.llen(gate.keyspace.partitions[0].wake) == 0)
    before = list(sweepers.calls)
    for number in range(20):  # each is later than the one before
        gate.park(make_entry(gate, f"t{number}", "F", "q", 16_000 + number), gate.number())
    late(sweepers, ["A"], 0.2)
    calls = [now - then for now, then in zip(sweepers.calls, before, strict=True)]
    assert sum(count > 0 for count in calls) <= 3, f"one for the first, one for the last: {calls}"
    gate.store.client.close()


def test_when_the_one_that_watches_is_lost_another_one_does(counted: Callable[..., Counted]) -> None:
    sweepers = counted(3, interval=1.0, lease=120.0)
    sweepers.start()
    gate = build_gate(sweepers.app)
    gate.park(make_entry(gate, "a", "A", "q", 1500), gate.number())
    due = time.monotonic() + 1.5
    until(lambda: gate.store.client.llen(gate.keyspace.partitions[0].wake) == 0)
    watcher = gate.store.client.get(gate.keyspace.partitions[0].pulse).split(b" ")[2].decode()
    sweepers.sweepers[int(watcher[1:])].stop()
    until(lambda: gate.store.client.lpop("q") is not None)
    assert time.monotonic() - due < 20, "the watch, or the interval of another one, is over: long before any lease"
    gate.store.client.close()


def test_wake_in_is_heard_while_the_sweeper_waits(counted: Callable[..., Counted]) -> None:
    sweepers = counted(1, interval=20)
    sweepers.start()
    before = sweepers.calls[0]
    sweepers.sweepers[0].wake_in(0.05)
    until(lambda: sweepers.calls[0] > before, within=10)  # the interval takes twice as long


def test_neither_waking_nor_stopping_waits_for_a_call_that_hangs(redis_url: str) -> None:
    gate = build_gate(make_app(redis_url))
    sweeper, hangs, released, over = make_sweeper(gate), *(threading.Event() for _ in range(3))

    def hanging(*args: Any, **more: Any) -> Any:
        hangs.set()
        released.wait(120)
        over.set()
        raise GateUnavailable("away")

    gate.store.run = hanging  # type: ignore[method-assign]
    sweeper.start()
    assert hangs.wait(60)
    began = time.monotonic()
    sweeper.wake_in(0)
    sweeper.stop()
    assert not over.is_set(), "both came back while the call still hung"
    assert time.monotonic() - began > STOP_SECONDS / 2, "it was given its time to end"
    released.set()
    gate.store.client.close()


def test_an_outage_is_told_once_and_its_end_too(
    redis_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("celery_groupfifo.worker.sweeper.GATE_RETRY_SECONDS", 0.01)
    gate = build_gate(make_app(redis_url))
    run = gate.store.run
    tries: list[str] = []

    def failing(name: str, *args: Any, **more: Any) -> Any:
        tries.append(name)
        if len(tries) < 5:
            raise GateUnavailable("away.")
        return run(name, *args, **more)

    gate.store.run = failing  # type: ignore[method-assign]
    sweeper = make_sweeper(gate)
    caplog.set_level("INFO", "celery_groupfifo.worker.sweeper")
    sweeper.start()
    until(lambda: "The gate answers again." in caplog.messages)
    assert [message for message in caplog.messages if "tried again" in message] == [
        "away. Sweeps are tried again until it answers; leases stay as they are."
    ]
    sweeper.stop()
    gate.store.client.close()


def test_a_bell_that_comes_after_the_stop_is_given_on(redis_url: str) -> None:
    gate = build_gate(make_app(redis_url))
    sweeper, store, wake = make_sweeper(gate), gate.store, gate.keyspace.partitions[0].wake
    sweeper.start()
    until(lambda: int(store.client.info("clients")["blocked_clients"]) >= 1)
    sweeper.stop()
    store.ring_bell(wake)
    until(lambda: store.client.llen(wake) == 1)
    store.client.close()
