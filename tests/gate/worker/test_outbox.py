"""Calls on their way to the gate: nobody waits, nothing is lost or done twice, whatever happens between."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from kombu.asynchronous import Hub

from celery_groupfifo.errors import ScriptRefused
from celery_groupfifo.gate.gate import build_gate
from celery_groupfifo.gate.keys import Keyspace, quote
from celery_groupfifo.gate.model import Finished, Ticket
from celery_groupfifo.gate.parks import park_call
from celery_groupfifo.gate.pipelined import Pipelined
from celery_groupfifo.testing import embedded
from celery_groupfifo.worker.answers import AnswerDispatcher
from celery_groupfifo.worker.gate_call import GateCall
from celery_groupfifo.worker.loop import Loop
from celery_groupfifo.worker.loop_connection import TOGETHER
from celery_groupfifo.worker.outbox import LOCK_SECONDS, Outbox
from tests.support.proxy import Proxy
from tests.support.waiting import until
from tests.support.world import World, lane_of, make_entry, ticket_of


class Turning:
    """A worker's main loop, a turn at a time, over an outbox whose answers are only noted.

    Attributes:
        answers: By task id.
        threads: In which each was heard.
    """

    def __init__(self, world: World, line: bool = True, timeout: float = 5.0, inline: bool = False) -> None:
        self.world = world
        self.answers: dict[str, Any] = {}
        self.threads: dict[str, int] = {}
        self.since: dict[str, float] = {}
        self.ending = False
        self.hub = Hub()
        self.loop = Loop(SimpleNamespace(hub=self.hub, timer=self.hub.timer, pool=SimpleNamespace()))
        self.gate = build_gate(world.app, "tests", timeout)
        self.gate.store.clock = world.gate.store.clock
        self.outbox = Outbox(self.loop, self.gate.store, self.gate.store, self._hear, inline)
        self.outbox.uses_loop_connection = line
        self.start()

    def start(self) -> None:
        self.loop.start()
        self.outbox.attach()
        self._turns = self.hub.create_loop()
        if self.outbox.uses_loop_connection:
            until(lambda: self.outbox._connection._connection is not None)

    def _hear(self, step: Any, anywhere: bool) -> None:
        step() if self.ending else self.loop.soon(step)

    def finish(self, ticket: Ticket, key: str, wait: bool = False, **more: Any) -> None:
        """Tell the end of a run."""
        finish = self.world.finishing(ticket, key, **more)
        script, call = self.gate.finish_call(finish)
        self.outbox.send(self.told(script, call, ticket, lambda reply: self.gate.finished(reply)), wait)

    def begin(self, ticket: Ticket) -> None:
        """Ask for a lease."""
        call = self.gate.begin_call(ticket._replace(lane=lane_of(ticket)), quote("w1"), self.gate.call_name())
        self.outbox.send(self.told("begin", call, ticket, lambda reply: bool(reply[0])), False)

    def told(self, script: str, call: Any, ticket: Ticket, read: Any) -> GateCall:
        def heard(reply: Any, call: GateCall) -> None:
            assert ticket.id not in self.answers, "heard once"
            self.answers[ticket.id] = read(reply)
            self.threads[ticket.id] = threading.get_ident()
            self.since[ticket.id] = call.since

        run: Any = SimpleNamespace(ticket=ticket, key="?")
        return GateCall(script, call, heard, [run])

    def turn(self, answers: int) -> None:
        """Turn the loop until so many answers are in."""
        self.until(lambda: len(self.answers) >= answers)

    def until(self, true: Any) -> None:
        """Turn the loop until something is true."""
        self.loop.later(0.01, lambda: None)  # a turn without news ends soon

        def turned() -> bool:
            next(self._turns)
            self.loop.later(0.01, lambda: None)
            return bool(true())

        if not true():
            until(turned, lambda: f"{self.answers}; {self.outbox.unanswered()}")

    def close(self) -> None:
        """End the loop."""
        self.end(patience=5)
        self.hub.close()
        self.gate.store.close()

    def end(self, patience: float) -> bool:
        """End as a worker does: its loop is over, and others hear what comes now."""
        self.ending = True
        self.loop.close()
        return self.outbox.close(patience)


@pytest.fixture(params=[True, False], ids=["line", "postman"])
def turning(world: World, request: pytest.FixtureRequest) -> Iterator[Turning]:
    turning = Turning(world, request.param)
    yield turning
    turning.close()


@pytest.fixture
def lined(world: World) -> Iterator[Turning]:
    turning = Turning(world)
    yield turning
    turning.close()


@pytest.fixture
def far(redis_server: embedded.Server, redis_url: str) -> Iterator[tuple[World, Proxy]]:
    """A world whose gate speaks through a proxy; its own look at the server does not."""
    with Proxy(redis_server.port) as proxy:
        world = World(f"redis://127.0.0.1:{proxy.port}/{redis_url.rpartition('/')[2]}")
        world.redis.close()
        world.redis = world.redis.__class__.from_url(redis_url)
        yield world, proxy
        world.close()


def evaluations(world: World) -> int:
    return int(world.redis.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0))


def test_every_kind_of_call_is_answered(world: World, turning: Turning) -> None:
    kept = world.run("a", "A")
    back, failed = world.run("b", "B"), world.run("d", "D")
    world.park("c", "C")
    received = world.receive()
    turning.finish(kept, "A")
    call = turning.gate.surrender_call([(back, False)], world.lists("q"))
    turning.outbox.send(turning.told("surrender", call, back, lambda reply: int(reply[0])))
    turning.begin(received)
    turning.finish(failed, "D", failure=world.failing(failed, "D").failure)
    turning.turn(answers=4)
    assert turning.answers == {"a": Finished(False), "b": 1, "c": True, "d": Finished(False, blocked=True)}
    assert set(turning.threads.values()) == {threading.get_ident()}, "all of them on the loop"
    assert world.queued() == ["b"] and not turning.outbox.unanswered()


def test_what_ends_in_one_turn_goes_out_together_and_nobody_waits(world: World, lined: Turning) -> None:
    tickets = {key: world.run(f"{key}1", key) for key in "AB"}
    before = evaluations(world)
    for key, ticket in tickets.items():
        lined.finish(ticket, key)
    assert evaluations(world) == before and lined.answers == {}
    lined.turn(answers=2)
    assert evaluations(world) == before + 2


def test_redis_has_the_first_ones_while_the_loop_still_reads_results(world: World, lined: Turning) -> None:
    tickets = {key: world.run(f"{key}1", key) for key in "ABCDE"}
    before = evaluations(world)
    for key, ticket in tickets.items():
        lined.finish(ticket, key)
    until(lambda: evaluations(world) == before + TOGETHER)
    assert lined.answers == {}
    lined.turn(answers=5)
    assert evaluations(world) == before + 5


def test_where_the_loop_runs_the_tasks_the_end_of_one_does_not_wait_for_the_next_one(world: World) -> None:
    """Timeline: the loop hears of two begins, and runs the first task and then the other one before it turns."""
    turning = Turning(world, inline=True)
    tickets = {each: world.run(each, each) for each in "ab"}
    before = evaluations(world)
    for number, (each, ticket) in enumerate(tickets.items(), 1):
        turning.finish(ticket, each)
        until(lambda number=number: evaluations(world) == before + number)  # type: ignore[misc]
    assert turning.answers == {}
    turning.turn(answers=2)
    turning.close()


def test_what_a_busy_loop_has_not_heard_is_answered_all_the_same(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Timeline: answers have come, and the loop is busy for longer than an answer may take, with the first of them."""
    world = World(redis_url)
    turning = Turning(world, timeout=0.5)
    line, looked = turning.outbox._connection, list[Any]()
    tickets = {each: world.run(each, each) for each in "abc"}
    heard = turning.told

    def told(script: str, call: Any, ticket: Ticket, read: Any) -> GateCall:
        def busy(reply: Any) -> Any:
            time.sleep(0.6)  # longer than the timeout
            line.look()
            looked.append(line._connection)
            return read(reply)

        return heard(script, call, ticket, busy)

    turning.told = told  # type: ignore[method-assign]
    before, connection = evaluations(world), line._connection
    for each in "abc":
        turning.finish(tickets[each], each)
    until(lambda: evaluations(world) == before + 3)
    time.sleep(0.6)  # nobody has read the answers yet
    line.look()
    assert line._connection is connection
    turning.turn(answers=3)
    assert looked == [connection] * 3 and evaluations(world) == before + 3, "none was told again"
    assert "has not answered" not in caplog.text
    turning.close()
    world.close()


