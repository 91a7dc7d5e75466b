"""Nothing that the package logs or raises gives orders to a terminal."""

from __future__ import annotations

import ast
import importlib
import logging
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import celery_groupfifo
from celery_groupfifo.errors import UnknownTask
from celery_groupfifo.printing import escape, escaping, printable

EVIL, SHOWN = "\x1b[31m\x9bred\r\n\u202e", r"\x1b[31m\x9bred\r\n\u202e"
SOURCES = Path(celery_groupfifo.__file__).parent


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = escaping(logging.getLogger("tests.printing"))
    escaping(logger)
    assert len(logger.filters) == 1
    yield logger
    logger.filters.clear()


class Named:
    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<{self.name}>"


@pytest.mark.parametrize(
    ("text", "args", "said"),
    [
        ("%s", (EVIL,), SHOWN),
        ("%s %r", ("a\nb", "a\nb"), r"a\nb 'a\nb'"),
        ("%(a)s %(b)d", ({"a": EVIL, "b": 1},), f"{SHOWN} 1"),
        ("%s %r", (Named(EVIL), Named(EVIL)), f"{SHOWN} <{SHOWN}>"),
        ("%d %.1f %s %s", (1, 0.25, True, None), "1 0.2 True None"),
        ("two\nlines", (), "two\nlines"),
        ("%s", (Named("fine"),), "fine"),
    ],
)
def test_values_in_a_line(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture, text: str, args: tuple[Any, ...], said: str
) -> None:
    logger.warning(text, *args)
    (record,) = caplog.records
    assert record.getMessage() == said


def test_a_traceback_keeps_its_lines(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    for message in (EVIL, "fine"):
        try:
            raise ValueError(message)
        except ValueError:
            logger.exception("Failed.")
    evil, fine = caplog.records
    shown = logging.Formatter().format(evil)
    assert not set("\x1b\x9b\r\u202e") & set(shown)
    assert shown.splitlines()[1] == "Traceback (most recent call last):" and r"ValueError: \x1b[31m\x9bred\r" in shown
    assert fine.exc_text is None or "ValueError: fine" in fine.exc_text


def test_an_exception_that_cannot_be_shown_is_the_formatters_matter() -> None:
    broken: Any = (ValueError, ValueError("x"), "no traceback")
    record = logging.LogRecord("tests", logging.ERROR, __file__, 1, "Failed: %s", (EVIL,), broken)
    escape(record)
    assert record.exc_text is None and record.getMessage() == f"Failed: {SHOWN}"


def test_an_error_of_the_package() -> None:
    error = UnknownTask(f"Task {EVIL} is not at the gate.")
    assert str(error) == f"Task {SHOWN} is not at the gate." == printable(str(error))
    assert error.args == (f"Task {EVIL} is not at the gate.",)


def test_every_logger_of_the_package_escapes() -> None:
    """Those of modules, and by the source none is made in another way; Flower's part may not be importable here."""
    found = 0
    for module in pkgutil.walk_packages([str(SOURCES)], "celery_groupfifo."):
        if module.name.split(".")[1] not in ("gate", "sending", "worker", "groups"):
            continue
        logger = getattr(importlib.import_module(module.name), "logger", None)
        if isinstance(logger, logging.Logger):
            found += 1
            assert [type(each).__name__ for each in logger.filters] == ["_Escapes"], module.name
    assert found > 20
    for path in sorted(SOURCES.rglob("*.py")):
        tree = ast.parse(path.read_text())
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        inside = {id(arg) for call in calls if _name(call) == "escaping" for arg in call.args}
        made = [call for call in calls if _name(call) in ("getLogger", "get_logger") and id(call) not in inside]
        assert not made or path.name == "log_context.py", f"{path}:{made[0].lineno}"


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
