"""A value that a context variable has in a block. This takes a third of the time of a generator's context manager."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any


class Scoped:
    """A value of a context variable, in a `with` block.

    Args:
        variable: The variable.
        value: Its value in the block.
    """

    __slots__ = ("_token", "_value", "_variable")
    _token: Token[Any]

    def __init__(self, variable: ContextVar[Any], value: object) -> None:
        self._variable, self._value = variable, value

    def __enter__(self) -> None:
        self._token = self._variable.set(self._value)

    def __exit__(self, *raised: object) -> None:
        self._variable.reset(self._token)
