"""The pace of a process that looks at the gate: who looks without pause must not take the workers' Redis, or cores."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep, thread_time
from weakref import WeakKeyDictionary

from kombu.utils.compat import detect_environment

from celery_groupfifo.gate.gate import Gate

#: Part of the time that may be spent on looking, and the seconds that are free at first and after a rest. They are
#: seconds of CPU of the process that looks: Redis spends about as many. Waiting for an answer costs nobody anything.
SHARE, BURST = 0.05, 2.0
#: Seconds that one call waits at most.
LONGEST = 5.0


class Pace:
    """A limit to the CPU time that is spent on calls.

    Single calls, and a few in a row, never wait. It may be used from several threads.

    Args:
        share: Part of the time.
        burst: Seconds that are free.
        longest: Seconds that a call waits at most.
    """

    def __init__(self, share: float = SHARE, burst: float = BURST, longest: float = LONGEST) -> None:
        self._share, self._burst, self._longest = share, burst, longest
        self._left, self._at = burst, monotonic()
        self._lock = threading.Lock()

    def owed(self) -> float:
        """Return the seconds to wait before the next call."""
        with self._lock:
            self._refill()
            return min(max(-self._left / self._share, 0.0), self._longest)

    def spent(self, seconds: float) -> None:
        """Count the CPU time of a call."""
        with self._lock:
            self._refill()
            self._left = max(self._left - seconds, -self._longest * self._share)

    def _refill(self) -> None:
        now = monotonic()
        self._left = min(self._left + (now - self._at) * self._share, self._burst)
        self._at = now

    @contextmanager
    def call(self, wait: Callable[[float], object] | None = None) -> Iterator[None]:
        """Wait as long as is owed, by `sleep` unless given, and count the CPU time of what follows."""
        if owed := self.owed():
            (wait or sleep)(owed)
        start = thread_time()
        try:
            yield
        finally:
            self.spent(thread_time() - start)


_paces: WeakKeyDictionary[Gate, Pace] = WeakKeyDictionary()


def pace_of(gate: Gate) -> Pace | None:
    """Return the pace of this process at a gate.

    Returns:
        The same for every caller. None: threads are greenlets here, which share the CPU time of one thread, so nobody
        knows how much of it a call has taken.
    """
    return _paces.setdefault(gate, Pace()) if detect_environment() == "default" else None


__all__ = ["Pace", "pace_of"]
