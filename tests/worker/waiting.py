"""Waiting for something to become true, with an end."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(true: Callable[[], object], what: Callable[[], object] | str = "", within: float = 15) -> None:
    """Return as soon as it is true.

    Raises:
        AssertionError: It is still false after `within` seconds; `what` tells.
    """
    deadline = time.monotonic() + within
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what() if callable(what) else what}")
        time.sleep(0.01)
