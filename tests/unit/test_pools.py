"""Each pool lets us do some things, in some threads."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from celery_groupfifo.worker.answers import AnswerDispatcher
from celery_groupfifo.worker.loop import Loop
from celery_groupfifo.worker.pools import Prefork, Threads
from celery_groupfifo.worker.request import GroupRequest
from celery_groupfifo.worker.run import State
from tests.support.waiting import until
from tests.unit.test_run import run_in


def without_loop() -> Loop:
    return Loop(SimpleNamespace(hub=None, pool=SimpleNamespace()))


@pytest.mark.parametrize("give", ["give", "pass_on"])
def test_what_waits_for_a_place_in_a_full_prefork_pool_holds_up_no_answer(give: str) -> None:
    pool, place = Prefork(SimpleNamespace(), without_loop()), threading.Event()
    answers, heard = AnswerDispatcher(without_loop(), pool.answers_on_loop), threading.Event()
    given: list[bool] = []
    answers.dispatch(lambda: getattr(pool, give)(lambda: given.append(place.wait(20))))
    answers.dispatch(heard.set)
    assert heard.wait(60) and not given
    place.set()
    until(lambda: given == [True])
    pool.stop()


def test_a_run_that_waits_for_a_place_in_a_full_prefork_pool_is_in_its_hands() -> None:
    """Nobody may give it back: it will run as soon as there is a place."""
    pool, run = Prefork(SimpleNamespace(_pool=None), without_loop()), run_in(State.GIVEN)
    assert pool.has(run) and not pool.take_back(run)
    run.let_go()
    assert not pool.has(run) and pool.take_back(run)


class PlainRequest:
    """A project's own request class, which happens to have a word of ours."""

    def run(self, *args: Any) -> None: ...


class OrderedRequest(GroupRequest):
    """One of ours, without its message."""

    carried: Any = "carried"

    def __init__(self) -> None: ...

    def on(self, *args: Any) -> None: ...


@pytest.mark.parametrize("make", [Prefork, Threads])
def test_only_what_a_request_of_ours_runs_goes_through_our_trace(make: Any) -> None:
    targets: list[Any] = []
    celery = SimpleNamespace(apply_async=lambda target, args, kwargs, **options: targets.append(target))
    pool = make(celery, without_loop())
    pool.install()
    celery.apply_async(print, (), callback=PlainRequest().run)
    celery.apply_async(print, (), callback=OrderedRequest().on)
    assert targets[0] is print and targets[1] is not print
    pool.stop()
