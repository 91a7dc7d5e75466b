"""Celery's lines about a run in progress name its group; all others stay as they are."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from celery.app import trace
from celery.worker import request, strategy

from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.sending.context import Continuation, continuing
from celery_groupfifo.worker import log_context

RUN = Continuation(Ticket("groupfifo:0", 6, 0, 1, "an-id", quote("g"), 7), "50% of\n'us'", 0)
SAID = r"""(group "50% of\n'us'", fence 7)"""
CONTEXT = {"id": "an-id", "name": "send", "return_value": "1%", "runtime": 2, "exc": "E", "description": "ignored"}


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    log_context.install()
    log_context.install()  # a second worker of the process
    yield
    for name in log_context.LOGGERS:
        logging.getLogger(name).removeFilter(log_context._COMPLETION)


def test_the_loggers_are_those_of_celerys_modules() -> None:
    modules = (strategy, trace, request)
    assert sorted(log_context.LOGGERS) == sorted(module.logger.name for module in modules)
    for module in modules:
        assert module.logger.filters == [log_context._COMPLETION]


LINES = {
    "received": (trace.LOG_RECEIVED, f"Task send[an-id] received {SAID}"),
    "succeeded": (trace.LOG_SUCCESS, f"Task send[an-id] succeeded in 2s: 1% {SAID}"),
    "failed": (trace.LOG_FAILURE, f"Task send[an-id] ignored: E {SAID}"),
    "ignored": (trace.LOG_IGNORED, f"Task send[an-id] ignored {SAID}"),
    "rejected": (trace.LOG_REJECTED, f"Task send[an-id] E {SAID}"),
    "retry": (trace.LOG_RETRY, f"Task send[an-id] retry: E {SAID}"),
    "a format of one's own": ("%(name)s: %(id)s", f"send: an-id {SAID}"),
}


def logged(caplog: pytest.LogCaptureFixture, text: str, args: Any) -> logging.LogRecord:
    caplog.set_level(logging.INFO, "celery.app.trace")
    caplog.clear()
    trace.logger.info(text, *args)
    (record,) = caplog.records
    return record


@pytest.mark.parametrize("line", LINES)
def test_it_names_the_group_and_the_fence(caplog: pytest.LogCaptureFixture, line: str) -> None:
    text, expected = LINES[line]
    with continuing(RUN):
        record = logged(caplog, text, [CONTEXT])
    assert record.getMessage() == expected
    assert (record.__dict__["group_key"], record.__dict__["fence"]) == (RUN.key, 7)
    assert "50%" not in str(record.msg), "one text for all groups: monitors count lines by it"


@pytest.mark.parametrize(
    ("text", "args", "expected"),
    [
        (
            "Hard time limit (%ss) exceeded for %s[%s]",
            (3, "send", "an-id"),
            f"Hard time limit (3s) exceeded for send[an-id] {SAID}",
        ),
        (
            "Task %s[%s] succeeded before the worker was lost: %r",
            ("send", "an-id", "x"),
            f"Task send[an-id] succeeded before the worker was lost: 'x' {SAID}",
        ),
        ("nothing at all", (), "nothing at all"),
    ],
)
def test_lines_with_arguments_by_place(caplog: pytest.LogCaptureFixture, text: str, args: Any, expected: str) -> None:
    with log_context.about(RUN):
        assert logged(caplog, text, args).getMessage() == expected


def test_a_line_that_names_no_task(caplog: pytest.LogCaptureFixture) -> None:
    with continuing(RUN):
        request.logger.error("Task handler raised error: %r", KeyError(1))
    (record,) = caplog.records
    assert record.getMessage() == f"Task handler raised error: KeyError(1) (task an-id, {SAID[1:]}"


@pytest.mark.parametrize(
    ("text", "args"),
    [
        (trace.LOG_SUCCESS, [{**CONTEXT, "id": "another"}]),
        ("Hard time limit (%ss) exceeded for %s[%s]", (3, "send", "another")),
        ("%(name)s", [{"name": "no id"}]),
    ],
)
def test_lines_about_another_task_stay_as_they_are(caplog: pytest.LogCaptureFixture, text: str, args: Any) -> None:
    """As of a task that a run calls in place."""
    with continuing(RUN), log_context.about(RUN):
        record = logged(caplog, text, args)
    assert record.msg == text
    assert record.args == (args[0] if isinstance(args[0], Mapping) else args)


def test_without_a_run_nothing_is_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    record = logged(caplog, trace.LOG_SUCCESS, [CONTEXT])
    assert record.msg == trace.LOG_SUCCESS and record.args is CONTEXT


def test_an_id_gives_no_orders_to_a_terminal(caplog: pytest.LogCaptureFixture) -> None:
    evil = Continuation(Ticket("groupfifo:0", 6, 0, 1, "\x1b[31m", quote("k"), 7), "k", 0)
    with continuing(evil):
        said = logged(caplog, trace.LOG_RECEIVED, [{**CONTEXT, "id": evil.ticket.id}]).getMessage()
        assert said == r"Task send[\x1b[31m] received (group 'k', fence 7)"
        said = logged(caplog, "Timeout of %s", [evil.ticket.id]).getMessage()
        assert said == r"Timeout of \x1b[31m (group 'k', fence 7)"


def test_an_error_gives_no_orders_to_a_terminal(caplog: pytest.LogCaptureFixture) -> None:
    """Of whatever a task raises; a traceback keeps its lines."""
    with continuing(RUN):
        try:
            raise ValueError("\x1b[31mred\r")
        except ValueError as error:
            trace.logger.error(
                "%(exc)s %(traceback)s", {**CONTEXT, "exc": error, "traceback": "a\n\x1bb"}, exc_info=True
            )
            request.logger.error("Task handler raised error: %s", error)
    first, second = caplog.records
    assert first.getMessage() == rf"\x1b[31mred\r a{chr(10)}\x1bb {SAID}"
    shown = logging.Formatter().format(first)
    assert "\x1b" not in shown and shown.endswith(r"ValueError: \x1b[31mred\r") and shown.count("\n") > 2
    assert r"error: \x1b[31mred\r (task" in second.getMessage()
