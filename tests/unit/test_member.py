"""The worker as a member of the gate: what it does with answers while its loop does not run."""

from __future__ import annotations

from types import SimpleNamespace

from celery.bootsteps import RUN

from celery_groupfifo.worker.member import Member, _Thread


def test_an_answer_that_was_taken_for_a_paused_loop_stays_outside_of_it() -> None:
    """Timeline: the loop is paused, the postman hears a begin, and the loop goes on before he has done what it says."""
    member = Member.__new__(Member)
    member._thread, member._leaving, member._paused = _Thread(), False, True
    member.consumer = SimpleNamespace(blueprint=SimpleNamespace(state=RUN), task_consumer=object())
    may_receive: list[bool] = []

    def step() -> None:
        member._paused = False
        may_receive.append(member.receiving)

    member._hear(step)
    assert may_receive == [False], "so it is given back"
    assert member.receiving
