"""Finishes that go out together and whose answers are read by the loop: nothing is lost, whatever happens between."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kombu.asynchronous import Hub

from celery_groupfifo import embedded
from celery_groupfifo.model import Finish, Finished
from celery_groupfifo.worker.finishes import TOGETHER, Finishes
from celery_groupfifo.worker.run import Run
from tests.gate.proxy import LossyProxy
from tests.gate.support import World, ticket_of
from tests.worker.waiting import until


class Loop:
    """A worker's main loop, a turn at a time, over a member that only takes note."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stopping = False
        self.unreturned: list[Any] = []
        self.answers: dict[str, Finished] = {}
        self.finishes = Finishes(self, world.gate)  # type: ignore[arg-type]
        self.hub = Hub()
        self.finishes.attach(self.hub)
        self._turns = self.hub.create_loop()

    def finished(self, call: Finish, run: Run, answer: Finished, since: float | None = None) -> None:
        """As `Member.finished`."""
        self.answers[call.ticket.id] = answer

    def tell(self, ticket: Any, key: str, **more: Any) -> None:
        """Finish a run, on the loop."""
        call = self.world.finishing(ticket, key, **more)
        call.caller = self.finishes.caller()
        self.finishes.tell(call, Run(ticket, key, SimpleNamespace(), lambda run: None))  # type: ignore[arg-type]

    def turn(self, until: int) -> None:
        """Turns of the loop, until so many answers are in."""
        for _ in range(50):
            if len(self.answers) >= until:
                return
            next(self._turns)
        raise AssertionError(f"{len(self.answers)} answers, not {until}")

    def close(self) -> None:
        """End the loop."""
        self.finishes.drain()
        self.hub.close()


@pytest.fixture
def loop(world: World) -> Iterator[Loop]:
    loop = Loop(world)
    yield loop
    loop.close()


def evaluations(world: World) -> int:
    return int(world.redis.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0))


def test_what_ends_in_one_turn_goes_out_together_and_nobody_waits(world: World, loop: Loop) -> None:
    tickets = {key: world.run(f"{key}1", key) for key in "AB"}
    for key in "AB":
        world.park(f"{key}2", key)
    before = evaluations(world)
    for key, ticket in tickets.items():
        loop.tell(ticket, key)
    assert evaluations(world) == before and loop.answers == {}
    loop.turn(until=2)
    assert evaluations(world) == before + 2
    assert not any(answer.stale for answer in loop.answers.values())
    assert sorted(world.queued()) == ["A2", "B2"]


def test_redis_has_the_first_ones_while_the_loop_still_reads_results(world: World, loop: Loop) -> None:
    tickets = {key: world.run(f"{key}1", key) for key in "ABCDE"}
    before = evaluations(world)
    for key, ticket in tickets.items():
        loop.tell(ticket, key)
    until(lambda: evaluations(world) == before + TOGETHER)
    assert loop.answers == {}
    loop.turn(until=5)
    assert evaluations(world) == before + 5
    assert not any(answer.stale for answer in loop.answers.values())


def test_each_call_out_has_a_caller_of_its_own(world: World, loop: Loop) -> None:
    loop.tell(world.run("a", "A"), "A")
    loop.tell(world.run("b", "B"), "B")
    loop.turn(until=2)
    assert world.redis.hlen(world.keys.calls("w1")) == 2
    loop.tell(world.run("c", "C"), "C")
    loop.turn(until=3)
    assert world.redis.hlen(world.keys.calls("w1")) == 2, "a caller whose answer is in is used again"


def test_an_answer_names_the_next_task(world: World, loop: Loop) -> None:
    ticket = world.run("a1", "A")
    world.park("a2", "A")
    loop.tell(ticket, "A", take="lists", lists=world.lists("q"))
    loop.turn(until=1)
    assert ticket_of(loop.answers["a1"].taken or b"").id == "a2"


def test_a_stale_one_is_told_so_and_the_others_are_not(world: World, loop: Loop) -> None:
    old, fine = world.run("a", "A"), world.run("b", "B")
    world.gate.surrender([(old, False)], world.lists("q"))
    loop.tell(old, "A")
    loop.tell(fine, "B")
    loop.turn(until=2)
    assert loop.answers["a"].stale and not loop.answers["b"].stale


def test_forgotten_scripts_are_brought_again(world: World, loop: Loop) -> None:
    loop.tell(world.run("a", "A"), "A")
    loop.turn(until=1)
    tickets = {key: world.run(key, key) for key in "BC"}
    world.redis.script_flush()
    for key, ticket in tickets.items():
        loop.tell(ticket, key)
    loop.turn(until=3)
    assert world.residue() == {}