def test_an_answer_names_the_next_task(world: World, turning: Turning) -> None:
    ticket = world.run("a1", "A")
    world.park("a2", "A")
    turning.finish(ticket, "A", take="lists", lists=world.lists("q"))
    turning.turn(answers=1)
    assert ticket_of(turning.answers["a1"].taken or b"").id == "a2"


def test_a_continuation_goes_with_the_end(world: World, turning: Turning) -> None:
    ticket = world.run("a", "A")
    turning.finish(ticket, "A", continuation=make_entry(world.gate, "a", "A", body="again"))
    turning.turn(answers=1)
    assert world.queued() == ["a"] and b"again" in (world.pop() or b"")


def test_a_continuation_larger_than_a_socket_takes_at_once(world: World, lined: Turning) -> None:
    ticket, body = world.run("a", "A"), "x" * 8_000_000
    lined.finish(ticket, "A", continuation=make_entry(world.gate, "a", "A", body=body))
    lined.turn(answers=1)
    assert body.encode() in (world.pop() or b"")


def test_while_a_socket_takes_nothing_it_is_tried_by_one_timer(world: World, lined: Turning) -> None:
    """Timeline: Redis hangs with a full socket, and the loop goes on to tell; it must not spend its time with that."""
    connection: Any = lined.outbox._connection._connection
    socket, tried = connection._socket, list[int]()

    class Full:
        def send(self, out: bytes) -> int:
            tried.append(len(out))
            raise BlockingIOError

        def __getattr__(self, name: str) -> Any:
            return getattr(socket, name)

    tickets = {each: world.run(each, each) for each in "abcdefghijkl"}
    connection._socket = Full()
    for each, ticket in tickets.items():
        lined.finish(ticket, each)
    assert len(lined.loop._planned) == 1
    lined.until(lambda: len(tried) > 3 * len(tickets))
    assert len(lined.loop._planned) <= 2, "it, and the turns of this test"
    connection._socket = socket
    lined.turn(answers=len(tickets))


