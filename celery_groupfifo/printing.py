"""Texts without control characters, for terminals and logs.

Keys, ids, names and errors come from anywhere, and may hold orders to a terminal.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

_FORMATTER = logging.Formatter()


def printable(text: str) -> str:
    """Return a text whose control characters are escaped; a second time changes nothing."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def printable_lines(text: str) -> str:
    """Return a text of several lines whose other control characters are escaped."""
    return "\n".join(map(printable, text.split("\n")))


def escaping(logger: logging.Logger) -> logging.Logger:
    """Let a logger escape the control characters in the values and tracebacks of its lines, and return it.

    Every logger of the package is made with it, so no line need care.
    """
    logger.addFilter(_ESCAPES)
    return logger


def escape(record: logging.LogRecord) -> None:
    """Escape the control characters in a record's values and traceback; its own text is that of the code."""
    if isinstance(record.args, Mapping):
        record.args = {name: _shown(value, name == "traceback") for name, value in record.args.items()}
    elif record.args:
        record.args = tuple(map(_shown, record.args))
    if record.exc_info and not record.exc_text:
        try:
            text = _FORMATTER.formatException(record.exc_info)
        except Exception:  # as of an exception that can't be shown: whoever formats the line gets the same one
            return
        if (escaped := printable_lines(text)) != text:
            record.exc_text = escaped  # formatters take it as it is


class _Shown:
    """A value in a log line, whose text is made when the line is."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def __str__(self) -> str:
        return printable(str(self._value))

    def __repr__(self) -> str:
        return printable(repr(self._value))


class _ShownText(str):
    """An escaped text, which `%r` shows as it shows the text itself: nothing is escaped twice."""

    __slots__ = ("_shown",)
    _shown: str

    def __new__(cls, escaped: str, text: str) -> _ShownText:
        made = super().__new__(cls, escaped)
        made._shown = repr(text)
        return made

    def __repr__(self) -> str:
        return self._shown


def _shown(value: Any, has_lines: bool = False) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, str):
        escaped = printable_lines(value) if has_lines else printable(value)
        return value if escaped == value else _ShownText(escaped, value)
    return _Shown(value)


class _Escapes(logging.Filter):
    """A filter that escapes control characters, and lets all records pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        escape(record)
        return True


_ESCAPES = _Escapes()

__all__ = ["escape", "escaping", "printable", "printable_lines"]
