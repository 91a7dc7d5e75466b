"""Waiting for something to become true, with an end."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(true: Callable[[], object], within: float = 20) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, f"did not happen within {within} s"
        time.sleep(0.02)
