"""Answers of the gate that have come to the postman are heard in the right thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from celery_groupfifo.worker.answers import AnswerDispatcher
from celery_groupfifo.worker.pools import Prefork, Threads
from tests.support.waiting import until


class Loop:
    """The consumer's, which runs what it is told when a test lets it."""

    def __init__(self) -> None:
        self.steps: list[Any] = []

    def soon(self, step: Any) -> None:
        self.steps.append(step)


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def answers(loop: Loop) -> Iterator[AnswerDispatcher]:
    answers = AnswerDispatcher(loop, True)  # type: ignore[arg-type]
    yield answers
    answers.stop(0.0)


def test_the_loop_hears_while_it_runs(loop: Loop, answers: AnswerDispatcher) -> None:
    answers.go_on()
    answers.dispatch(step := lambda: None)
    assert loop.steps == [step]


def test_what_needs_no_loop_is_heard_though_that_stands_still(loop: Loop, answers: AnswerDispatcher) -> None:
    """A ticket that came back has to be published, also while the loop waits for a broker that hangs."""
    heard: list[int] = []
    answers.go_on()
    answers.dispatch(lambda: heard.append(1), anywhere=True)
    until(lambda: heard == [1])
    assert not loop.steps


def test_while_it_does_not_a_thread_does_and_the_postman_waits_for_nobody(
    loop: Loop, answers: AnswerDispatcher
) -> None:
    """Timeline: the first answer leads to something that hangs for a while."""
    heard: list[int] = []
    go_on = threading.Event()
    answers.dispatch(lambda: heard.append(0) if go_on.wait(20) else None)
    for number in (1, 2):
        answers.dispatch(partial(heard.append, number))
    assert heard == [] and not loop.steps
    go_on.set()
    until(lambda: heard == [0, 1, 2])


def test_an_answer_that_was_taken_for_a_paused_loop_stays_outside_of_it(answers: AnswerDispatcher) -> None:
    """Timeline: the loop is paused, a begin is heard, and the loop goes on before that has done what it says."""
    outside: list[bool] = []

    def step() -> None:
        answers.go_on()
        outside.append(answers.outside_loop)

    answers.dispatch(step)
    until(lambda: outside == [True])
    assert not answers.outside_loop and not answers.paused


def test_no_answer_falls_between_a_loop_and_its_pause(loop: Loop, answers: AnswerDispatcher) -> None:
    """Timeline: an answer is just being passed to the loop when that is paused; it must be there by then."""
    passing, pausing, left = threading.Event(), threading.Event(), list[int]()
    soon = loop.soon

    def slowly(step: Any) -> None:
        passing.set()
        pausing.wait(20)
        soon(step)

    loop.soon = slowly  # type: ignore[method-assign]
    answers.go_on()
    postman = threading.Thread(target=answers.dispatch, args=(lambda: None,))
    postman.start()
    assert passing.wait(20)

    def pause() -> None:
        answers.pause()
        left.append(len(loop.steps))

    main = threading.Thread(target=pause)
    main.start()
    main.join(0.2)
    assert not left, "it waits for the answer"
    pausing.set()
    main.join(20)
    postman.join(20)
    assert left == [1]


@pytest.mark.parametrize("kind", [Prefork, Threads])
@pytest.mark.parametrize("has_loop", [True, False])
def test_a_pool_that_may_be_given_tasks_from_any_thread_needs_no_loop(kind: Any, has_loop: bool) -> None:
    pool = kind(SimpleNamespace(), SimpleNamespace(hub=object() if has_loop else None))
    assert pool.answers_on_loop is has_loop
