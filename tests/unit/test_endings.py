"""The ends of runs in one worker, without a gate and without Celery."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from celery_groupfifo import signals
from celery_groupfifo.gate.gate import INVITES
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Finished
from celery_groupfifo.worker import events
from celery_groupfifo.worker.background import Background
from celery_groupfifo.worker.endings import Endings
from celery_groupfifo.worker.gate_call import GateCall
from celery_groupfifo.worker.lanes import Lanes
from celery_groupfifo.worker.member import Member
from celery_groupfifo.worker.receiver import Receiver
from celery_groupfifo.worker.renewer import Renewer
from celery_groupfifo.worker.run import Disposition, Run, Runs, State
from tests.support.waiting import until
from tests.unit.test_run import WAYS, Request, make_run, step


class Parts(SimpleNamespace):
    """A member made of the parts that a test gives it."""

    may_wait = Member.may_wait
    is_held = Member.is_held


class Worker:
    """A member as far as endings need it; its gate hears everything and answers nothing.

    Attributes:
        sent: The script of each call, and whether its caller would have waited.
        closed: The runs whose delivery was closed.
    """

    def __init__(self) -> None:
        self.runs, self.aside = Runs(), Background("test-aside")
        self.sent: list[tuple[str, bool]] = []
        self.calls: list[Any] = []
        self.closed: list[Run] = []
        self.soon: list[Any] = []
        self.pool_has = set[Run]()
        consumer = SimpleNamespace(hostname="w", event_dispatcher=None, task_consumer=None)
        member: Any = Parts(
            runs=self.runs,
            aside=self.aside,
            owner="w",
            consumer=consumer,
            receiving=False,
            stopping=False,
            events=events.Events(consumer, self.soon.append, lambda call: call()),
            gate=SimpleNamespace(
                settings=SimpleNamespace(on_lease_lost="warn", lease_ttl=3.0),
                releaser=SimpleNamespace(takes=True),
                call_name=lambda: "c",
                finish_call=lambda finish: ("finish", ("k", [], [])),
                invited=lambda ticket, reply: ["a g"] if reply[0] >= INVITES else [],
                advance_call=lambda ticket, lists, members: ("k", [ticket.id], []),
                surrender_call=lambda back, lists: ("k", [], [lost for _, lost in back]),
            ),
            lists=SimpleNamespace(beside=lambda message: [], all=lambda: []),
            outbox=SimpleNamespace(send=self._send, has=lambda run: any(run in call.runs for call in self.calls)),
            pool=SimpleNamespace(has=self.pool_has.__contains__, waits=True, runs_inline=True),
            loop=SimpleNamespace(is_main=False),
            answers=SimpleNamespace(in_thread=False),
            renewer=SimpleNamespace(renewed_at=lambda tag: 0.0),
            lanes=Lanes(),
        )
        self.member, self.endings = member, Endings(member)
        member.receiver = Receiver(member)

    def _send(self, call: Any, wait: bool) -> None:
        self.sent.append((call.script, wait))
        self.calls.append(call)

    def add(self, fence: int, state: State = State.STARTED) -> Run:
        run = make_run(header=f"gf ns:0 {fence} 0 5 id{fence} g")
        for each in WAYS[state]:
            assert step(run, each)
        run.let_go()
        delivery: Any = SimpleNamespace(close=lambda: self.closed.append(run), channel=None)
        run.delivery, run._decided = delivery, self.endings.settle
        self.runs.add(run)
        return run

    def renewer(self, lost: tuple[int, ...] = ()) -> Renewer:
        gate: Any = SimpleNamespace(
            settings=SimpleNamespace(lease_ttl=3.0),
            renew=lambda owner, tickets, calls, _: [ticket for ticket in tickets if ticket.release in lost],
        )
        return Renewer(gate, quote("w"), self.runs, self.member.is_held, self.endings.dropped, self.endings.lease_lost)


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.aside.stop(within=0)


@pytest.mark.parametrize("signal", [signals.group_lease_lost, signals.group_surrendered], ids=["lost", "dropped"])
def test_the_renewer_waits_for_no_receiver_of_a_signal(worker: Worker, signal: Any) -> None:
    """Timeline: a receiver hangs; the leases of the living runs are to be renewed meanwhile."""
    hanging, go_on, threads = threading.Event(), threading.Event(), list[threading.Thread]()

    def hang(**_: Any) -> None:
        threads.append(threading.current_thread())
        hanging.set()
        assert go_on.wait(30)

    lives, bad = worker.add(1), [worker.add(2), worker.add(3)]
    worker.pool_has.add(lives)
    if signal is signals.group_lease_lost:
        worker.pool_has.update(bad)
    renewer = worker.renewer(lost=(2, 3) if signal is signals.group_lease_lost else ())
    signal.connect(hang)
    try:
        passes = threading.Thread(target=lambda: [step() for step in [renewer.pass_once] * 4], daemon=True)
        passes.start()
        passes.join(30)
        assert not passes.is_alive() and lives.renewed > 0
        assert hanging.wait(30)
    finally:
        go_on.set()
        until(lambda: not len(worker.aside))
        signal.disconnect(hang)
    assert len(threads) == 2 and passes not in threads
    wanted = State.LOST if signal is signals.group_lease_lost else State.SURRENDERING
    assert [run.state for run in bad] == [wanted, wanted]


def test_where_tasks_run_inline_none_is_started_by_what_the_renewer_has_seen(worker: Worker) -> None:
    run = worker.add(1)
    run.disposition = Disposition.ACK
    step(run, State.OVER)
    worker.endings.dropped(run)
    until(lambda: not len(worker.aside))
    assert worker.sent == [("finish", False)], "whoever waits for the answer goes on with the next task"


def test_what_goes_on_after_it_was_missed_is_left_alone(worker: Worker) -> None:
    """Timeline: nobody had it for two passes, its end was told, and only then somebody looks."""
    run, busy = worker.add(1), threading.Event()
    worker.aside.submit(lambda: busy.wait(30))
    worker.endings.dropped(run)
    run.disposition = Disposition.ACK
    worker.endings.settle(run)
    busy.set()
    until(lambda: not len(worker.aside))
    assert run.state is State.FINISHING and worker.sent == [("finish", True)]
    assert worker.runs.of(run.header) is run and not worker.closed


def test_a_run_whose_call_is_gone_keeps_no_place_among_the_prefetched(worker: Worker) -> None:
    run = worker.add(1, State.FINISHING)
    worker.endings.dropped(run)
    until(lambda: not len(worker.aside))
    assert worker.closed == [run] and worker.runs.of(run.header) is None


def test_a_begin_whose_answer_can_not_be_handled_keeps_its_group_no_longer(worker: Worker) -> None:
    """Timeline: the gate has granted a lease; the loop runs a task meanwhile; then the worker raises at the answer."""
    run, renewer = worker.add(1, State.RECEIVED), worker.renewer()

    def granted(*_: Any) -> None:
        raise ValueError("no answer of a begin")

    worker.member.gate.granted = granted
    call = GateCall("begin", ("k", [], []), partial(worker.member.receiver._begun, run), [run])  # type: ignore[arg-type]
    worker.calls.append(call)
    for _ in range(3):
        renewer.pass_once()
    until(lambda: not len(worker.aside))
    assert list(worker.runs) == [run] and run.renewed > 0 and not worker.closed, "its begin is on its way"
    worker.calls.clear()
    call.answer([])
    for _ in range(3):
        renewer.pass_once()
    until(lambda: not len(worker.aside))
    assert not len(worker.runs) and worker.closed == [run] and not worker.sent


def test_the_taken_one_invites_the_next(worker: Worker) -> None:
    taken = b'{"properties": {"delivery_tag": "gf ns:0 2 0 5 other g", "delivery_info": {'
    worker.member.gate.finished = lambda reply: Finished(False, taken, 9, invites=True)
    worker.member.receiver = SimpleNamespace(hand_off=lambda *_: None)
    run = worker.add(1)
    run.disposition = Disposition.ACK
    worker.endings.settle(run)
    worker.calls[0].on_answer([], worker.calls[0])
    assert [script for script, _ in worker.sent] == ["finish", "advance"]
    assert worker.calls[1].arguments[1] == ["other"]


def test_so_does_one_that_begins(worker: Worker) -> None:
    run = worker.add(1, State.RECEIVED)
    worker.member.gate.granted = lambda ticket, reply: ticket.begun(9)
    worker.member.endings = worker.endings
    call = GateCall("begin", ("k", [], []), partial(worker.member.receiver._begun, run), [run])  # type: ignore[arg-type]
    call.answer([1 + INVITES, 9])
    assert worker.sent[0][0] == "advance"


class Strikes(BaseException):
    """Stands for gevent's Timeout, which is no Exception."""