def test_forgotten_scripts_are_brought_again(world: World, turning: Turning) -> None:
    turning.finish(world.run("a", "A"), "A")
    turning.turn(answers=1)
    tickets = {key: world.run(key, key) for key in "BC"}
    world.redis.script_flush()
    for key, ticket in tickets.items():
        turning.finish(ticket, key)
    turning.turn(answers=3)
    assert world.residue() == {}


def test_broken_connections_are_made_anew(world: World, turning: Turning) -> None:
    """Timeline: the connection breaks and is closed; the next one gets the number of its descriptor."""
    for round in range(3):
        ticket = world.run(f"a{round}", "A")
        world.redis.client_kill_filter(_type="normal", skipme=True)
        turning.finish(ticket, "A")
        turning.turn(answers=round + 1)
    assert world.residue() == {}


def test_lost_answers_are_asked_for_again(far: tuple[World, Proxy]) -> None:
    """Timeline: Redis does what it was told, the connection breaks before the answers, the calls go out again."""
    world, proxy = far
    turning = Turning(world)
    tickets = {key: world.run(f"{key}1", key) for key in "AB"}
    world.park("A2", "A")
    proxy.lose_replies(3)
    for key, ticket in tickets.items():
        turning.finish(ticket, key, take="lists", lists=world.lists("q"))
    turning.turn(answers=2)
    assert proxy.lost == 3
    assert not any(answer.stale for answer in turning.answers.values())
    assert ticket_of(turning.answers["A1"].taken or b"").id == "A2", "the same task, taken once"
    assert turning.answers["B1"].taken is None and world.queued() == []
    turning.close()


