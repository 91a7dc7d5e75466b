"""The clock of this machine that leases are measured with: it goes on while the machine is suspended."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


def _source() -> Callable[[], float]:
    # time.monotonic stops during a suspension on Linux and macOS, but a lease runs on.
    if hasattr(time, "CLOCK_BOOTTIME"):
        boot = time.CLOCK_BOOTTIME
        return lambda: time.clock_gettime(boot)
    if sys.platform == "darwin":
        return lambda: time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.monotonic


#: Seconds since some moment in the past; the same for all processes of this machine.
now: Callable[[], float] = _source()