@pytest.mark.parametrize("way", ["a begin", "a hand-off"])
def test_an_invitation_that_fails_stops_no_run(worker: Worker, way: str) -> None:
    """A sweep invites then; the run that has begun goes on."""
    gone_on: list[str] = []
    run = worker.add(1, State.RECEIVED if way == "a begin" else State.STARTED)
    worker.member.endings = worker.endings
    worker.member.gate.granted = lambda ticket, reply: ticket.begun(9)

    def strike(*_: Any) -> None:
        raise Strikes

    worker.member.gate.advance_call = strike
    if way == "a begin":
        worker.member.receiver._begin = lambda *_: gone_on.append(way)
        call = GateCall("begin", ("k", [], []), partial(worker.member.receiver._begun, run), [run])  # type: ignore[arg-type]
        with pytest.raises(Strikes):
            call.answer([1 + INVITES, 9])
    else:
        taken = b'{"properties": {"delivery_tag": "gf ns:0 2 0 5 other g", "delivery_info": {'
        worker.member.gate.finished = lambda reply: Finished(False, taken, 9, invites=True)
        worker.member.receiver = SimpleNamespace(hand_off=lambda *_: gone_on.append(way))
        run.disposition = Disposition.ACK
        worker.endings.settle(run)
        with pytest.raises(Strikes):
            worker.calls[0].on_answer([], worker.calls[0])
    assert gone_on == [way]