def test_a_lost_begin_is_asked_for_again(far: tuple[World, Proxy]) -> None:
    world, proxy = far
    turning = Turning(world)
    world.park("a", "A")
    proxy.lose_replies(3)
    turning.begin(world.receive())
    turning.turn(answers=1)
    assert proxy.lost == 3 and turning.answers == {"a": True}
    turning.close()


def test_the_first_telling_is_what_a_lease_may_run_from(far: tuple[World, Proxy]) -> None:
    world, proxy = far
    turning = Turning(world)
    ticket = world.run("A1", "A")
    world.park("A2", "A")
    proxy.lose_replies(3)
    turning.finish(ticket, "A", take="own")
    told = turning.outbox.unanswered()[0].since
    turning.turn(answers=1)
    assert turning.since["A1"] == told
    turning.close()


def test_a_refused_call_is_repeated_and_holds_up_no_other(world: World, turning: Turning) -> None:
    """Timeline: something foreign stands in the way of one call, until somebody takes it away."""
    odd, fine = Ticket("other:0", 7, 0, 7, "a", quote("g")), world.run("b", "B")
    _, more, args = turning.gate.begin_call(fine._replace(lane="7"), quote("w1"), "x")
    other = Keyspace("", "other", 1).partitions[0]
    world.redis.set(other.groups, "no hash")
    turning.outbox.send(turning.told("begin", (other, more, args), odd, lambda reply: bool(reply[0])))
    turning.finish(fine, "B")
    turning.turn(answers=1)
    assert list(turning.answers) == ["b"]
    turning.until(lambda: any(call.refused for call in turning.outbox.kept()))
    world.redis.delete(other.groups)
    turning.turn(answers=2)
    assert turning.answers["a"] is False


def test_a_redis_that_takes_no_writes_is_told_later(world: World, turning: Turning) -> None:
    world.park("a", "A")
    ticket = world.receive()
    world.redis.config_set("min-replicas-to-write", 1)
    try:
        turning.begin(ticket)
        turning.until(lambda: turning.outbox.kept() and not turning.outbox._postman.reachable)
        assert turning.answers == {}
    finally:
        world.redis.config_set("min-replicas-to-write", 0)
    turning.turn(answers=1)
    assert turning.answers == {"a": True}


@contextmanager
def full(world: World) -> Iterator[None]:
    world.redis.config_set("maxmemory", 1)
    try:
        yield
    finally:
        world.redis.config_set("maxmemory", 0)


def tell_what_a_full_redis_refuses(turning: Turning) -> None:
    """Tell a call that needs memory; those of a worker free some with their first write."""
    keys, entry = turning.world.keys, make_entry(turning.gate, "a", "A")
    call = (keys, *park_call(keys, entry, turning.gate.number(), replaces=False))
    ticket = Ticket("groupfifo:0", 1, 0, 1, "a", quote("A"))
    turning.outbox.send(turning.told("park", call, ticket, lambda reply: reply[0] == 1))


def test_a_full_redis_is_told_of_the_ends_that_free_memory(world: World, turning: Turning) -> None:
    """Timeline: it refuses the call that it was told first, and hears of all that came later."""
    tickets = {key: world.run(key, key) for key in "bc"}
    with full(world):
        tell_what_a_full_redis_refuses(turning)
        turning.until(lambda: any(call.refused for call in turning.outbox.kept()))
        turning.outbox._connection.drop()  # so that the postman has all of them
        for key, ticket in tickets.items():
            turning.finish(ticket, key)
        turning.turn(answers=2)
        assert set(turning.answers) == {"b", "c"} and len(turning.outbox.kept()) == 1
    turning.turn(answers=3)
    assert turning.answers["a"] is True


