"""Whose lease is renewed, and who is given up."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from celery_groupfifo.errors import GateUnavailable
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.worker.renewer import Renewer
from celery_groupfifo.worker.run import LEASED, Run, Runs, State
from tests.unit.test_run import WAYS, make_run, step


class Worker:
    """A renewer over runs whose holders a test names."""

    def __init__(self) -> None:
        self.runs, self.held = Runs(), set[Run]()
        self.renewed: list[list[int]] = []
        self.calls: dict[Ticket, str] = {}
        self.dropped: list[Run] = []
        self.lost: list[Run] = []
        self.answer: Any = lambda tickets: []
        gate: Any = SimpleNamespace(renew=self._renew, settings=SimpleNamespace(lease_ttl=3.0))
        self.renewer = Renewer(gate, quote("w1"), self.runs, lambda run: run in self.held, self._drop, self.lost.append)

    def _renew(self, owner: str, tickets: Iterable[Ticket], calls: dict[Ticket, str], _: None) -> list[Ticket]:
        self.renewed.append(sorted(ticket.release for ticket in tickets))
        self.calls = calls
        return self.answer(list(tickets))  # type: ignore[no-any-return]

    def _drop(self, run: Run) -> None:
        self.dropped.append(run)
        self.runs.remove(run)

    def add(self, release: int, state: State = State.STARTED, held: bool = True) -> Run:
        run = make_run(header=f"gf ns:0 {release} 0 5 id{release} g")
        for each in WAYS[state]:
            step(run, each)
        self.runs.add(run)
        if held:
            self.held.add(run)
        return run


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_every_state_in_which_the_lease_may_run(worker: Worker) -> None:
    for release, state in enumerate(State):
        worker.add(release, state)
    worker.renewer.pass_once()
    assert worker.renewed == [[release for release, state in enumerate(State) if state in LEASED]]


def test_one_whose_begin_is_not_answered_is_renewed_by_the_name_of_that_call(worker: Worker) -> None:
    """Timeline: the gate has granted the lease; the loop runs a task, and hears the answer a lease later."""
    run = worker.add(1, State.RECEIVED)
    run.call = "begin.1"
    worker.renewer.pass_once()
    assert worker.calls[run.ticket] == "begin.1" and not run.ticket.fence


def test_a_run_that_nobody_has_is_given_up_and_not_renewed_for_ever(worker: Worker) -> None:
    loose, fine = worker.add(1, held=False), worker.add(2)
    worker.renewer.pass_once()
    assert worker.renewed == [[1, 2]] and worker.dropped == [], "it may be on its way from one hand to the next"
    worker.renewer.pass_once()
    assert worker.renewed[1:] == [[2]] and worker.dropped == [loose]
    assert fine.renewed > 0


def test_a_run_that_nobody_can_see_costs_no_other_its_lease(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    """Timeline: a pool that nothing is known of raises when it is asked for one of its jobs."""
    odd, fine = worker.add(1), worker.add(2)

    def is_held(run: Run) -> bool:
        if run is odd:
            raise OSError("no such job")
        return True

    worker.renewer._is_held = is_held
    for _ in range(3):
        worker.renewer.pass_once()
    assert worker.renewed == [[1, 2]] * 3 and worker.dropped == []
    assert fine.renewed > 0 and "Can't check whether" in caplog.text


def test_one_that_was_between_two_hands_for_a_moment_is_kept(worker: Worker) -> None:
    run = worker.add(1, held=False)
    worker.renewer.pass_once()
    worker.held.add(run)
    worker.renewer.pass_once()
    worker.held.clear()
    worker.renewer.pass_once()
    assert worker.dropped == [] and worker.renewed == [[1]] * 3


def test_lost_ones_are_told_and_the_others_are_renewed(worker: Worker) -> None:
    lost, kept = worker.add(1), worker.add(2)
    worker.answer = lambda tickets: [ticket for ticket in tickets if ticket.release == 1]
    worker.renewer.pass_once()
    assert worker.lost == [lost] and lost.renewed == lost.since < kept.renewed


def test_one_that_begins_while_the_gate_is_asked_is_not_lost(worker: Worker) -> None:
    """Timeline: renew is asked; the gate answers no; it grants the begin; its yes comes in; then its no does."""
    run = worker.add(1, State.RECEIVED)

    def granted(tickets: list[Ticket]) -> list[Ticket]:
        assert run.begun(run.ticket.begun(1), 0.0) and run.given()
        return tickets

    worker.answer = granted
    worker.renewer.pass_once()
    assert worker.lost == [] and run.renewed == 0
    worker.answer = lambda tickets: tickets
    worker.renewer.pass_once()
    assert worker.lost == [run], "now it is known to have begun before"


def test_while_the_gate_is_away_nothing_is_lost(worker: Worker) -> None:
    run = worker.add(1)

    def away(tickets: list[Ticket]) -> list[Ticket]:
        raise GateUnavailable("away")

    worker.answer = away
    with pytest.raises(GateUnavailable):
        worker.renewer.pass_once()
    assert worker.lost == [] and run.renewed == run.since


def test_without_runs_it_still_says_that_the_worker_lives(worker: Worker) -> None:
    worker.renewer.pass_once()
    assert worker.renewed == [[]]