@pytest.mark.parametrize("taken", [None, b"next"], ids=["the chain ends", "the chain goes on"])
def test_a_time_limit_that_strikes_while_an_end_is_told_ends_no_chain_half_way(
    worker: Worker, taken: bytes | None
) -> None:
    handed: list[tuple[bytes, int]] = []
    worker.member.gate.finished = lambda reply: Finished(False, taken, 9)
    worker.member.receiver = SimpleNamespace(hand_off=lambda raw, fence, *_: handed.append((raw, fence)))
    run = worker.add(1)
    run.disposition = Disposition.ACK
    worker.endings.settle(run)

    def strike(**_: Any) -> None:
        raise Strikes

    signals.group_finished.connect(strike)
    try:
        with pytest.raises(Strikes):
            worker.calls[0].on_answer([], worker.calls[0])
    finally:
        signals.group_finished.disconnect(strike)
    assert (worker.closed, handed) == (([run], []) if taken is None else ([], [(taken, 9)]))


def test_an_end_that_celery_still_deals_with_is_in_its_hands(worker: Worker) -> None:
    """Timeline: Celery tells the result backend of a failure before it acknowledges, and the backend hangs."""
    run, request = worker.add(1, State.OVER), Request()
    run.set_request(request)
    renewer = worker.renewer()
    for _ in range(4):
        renewer.pass_once()
    until(lambda: not len(worker.aside))
    assert run.state is State.OVER and run.renewed > 0 and not worker.sent
    run.on_reject(None, None)
    assert worker.sent == [("finish", True)]


@pytest.mark.parametrize(
    ("state", "before", "wanted"),
    [(State.STARTED, False, True), (State.GIVEN, False, False), (State.OVER, True, True), (State.OVER, False, False)],
)
def test_whether_a_dropped_run_counts_as_one_whose_process_was_lost(
    worker: Worker, state: State, before: bool, wanted: bool
) -> None:
    run = worker.add(1, state)
    if before:
        run.mark_worker_lost()
    worker.endings.dropped(run)
    until(lambda: not len(worker.aside))
    assert run.state is State.SURRENDERING and run.worker_lost is wanted


@pytest.mark.parametrize("disposition", [Disposition.ACK, None], ids=["told", "given back"])
def test_a_lease_that_is_lost_just_when_a_run_ends_leaves_nothing_behind(
    worker: Worker, disposition: Disposition | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timeline: the execution is over, the renewer says that the lease is lost, and then the gate is to be told."""
    run, over = worker.add(1), Run.over

    def lost_then(run: Run) -> bool:
        return over(run) and run.lost() is not None

    monkeypatch.setattr(Run, "over", lost_then)
    run.disposition = disposition
    worker.endings.settle(run)
    assert run.state is State.ENDED and worker.closed == [run] and not len(worker.runs) and not worker.sent


def test_a_lost_run_that_was_given_to_the_pool_meanwhile_is_not_ended(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timeline: the renewer is about to say that a lease is lost, and the loop gives the run to the pool."""
    run, lost = make_run(), Run.lost
    run.begun(run.ticket.begun(1), 1.0)
    worker.runs.add(run)

    def given_then(run: Run) -> Any:
        assert run.given()
        return lost(run)

    monkeypatch.setattr(Run, "lost", given_then)
    worker.endings.lease_lost(run)
    until(lambda: not len(worker.aside))
    assert run.is_lost and run.state is State.LOST, "its execution ends it"


def test_a_lost_run_that_celery_drops_leaves_nothing_behind(worker: Worker) -> None:
    """Timeline: the lease of a run is lost, and the pool forgets it without a word: a flush at a reconnect, say."""
    run, request = worker.add(1), Request()
    run.set_request(request)
    renewer = worker.renewer(lost=(1,))
    worker.pool_has.add(run)
    renewer.pass_once()
    assert run.is_lost
    worker.pool_has.clear()
    for _ in range(3):
        renewer.pass_once()
    until(lambda: not len(worker.aside))
    assert run.is_lost and worker.runs.of(run.header) is run, "Celery may yet give it to the pool"
    run.set_request(Request())  # Celery's is gone
    for _ in range(3):
        renewer.pass_once()
    until(lambda: not len(worker.aside))
    assert run.state is State.ENDED and worker.closed == [run] and not len(worker.runs)