def test_a_full_redis_takes_a_surrender_of_nothing(world: World, turning: Turning) -> None:
    ticket = world.run("a", "A")
    world.finish(ticket, "A")
    with full(world):
        call = turning.gate.surrender_call([(ticket, False)], world.lists("q"))
        turning.outbox.send(turning.told("surrender", call, ticket, lambda reply: int(reply[0])))
        turning.turn(answers=1)
    assert turning.answers == {"a": 0}


def test_while_redis_is_full_the_line_stays(world: World, lined: Turning) -> None:
    line = lined.outbox._connection._connection
    world.run("b", "B")
    with full(world):
        tell_what_a_full_redis_refuses(lined)
        lined.until(lambda: lined.outbox.kept())
        assert lined.outbox._connection._connection is line, "another connection would lead to the same server"
    lined.turn(answers=1)


def test_without_its_loop_the_postman_carries_what_is_out(world: World, turning: Turning) -> None:
    turning.finish(world.run("a", "A"), "A")
    turning.outbox.detach()
    until(lambda: not len(turning.outbox))
    turning.finish(world.run("b", "B"), "B")
    until(lambda: not len(turning.outbox))
    assert len(turning.outbox.unanswered()) == 2, "so somebody has their runs"
    assert world.residue() == {} and turning.answers == {}, "heard when the loop is there again"
    turning.start()
    turning.turn(answers=2)
    assert not turning.outbox.unanswered()


def test_the_postman_takes_over_what_a_loop_that_stands_still_has_not_sent_or_not_heard(
    world: World, lined: Turning
) -> None:
    """Timeline: a soft shutdown begins, whose signal handler lasts for long, in the middle of a turn."""
    for each in "abcd":
        lined.finish(world.run(each, each), each)
    lined.outbox._connection.requeue()
    until(lambda: not len(lined.outbox))
    assert world.residue() == {} and lined.answers == {}
    lined.turn(answers=4)
    assert not any(answer.stale for answer in lined.answers.values())


def test_the_postman_carries_ends_before_begins(world: World) -> None:
    turning = Turning(world, line=False)
    order: list[str] = []
    run = turning.gate.store.run

    def noted(name: str, *call: Any, **more: Any) -> Any:
        order.append(name)
        return run(name, *call, **more)

    turning.gate.store.run = noted  # type: ignore[method-assign]
    running = world.run("b", "B")
    world.park("a", "A")
    calls: list[GateCall] = []
    turning.outbox.send = lambda call, wait=False: calls.append(call)  # type: ignore[method-assign]
    turning.begin(world.receive())
    turning.finish(running, "B")
    turning.outbox._keep(calls)
    turning.turn(answers=2)
    assert order == ["finish", "begin"]
    turning.close()


def test_a_thread_of_the_pool_waits_for_its_answer(world: World, turning: Turning) -> None:
    ticket = world.run("a", "A")
    thread = threading.Thread(target=lambda: turning.finish(ticket, "A", wait=True))
    thread.start()
    thread.join()
    assert turning.threads["a"] == thread.ident


class Strikes(BaseException):
    """Stands for gevent's Timeout, which is no Exception."""


