"""Clocks of a machine that was suspended, for the process that has this directory first in its path.

CLOCK_MONOTONIC does not count the time of a suspension, CLOCK_BOOTTIME does: see clock_gettime(2). A file says how
long it was; `time.unsuspended` is the clock of those who stayed awake.
"""

from __future__ import annotations

import os
import time

time.unsuspended = time.monotonic  # type: ignore[attr-defined]
_clock_gettime = time.clock_gettime
_STANDING_STILL = (time.CLOCK_MONOTONIC, time.CLOCK_MONOTONIC_RAW)


def _slept() -> float:
    try:
        with open(os.environ["SUSPENDED_SECONDS"]) as file:
            return float(file.read() or 0)
    except OSError:
        return 0.0


def clock_gettime(clock: int) -> float:
    return _clock_gettime(clock) - (_slept() if clock in _STANDING_STILL else 0.0)


def monotonic() -> float:
    return clock_gettime(time.CLOCK_MONOTONIC)


time.clock_gettime = clock_gettime
time.clock_gettime_ns = lambda clock: int(clock_gettime(clock) * 1e9)
time.monotonic = time.perf_counter = monotonic
time.monotonic_ns = time.perf_counter_ns = lambda: int(monotonic() * 1e9)