def test_a_new_connection_is_listened_to(world: World, loop: Loop) -> None:
    """Timeline: the connection breaks and is closed; the next one gets the number of its descriptor."""
    loop.tell(world.run("a", "A"), "A")
    loop.turn(until=1)
    ticket = world.run("b", "B")
    loop.hub.call_later = lambda *args: None  # nobody looks whether an answer is late
    world.redis.client_kill_filter(_type="normal", skipme=True)
    loop.tell(ticket, "B")
    for _ in range(5):
        next(loop._turns)
    assert list(loop.answers) == ["a", "b"]


@pytest.fixture
def far(redis_server: embedded.Server, redis_url: str) -> Iterator[tuple[World, LossyProxy]]:
    """A world whose gate speaks through a proxy; its own look at the server does not."""
    with LossyProxy(redis_server.port) as proxy:
        world = World(f"redis://127.0.0.1:{proxy.port}/{redis_url.rpartition('/')[2]}")
        world.redis.close()
        world.redis = world.redis.__class__.from_url(redis_url)
        yield world, proxy
        world.close()


def test_lost_answers_are_asked_for_again(far: tuple[World, LossyProxy]) -> None:
    """Timeline: Redis does what it was told, the connection breaks before the answers, the calls go out again."""
    world, proxy = far
    loop = Loop(world)
    tickets = {key: world.run(f"{key}1", key) for key in "AB"}
    world.park("A2", "A")
    loop.tell(world.run("x", "X"), "X")
    loop.turn(until=1)
    proxy.lose(1)
    for key, ticket in tickets.items():
        loop.tell(ticket, key, take="lists", lists=world.lists("q"))
    loop.turn(until=3)
    assert proxy.lost == 1
    assert not any(answer.stale for answer in loop.answers.values())
    assert ticket_of(loop.answers["A1"].taken or b"").id == "A2", "the same task, taken once"
    assert loop.answers["B1"].taken is None and world.queued() == []
    loop.close()


def test_what_redis_can_not_take_is_kept_and_repeated(far: tuple[World, LossyProxy]) -> None:
    """Timeline: the answers are lost twice. The next task was taken: it goes back, nobody would start it."""
    world, proxy = far
    loop = Loop(world)
    ticket = world.run("A1", "A")
    world.park("A2", "A")
    loop.tell(world.run("x", "X"), "X")
    loop.turn(until=1)
    proxy.lose(2)
    loop.tell(ticket, "A", take="lists", lists=world.lists("q"))
    while not loop.finishes.refused:
        next(loop._turns)
    loop.finishes.repeat(lambda call: call())
    assert not loop.finishes.refused
    assert loop.answers["A1"] == Finished(False)
    assert [ticket.id for ticket, _ in loop.unreturned] == ["A2"]
    loop.close()


def test_the_end_of_the_loop_waits_for_what_is_out(world: World, loop: Loop) -> None:
    loop.tell(world.run("a", "A"), "A")
    loop.finishes.drain()
    assert list(loop.answers) == ["a"]
    loop.tell(world.run("b", "B"), "B")
    assert list(loop.answers) == ["a", "b"], "from now on at once"
    assert world.residue() == {}


def test_a_stopping_worker_tells_at_once(world: World, loop: Loop) -> None:
    loop.stopping = True
    loop.tell(world.run("a", "A"), "A")
    assert list(loop.answers) == ["a"]


def test_a_silent_server_is_given_up_in_time(redis_url: str) -> None:
    """Timeline: the server is frozen while a finish is out. Neither the loop nor the finish is."""
    world = World(redis_url, timeout=0.2)
    loop = Loop(world)
    ticket = world.run("a", "A")
    loop.tell(world.run("x", "X"), "X")
    loop.turn(until=1)
    server = int(world.redis.info("server")["process_id"])
    os.kill(server, signal.SIGSTOP)
    try:
        loop.tell(ticket, "A")
        for _ in range(50):
            if loop.finishes.refused:
                break
            next(loop._turns)
    finally:
        os.kill(server, signal.SIGCONT)
    assert [call.ticket.id for call, _ in loop.finishes.refused] == ["a"]
    loop.finishes.repeat(lambda call: call())
    assert not loop.answers["a"].stale and world.residue() == {}
    loop.close()
    world.close()