def test_a_time_limit_that_strikes_who_waits_loses_no_call(
    world: World, turning: Turning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timeline: the call has reached Redis, and the limit strikes before its answer is there."""
    ticket, run = world.run("a", "A"), turning.gate.store.run
    struck: list[BaseException] = []

    def strike(*call: Any) -> Any:
        monkeypatch.undo()
        run(*call)
        raise Strikes

    def tell() -> None:
        try:
            turning.finish(ticket, "A", wait=True)
        except Strikes as error:
            struck.append(error)

    monkeypatch.setattr(turning.gate.store, "run", strike)
    thread = threading.Thread(target=tell)
    thread.start()
    thread.join()
    assert struck, "who was struck hears of it"
    turning.turn(answers=1)
    assert not turning.answers["a"].stale and world.residue() == {}


def test_what_was_answered_together_with_a_call_that_strikes_is_not_lost(world: World, lined: Turning) -> None:
    """Timeline: three answers are read at once, and what the first one leads to ends the worker's loop."""
    tickets, before = {each: world.run(each, each) for each in "abc"}, evaluations(world)
    told = lined.told

    def striking(script: str, call: Any, ticket: Ticket, read: Any) -> GateCall:
        made = told(script, call, ticket, read)
        if ticket.id == "a":
            made.on_answer = strike
        return made

    def strike(reply: Any, call: GateCall) -> None:
        raise Strikes

    lined.told = striking  # type: ignore[method-assign]
    for each, ticket in tickets.items():
        lined.finish(ticket, each)
    until(lambda: evaluations(world) == before + 3)
    with pytest.raises(Strikes):
        lined.turn(answers=1)
    lined.outbox.detach()
    lined.loop.run_soon()
    until(lambda: not len(lined.outbox))
    lined.start()
    lined.turn(answers=2)
    assert sorted(lined.answers) == ["b", "c"] and not lined.answers["b"].stale


class Frozen:
    """A server that does not answer, nor refuse, until it is let go."""

    def __init__(self, world: World) -> None:
        self._pid = int(world.redis.info("server")["process_id"])

    def __enter__(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def __exit__(self, *error: object) -> None:
        os.kill(self._pid, signal.SIGCONT)


@pytest.mark.parametrize("line", [True, False], ids=["line", "postman"])
def test_while_redis_hangs_nobody_waits_and_afterwards_all_is_told(redis_url: str, line: bool) -> None:
    world = World(redis_url)
    turning = Turning(world, line, timeout=0.2)
    tickets = {key: world.run(key, key) for key in "abcdefgh"}
    with Frozen(world):
        for key, ticket in tickets.items():
            turning.finish(ticket, key)
        turning.until(lambda: turning.outbox.kept() and not turning.outbox._postman.reachable)
        ask = turning.gate.store.run
        tried: set[int] = set()

        def noted(*call: Any, **more: Any) -> Any:
            tried.add(threading.get_ident())
            return ask(*call, **more)

        turning.gate.store.run = noted  # type: ignore[method-assign]
        ticket = Ticket("groupfifo:0", 1, 0, 1, "i", quote("i"))
        thread = threading.Thread(target=lambda: turning.finish(ticket, "i", wait=True))
        thread.start()
        thread.join()
        until(lambda: tried)
        assert thread.ident not in tried, "while it can't be reached, only the postman tries"
        assert turning.answers == {} and len(turning.outbox) == 9
    turning.turn(answers=9)
    assert not any(answer.stale for id, answer in turning.answers.items() if id != "i")
    assert world.residue() == {}
    turning.close()
    world.close()


def test_a_black_hole_is_noticed_though_nothing_breaks(far: tuple[World, Proxy]) -> None:
    """Timeline: the connection is open and answers nothing any more; new ones work."""
    world, proxy = far
    turning = Turning(world, timeout=0.2)
    ticket = world.run("a", "A")
    proxy.swallow()
    turning.finish(ticket, "A")
    turning.turn(answers=1)
    assert not turning.answers["a"].stale
    turning.close()


def test_the_end_waits_for_what_is_out_but_not_for_ever(redis_url: str) -> None:
    world = World(redis_url)
    turning = Turning(world, timeout=0.2)
    turning.finish(world.run("a", "A"), "A")
    assert turning.end(patience=60)
    assert list(turning.answers) == ["a"] and world.residue() == {}
    other = Turning(world, timeout=0.2)
    ticket = world.run("b", "B")
    with Frozen(world):
        other.finish(ticket, "B")
        assert not other.end(patience=0.3)
    other.close()
    world.close()


def test_what_an_answer_leads_to_is_told_before_the_end(world: World) -> None:
    """Timeline: a worker ends, and then the gate grants a begin: the task goes back, as nobody runs it any more."""
    turning, steps = Turning(world, line=False), list[str]()
    answers = AnswerDispatcher(turning.loop, True)
    outbox = Outbox(turning.loop, turning.gate.store, turning.gate.store, answers.dispatch)
    world.park("a", "A")
    ticket = world.receive()

    def begun(reply: Any, call: GateCall) -> None:
        steps.append("begun")
        time.sleep(0.1)  # what is heard takes its time
        back = turning.gate.granted(ticket, reply)
        assert back is not None
        arguments = turning.gate.surrender_call([(back, False)], world.lists("q"))
        outbox.send(GateCall("surrender", arguments, lambda reply, call: steps.append("back"), call.runs))

    arguments = turning.gate.begin_call(ticket, quote("w1"), turning.gate.call_name())
    outbox.send(GateCall("begin", arguments, begun, [SimpleNamespace(ticket=ticket, key="A")]))  # type: ignore[list-item]
    assert outbox.close(patience=60)
    assert steps == ["begun", "back"] and world.queued() == ["a"]
    answers.stop(5)
    turning.close()


def test_who_hangs_when_an_answer_is_heard_keeps_no_worker_from_its_end(world: World) -> None:
    turning, go_on = Turning(world, line=False), threading.Event()
    answers = AnswerDispatcher(turning.loop, True)
    outbox = Outbox(turning.loop, turning.gate.store, turning.gate.store, answers.dispatch)
    ticket = world.run("a", "A")
    call = turning.gate.surrender_call([(ticket, False)], world.lists("q"))

    def hang(reply: Any, call: GateCall) -> None:
        go_on.wait(120)

    outbox.send(GateCall("surrender", call, hang, []))
    assert not outbox.close(patience=0.2)
    go_on.set()
    turning.close()


def test_a_call_whose_caller_waits_for_the_answer_is_out(world: World, turning: Turning) -> None:
    """Else the renewer takes its run for one that nobody has, and its lease runs out meanwhile."""
    ticket, run = world.run("a", "A"), turning.gate.store.run
    out: list[tuple[int, list[GateCall]]] = []

    def slowly(*call: Any, **more: Any) -> Any:
        out.append((len(turning.outbox), turning.outbox.unanswered()))
        return run(*call, **more)

    turning.gate.store.run = slowly  # type: ignore[method-assign]
    thread = threading.Thread(target=lambda: turning.finish(ticket, "A", wait=True))
    thread.start()
    thread.join()
    ((number, calls),) = out
    assert number == 1 and [call.script for call in calls] == ["finish"]
    assert not len(turning.outbox) and not turning.outbox.unanswered()


def released(world: World, id: str) -> Ticket:
    """Park the head of a group of its own, and receive its ticket."""
    assert world.park(id, f"g-{id}")
    return world.receive()


def test_what_is_told_while_the_line_is_opened_is_not_overtaken_on_it(
    world: World, lined: Turning, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timeline: a worker starts, and what comes in before its line is open would go by the postman, more slowly."""
    opened, line = threading.Event(), lined.outbox._connection
    lined.outbox.detach()
    real = Pipelined.open

    def slowly(*args: Any) -> Pipelined:
        assert opened.wait(20)
        return real(*args)

    monkeypatch.setattr(Pipelined, "open", slowly)
    lined.outbox.attach()
    lined._turns = lined.hub.create_loop()
    for each in "abcd":
        lined.begin(released(world, each))
        next(lined._turns)
    assert lined.outbox.kept() == [] and len(line.calls()) == 4
    opened.set()
    lined.turn(4)
    assert list(lined.answers) == list("abcd") and all(lined.answers.values())


def test_what_waits_for_a_line_that_can_not_be_opened_goes_by_the_postman(
    world: World, lined: Turning, monkeypatch: pytest.MonkeyPatch
) -> None:
    lined.outbox.detach()

    def refuse(*args: Any) -> Any:
        raise ScriptRefused("no right to load scripts")

    monkeypatch.setattr(Pipelined, "open", refuse)
    lined.outbox.attach()
    lined._turns = lined.hub.create_loop()
    lined.begin(released(world, "a"))
    lined.turn(1)
    assert lined.answers == {"a": True}


def test_a_signal_handler_that_tells_in_the_middle_of_a_write_sends_nothing_twice(world: World, lined: Turning) -> None:
    """Timeline: the socket has taken some calls, and before that is noted the main thread is interrupted."""
    connection: Any = lined.outbox._connection._connection
    socket, handled, text = connection._socket, list[str](), bytearray()

    class Interrupted:
        def send(self, out: bytes) -> int:
            sent = socket.send(out)
            text.extend(out[:sent])
            for each in () if handled else ("x", "y", "z"):
                handled.append(each)
                lined.begin(tickets[each])
            return int(sent)

        def __getattr__(self, name: str) -> Any:
            return getattr(socket, name)

    tickets = {each: released(world, each) for each in "abxyz"}
    connection._socket = Interrupted()
    lined.begin(tickets["a"])
    lined.begin(tickets["b"])
    lined.turn(5)
    assert handled == ["x", "y", "z"] and text.count(b"EVALSHA") == 5
    assert lined.answers == dict.fromkeys("abxyz", True) and list(lined.answers) == list("abxyz")


def test_a_call_that_can_not_be_sent_spoils_no_other(world: World, lined: Turning) -> None:
    """Timeline: with two others goes one whose argument is nothing that Redis knows."""
    first, second = released(world, "a"), released(world, "b")
    keys, more, _ = lined.gate.begin_call(first, quote("w1"), lined.gate.call_name())
    odd: Any = Ticket(first.tag, 1, 0, 1, "odd", quote("O"))
    lined.begin(first)
    lined.outbox.send(lined.told("begin", (keys, more, [object()]), odd, lambda reply: True))
    lined.begin(second)
    lined.until(lambda: set(lined.answers) == {"a", "b"})
    assert [call.runs[0].ticket.id for call in lined.outbox.unanswered()] == ["odd"]


def test_a_line_that_is_refused_for_good_is_told_once(
    world: World, lined: Turning, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[int] = []

    def refuse(*args: Any) -> Any:
        tried.append(1)
        raise ScriptRefused("no right to load scripts")

    lined.outbox.detach()
    monkeypatch.setattr(Pipelined, "open", refuse)
    lined.outbox.attach()
    lined._turns = lined.hub.create_loop()
    lined.until(lambda: len(tried) >= 3)
    assert caplog.text.count("no right to load scripts") == 1 and "Traceback" not in caplog.text
    assert lined.outbox._postman.reachable


def test_while_the_open_calls_can_not_be_seen_each_run_counts_as_held(world: World, lined: Turning) -> None:
    """Timeline: a soft shutdown interrupts the main thread where it holds the lock, and the renewer looks."""
    ticket = released(world, "a")
    lined.begin(ticket)
    lined.turn(1)
    run: Any = SimpleNamespace(ticket=ticket, key="?")
    found: list[bool] = []
    assert not lined.outbox.has(run)
    with lined.outbox._changed:
        since = time.monotonic()
        renewer = threading.Thread(target=lambda: found.extend(lined.outbox.has(run) for _ in range(60)))
        renewer.start()
        renewer.join(60)
        waited = time.monotonic() - since
    assert found == [True] * 60
    assert waited < 30 * LOCK_SECONDS, "it does not wait for each run, as it has leases to renew"
    until(lambda: not lined.outbox.has(run))  # at times the postman has the lock for a moment


def test_a_loop_that_is_abandoned_gets_no_more_calls(world: World, lined: Turning) -> None:
    """Timeline: a soft shutdown is over, and in the same signal handler a cold one tells the ends of runs."""
    answers = AnswerDispatcher(lined.loop, True)
    outbox = Outbox(lined.loop, lined.gate.store, lined.gate.store, answers.dispatch)
    outbox.attach()
    until(lambda: outbox._connection._connection is not None)
    outbox.abandon_loop()
    ticket = released(world, "a")
    call = lined.gate.begin_call(ticket, quote("w1"), lined.gate.call_name())
    outbox.send(lined.told("begin", call, ticket, lambda reply: bool(reply[0])))
    until(lambda: lined.answers == {"a": True})
    assert lined.threads["a"] != threading.get_ident(), "heard without a turn of the loop"
    assert outbox.close(patience=60)
    answers.stop(1.0)
