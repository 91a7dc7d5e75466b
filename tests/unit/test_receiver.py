"""A worker keeps no half of a ticket, where something strikes it half-way."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from celery_groupfifo.gate.model import HEADER
from celery_groupfifo.worker.lanes import Lanes
from celery_groupfifo.worker.receiver import Receiver
from celery_groupfifo.worker.run import Run, Runs, State
from tests.unit.test_run import make_run, step


class Strikes(BaseException):
    """Stands for gevent's Timeout, which is no Exception."""


class Worker:
    """A receiver over parts of which a test chooses the one that is struck."""

    def __init__(self, strikes: str) -> None:
        self.strikes = strikes
        self.member = cast(
            Any,
            SimpleNamespace(
                consumer=SimpleNamespace(app=SimpleNamespace(tasks=self), task_consumer=None),
                loop=None,
                runs=Runs(),
                receiving=True,
                lists=SimpleNamespace(note=lambda message: None),
                events=SimpleNamespace(begun=lambda run, handoff: self._struck("signal")),
            ),
        )
        self.receiver = Receiver(self.member)
        self.receiver._sizes = cast(Any, SimpleNamespace(of=lambda name: 1))

    def get(self, name: str) -> Any:
        """Return a task of the app."""
        self._struck("strategy")

    def _struck(self, where: str) -> None:
        if where == self.strikes:
            raise Strikes


@pytest.mark.parametrize("strikes", ["signal", "strategy"])
def test_a_run_that_is_struck_on_its_way_to_the_pool_is_in_nobodys_hand(strikes: str) -> None:
    """Else it would be renewed for ever, and its group would wait as long as the worker lives."""
    worker, run = Worker(strikes), make_run()
    held: list[bool] = []

    def go_on() -> None:
        held.append(run.in_hand)
        worker.receiver.read(run)

    with pytest.raises(Strikes):
        worker.receiver._begin(run, run.ticket.begun(8), (1.0, 1.0), None, go_on)
    assert run.state is State.BEGUN and not run.in_hand
    assert held == ([True] if strikes == "strategy" else []), "until then our own code has it"


def test_one_that_is_struck_in_a_turn_of_its_own_is_in_nobodys_hand() -> None:
    worker, run, later = Worker("strategy"), make_run(), list[Run]()
    worker.receiver._begin(run, run.ticket.begun(8), (1.0, 1.0), None, lambda: later.append(run))
    assert run.in_hand
    with pytest.raises(Strikes):
        worker.receiver.read(later[0])
    assert not run.in_hand


@pytest.mark.parametrize("became", [State.SURRENDERING, State.LOST])
def test_one_that_was_given_back_while_it_waited_is_not_shown_to_celery(became: State) -> None:
    """Timeline: it waits for its place in a full pool, and a soft shutdown gives it back."""
    worker, run, later = Worker("strategy"), make_run(), list[Run]()
    worker.receiver._begin(run, run.ticket.begun(8), (1.0, 1.0), None, lambda: later.append(run))
    assert step(run, became)
    worker.receiver.read(later[0])
    assert run.state is became and not run.in_hand


def test_a_run_keeps_the_name_of_the_call_that_begins_it() -> None:
    """The renewer shows it to the gate until the answer tells the fence."""
    worker, sent = Worker(""), list[Any]()
    member, pool = worker.member, SimpleNamespace(runs_inline=True)
    member.gate = SimpleNamespace(
        keyspace=SimpleNamespace(of_tag=lambda tag: "keys"),
        call_name=iter(("first", "second")).__next__,
        begin_call=lambda ticket, owner, call: call,
    )
    member.outbox = SimpleNamespace(send=lambda call, wait: sent.append(call))
    member.lanes = Lanes()
    member.owner, member.pool, member.endings = "w", pool, SimpleNamespace(settle=None)
    worker.receiver._prefetch = SimpleNamespace(begins=lambda call: None)  # type: ignore[assignment]
    made = make_run()
    made.message.headers[HEADER], made.message.channel, made.message.delivery_tag = made.header, None, "d"
    worker.receiver.receive(made.message, made.ticket)
    (run,) = member.runs
    assert sent[0].arguments == run.call == "first" and not run.ticket.fence
    assert run.ticket.lane == "0"


@pytest.mark.parametrize("order", [(7, 8), (8, 7)], ids=["at the later begin", "by the late answer to its own begin"])
def test_of_two_runs_of_one_ticket_the_earlier_one_is_not_shown_to_celery(order: tuple[int, int]) -> None:
    """Timeline: Redis loses the begin of a run that waits for its place; the ticket begins again in this worker."""
    worker, later = Worker("strategy"), list[Run]()
    worker.member.endings = SimpleNamespace(lease_lost=Run.lost)
    runs = {fence: make_run() for fence in order}
    for fence, run in runs.items():
        worker.receiver._begin(run, run.ticket.begun(fence), (1.0, 1.0), None, partial(later.append, run))
    assert runs[7].is_lost and runs[8].state is State.BEGUN
    worker.receiver.read(runs[7])
    with pytest.raises(Strikes):
        worker.receiver.read(runs[8])
    assert set(worker.member.runs) == set(later) == set(runs.values())
