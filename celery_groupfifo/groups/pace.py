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
#: seconds of CPU of the process that looks: Redis spends about as many on pipelines. For a script it spends more than
#: its client, so the wait for its answer counts, up to `SCRIPT` seconds: a bound for each, see docs/performance.md.
SHARE, BURST, SCRIPT = 0.05, 2.0, 0.003
#: Seconds that one call waits at most; and seconds of waiting that are owed at most.
LONGEST, OWED = 60.0, 60.0
#: Part of the last call's cost in the cost that the next one is expected to have.
LAST = 0.3


class Pace:
    """A limit to the time that is spent on calls.

    Single calls, and a few in a row, never wait. It may be used from several threads: a call that waits is charged with
    what calls have cost so far, so that others wait behind it.

    Args:
        share: Part of the time.
        burst: Seconds that are free.
        longest: Seconds that a call waits at most. What it owes beyond that, later calls wait.
    """

    def __init__(self, share: float = SHARE, burst: float = BURST, longest: float = LONGEST) -> None:
        self._share, self._burst, self._longest = share, burst, longest
        self._left, self._at, self._expected = burst, monotonic(), 0.0
        self._lock = threading.Lock()

    def owed(self) -> float:
        """Return the seconds to wait before the next call."""
        with self._lock:
            self._refill()
            return min(max(-self._left / self._share, 0.0), self._longest)

    def charge(self) -> float:
        """Charge a call that begins, or waits; return with how many seconds."""
        with self._lock:
            self._left -= self._expected
            return self._expected

    def spent(self, seconds: float, charged: float = 0.0) -> None:
        """Count the time of a call that was charged with so many seconds."""
        with self._lock:
            self._refill()
            self._left = max(self._left - seconds + charged, -OWED * self._share)
            self._expected += LAST * (seconds - self._expected)

    def _refill(self) -> None:
        now = monotonic()
        self._left = min(self._left + (now - self._at) * self._share, self._burst)
        self._at = now

    @contextmanager
    def call(self, wait: Callable[[float], object] | None = None, most: float = 0.0) -> Iterator[None]:
        """Wait as long as is owed, and count the time of what follows.

        Args:
            wait: Waits; None: `sleep`.
            most: Seconds that the wait for answers counts at most.
        """
        owed, charged = self.owed(), self.charge()
        if owed:
            (wait or sleep)(owed)
        with self.counted(charged, most):
            yield

    @contextmanager
    def counted(self, charged: float, most: float = 0.0) -> Iterator[None]:
        """Count the time of what follows, which was charged with so many seconds; `most`: see `call`."""
        start, at = thread_time(), monotonic()
        try:
            yield
        finally:
            took = thread_time() - start
            self.spent(took + min(max(monotonic() - at - took, 0.0), most), charged)


_paces: WeakKeyDictionary[Gate, Pace] = WeakKeyDictionary()


def pace_of(gate: Gate) -> Pace | None:
    """Return the pace of this process at a gate.

    Returns:
        The same for every caller. None: threads are greenlets here, which share the CPU time of one thread, so nobody
        knows how much of it a call has taken.
    """
    return _paces.setdefault(gate, Pace()) if detect_environment() == "default" else None


__all__ = ["Pace", "pace_of"]
