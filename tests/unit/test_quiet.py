"""Calls of a batch that are ended without Celery's tracer: only those of which nobody would learn more."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, signals
from celery.app import trace
from celery.app.trace import fast_trace_task

from celery_groupfifo import BatchCall, GroupFifoTask
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.sending.context import Continuation
from celery_groupfifo.worker import log_context, quiet
from celery_groupfifo.worker import trace as ours

SIGNALS = (signals.task_prerun, signals.task_postrun, signals.task_success)


@pytest.fixture
def app() -> Iterator[Celery]:
    before = trace.logger.level
    trace.logger.setLevel(logging.WARNING)
    app = Celery("quiet", broker="memory://", backend="cache+memory://")
    app.set_current()
    yield app
    trace.logger.setLevel(before)


def watched(app: Celery, **options: Any) -> Any:
    """A task as a pool runs it."""
    options = {"group_batch": 5, "group_key": "{key}", "ignore_result": True, **options}

    def run(calls: list[BatchCall]) -> None: ...

    task = app.task(base=GroupFifoTask, name="quiet.post", lazy=False, shared=False, **options)(run)
    ours._watch(task.name)
    return task


def ended(outcome: Any = None, target: Any = fast_trace_task, embed: Any = None, **request: Any) -> Any:
    """Return the end of a call of the task; None: it is left to Celery."""
    call: quiet.Call = ("quiet.post", "id", request, ([], {}, embed), None, None)
    run = Continuation(Ticket("{groupfifo:0}", 2, 0, 1, "id", quote("g"), fence=7), "key", 0)
    return quiet.quiet_end("quiet.post", target)(call, outcome, lambda: run)


def test_a_call_without_a_result_is_ended(app: Celery) -> None:
    watched(app)
    assert ended() == (0, "None", 0.0)
    assert ended({"a": 1}, embed={"callbacks": None, "chain": None, "chord": None}) == (0, "{'a': 1}", 0.0)


def test_the_result_is_as_celery_says_it(app: Celery) -> None:
    task = watched(app)
    task.__trace__ = trace.build_tracer(task.name, task, app=app)
    assert ended() is not None, "the task was not looked at as a pool does"
    assert ended("x" * 5000)[1] == trace.saferepr("x" * 5000, task.resultrepr_maxsize)


@pytest.mark.parametrize(
    "more",
    [
        {"outcome": ValueError("no")},
        {"ignore_result": False},
        {"embed": {"callbacks": [{"task": "t"}]}},
        {"embed": {"chord": {"task": "t"}}},
        {"embed": {"chain": [{"task": "t"}]}},
        {"chord": {"task": "t"}},
        {"target": lambda *args: None},
    ],
    ids=lambda more: next(iter(more)),
)
def test_a_call_with_more_to_do_is_left_to_celery(app: Celery, more: dict[str, Any]) -> None:
    watched(app)
    assert ended() is not None
    assert ended(**more) is None


def test_so_is_one_with_a_result(app: Celery) -> None:
    watched(app, ignore_result=False)
    assert ended() is None
    assert ended(ignore_result=True) is not None


@pytest.mark.parametrize(
    "signal", [signals.task_prerun, signals.task_postrun, signals.task_success], ids=lambda s: s.name
)
def test_so_is_one_with_a_receiver(app: Celery, signal: Any) -> None:
    watched(app)

    def receiver(**_: Any) -> None: ...

    signal.connect(receiver)
    try:
        assert ended() is None
    finally:
        signal.disconnect(receiver)
    assert ended() is not None


@pytest.mark.parametrize("hook", ["before_start", "on_success", "after_return"])
def test_so_is_one_of_a_task_with_a_hook(app: Celery, hook: str) -> None:
    watched(app, **{hook: lambda self, *args: None})
    assert ended() is None


def test_its_log_line_is_that_of_celery_and_names_the_group(app: Celery, caplog: pytest.LogCaptureFixture) -> None:
    watched(app)
    log_context.install()
    with caplog.at_level(logging.INFO, logger=trace.logger.name):
        assert ended(5) is not None
    assert caplog.messages == ["Task quiet.post[id] succeeded in 0.0s: 5 (group 'key', fence 7)"]


def test_so_is_one_under_the_tracer_of_a_library(app: Celery) -> None:
    task = watched(app)
    before = task.__trace__
    task.__trace__ = lambda *args: before(*args)
    assert ended() is None


def test_so_is_one_with_a_call_of_a_library(app: Celery) -> None:
    task = watched(app)
    task.__call__ = lambda *args: None
    assert ended() is None


def test_so_is_one_whose_backend_or_loader_does_more(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    watched(app)
    for one, name in ((app.backend, "mark_as_done"), (app.backend, "process_cleanup"), (app.loader, "on_task_init")):
        with monkeypatch.context() as patch:
            patch.setattr(type(one), name, lambda *args: None)
            assert ended() is None, name
    assert ended() is not None
