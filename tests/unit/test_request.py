"""Celery tells of a run through its request, also where something raises or strikes half-way."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.einfo import ExceptionInfo
from celery import Celery
from celery.exceptions import Reject
from kombu.message import Message

from celery_groupfifo.gate.model import HEADER, KEY_HEADER, Failure
from celery_groupfifo.settings import Settings
from celery_groupfifo.worker.request import GroupRequest, requesting
from celery_groupfifo.worker.run import Disposition, Run, Runs, State
from tests.unit.test_run import WAYS, make_run, step

TICKET = "gf ns:0 7 0 5 id g"


class Strikes(BaseException):
    """Stands for gevent's Timeout, which is no Exception."""


class Told:
    """A started run with its request, on a pool of greenlets, of a task whose final failure blocks its group.

    Attributes:
        settled: The disposition at each time the run was settled; None: nothing was decided.
    """

    def __init__(self, state: State = State.STARTED, **options: Any) -> None:
        self.app = Celery(set_as_current=False)
        self.app.task(self._never, name="a task", shared=False, group_on_failure="block", **options)
        self.task: Any = self.app.tasks["a task"]
        self.settled: list[Disposition | None] = []
        self.run = make_run(header=TICKET)
        self.run._decided = self._settle
        runs = Runs()
        runs.add(self.run)
        runs.add(make_run(header=TICKET))  # Redis has lost the begin, and the ticket has begun again
        member: Any = SimpleNamespace(
            pool=SimpleNamespace(precomputes=False, has_processes=False),
            runs=runs,
            gate=SimpleNamespace(settings=Settings(lease_ttl=2.0)),
            consumer=SimpleNamespace(hostname="w"),
        )
        mixed: Any = type("Mixed", (GroupRequest,), {"member": member})
        made = self.app.amqp.as_task_v2("id", "a task", (), {})
        headers = {**made.headers, HEADER: TICKET, KEY_HEADER: "g"}
        message = Message("[[], {}, {}]", content_type="application/json", content_encoding="utf-8")
        message.headers = headers
        with requesting(self.run):
            self.request = mixed(
                message,
                on_ack=self.run.on_ack,
                on_reject=self.run.on_reject,
                app=self.app,
                task=self.task,
                headers=headers,
                body=message.body,
            )
        for each in WAYS[state]:
            assert step(self.run, each)

    @staticmethod
    def _never() -> None: ...

    def _settle(self, run: Run) -> None:
        self.settled.append(run.disposition)
        run.finishing()

    def backend(self, error: BaseException) -> list[Any]:
        """Let the result backend raise. Returns what it was told."""
        told: list[Any] = []

        def mark_as_failure(*args: Any, **_: Any) -> None:
            told.append(args)
            raise error

        self.task.backend = SimpleNamespace(mark_as_failure=mark_as_failure)
        return told


def test_a_request_is_of_the_run_whose_acknowledgement_it_has() -> None:
    """Another run of its ticket may have begun in this worker by now."""
    told = Told()
    assert told.request.run is told.run and told.run.request is told.request


@pytest.mark.parametrize("error", [ConnectionError("away"), Strikes()], ids=["raises", "struck"])
@pytest.mark.parametrize("acks_late", [False, True])
def test_a_time_limit_ends_a_run_though_its_failure_can_not_be_stored(error: BaseException, acks_late: bool) -> None:
    told = Told(acks_late=acks_late)
    stored = told.backend(error)
    if not acks_late:
        told.request.acknowledge()  # at its start
    if isinstance(error, Exception):
        told.request.on_timeout(False, 3.0)
    else:
        with pytest.raises(Strikes):
            told.request.on_timeout(False, 3.0)
    assert stored and told.run.state is State.FINISHING and len(told.settled) == 1
    assert told.run.outcome == "failure"
    assert told.run.failure == Failure("block", "t", "TimeLimitExceeded: TimeLimitExceeded(3.0,)", "w")
    if isinstance(error, Exception) or not acks_late:
        assert told.settled == [Disposition.ACK], "it is not run again"


def test_one_that_is_not_acknowledged_on_a_time_limit_goes_back() -> None:
    told = Told(acks_late=True, acks_on_failure_or_timeout=False)
    told.backend(ConnectionError("away"))
    told.request.on_timeout(False, 3.0)
    assert told.settled == [None]


def test_a_time_limit_of_a_lost_run_is_not_stored() -> None:
    told = Told()
    stored = told.backend(ConnectionError("away"))
    assert told.run.lost()
    told.request.on_timeout(False, 3.0)
    assert stored == [] and len(told.settled) == 1


def test_a_time_limit_that_strikes_while_the_end_is_told_changes_nothing() -> None:
    told = Told()
    stored = told.backend(ConnectionError("away"))
    told.run.set_outcome("success")
    assert told.run.over() and told.run.finishing()
    told.request.on_timeout(False, 3.0)
    assert stored == [] and told.settled == [] and told.run.outcome == "success" and told.run.failure is None


def test_a_rejection_counts_though_a_time_limit_strikes_while_it_is_stored() -> None:
    told = Told(acks_late=True)
    told.backend(Strikes())
    try:
        raise Reject("no", requeue=False)
    except Reject:
        info = ExceptionInfo()
    with suppress(Strikes):  # Celery 5.7 stores it
        told.request.on_failure(info)
    assert told.run.state is State.FINISHING and set(told.settled) == {Disposition.REJECT}
