"""Waiting for something to become true, with an end."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(true: Callable[[], object], what: Callable[[], object] | str = "", within: float = 20.0) -> float:
    """Return as soon as it is true, with the seconds it took.

    Raises:
        AssertionError: It is still false after `within` seconds; `what` tells.
    """
    began = time.monotonic()
    while not true():
        if time.monotonic() > began + within:
            raise AssertionError(f"not within {within} s: {what() if callable(what) else what}")
        time.sleep(0.01)
    return time.monotonic() - began
