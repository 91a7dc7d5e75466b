"""Waiting for something to become true, with an end."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Seconds after which a state counts as hung: far more than a busy machine takes for anything.
HUNG = 45


def until(true: Callable[[], object], what: Callable[[], object] | str = "", within: float = HUNG) -> float:
    """Return as soon as it is true, with the seconds it took.

    Raises:
        AssertionError: It is still false after `within` seconds; `what` tells.
    """
    began = time.monotonic()
    while True:
        late = time.monotonic() > began + within  # before the look: who was not let run for so long looks once more
        if true():
            return time.monotonic() - began
        if late:
            raise AssertionError(f"not within {within} s: {what() if callable(what) else what}")
        time.sleep(0.01)
