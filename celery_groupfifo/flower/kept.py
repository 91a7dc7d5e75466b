"""Values that are kept for a while, and renewed when somebody asks for them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, NamedTuple

from celery_groupfifo.printing import escaping

logger = escaping(logging.getLogger(__name__))

#: A reading that takes more than LONG seconds serves STALE seconds longer, while it is renewed.
LONG, STALE = 0.2, 15.0
#: Seconds that an old value serves whoever must not wait, see `Kept.soon`.
MEANWHILE = 60.0


class _Read(NamedTuple):
    """A value that was read.

    Attributes:
        value: The value.
        generation: Of the `Kept` when the reading began.
        until: Until when it serves.
        stale_until: Until when it serves while it is renewed.
    """

    value: Any
    generation: object
    until: float
    stale_until: float


class Kept:
    """A value that is read when it is asked for and too old; concurrent callers share one reading.

    Where reading takes long, callers get the old value a little longer, and it is renewed in the background.

    Args:
        read: Reads it; may raise.
        age: Seconds that it serves at least.
        share: It serves this many times as long as its reading took, too.
    """

    def __init__(self, read: Callable[[], Any], age: float, share: float = 10.0) -> None:
        self._read, self._age, self._share = read, age, share
        self._lock = threading.Lock()
        #: A new one forgets the value, and what a reading finds that has begun before.
        self._generation = object()
        self._last = _Read(None, None, 0.0, 0.0)

    def get(self) -> Any:
        """Return the value, read again when it is too old."""
        last = self._last
        if self._serves(last, last.until):
            return last.value
        if self._serves(last, last.stale_until):
            self._renew_in_background()
            return last.value
        with self._lock:
            last = self._last
            return last.value if self._serves(last, last.until) else self._renew()

    def soon(self) -> Any:
        """Return the value at once, and renew it in the background when it is too old; None: none, or a very old one.

        A forgotten value is returned, too, until it is read again.
        """
        last = self._last
        if not self._serves(last, last.until):
            self._renew_in_background()
        return last.value if monotonic() < last.until + MEANWHILE else None

    def _serves(self, last: _Read, until: float) -> bool:
        return last.generation is self._generation and monotonic() < until

    def _renew(self) -> Any:
        """Read and return the value, under the lock."""
        generation, start = self._generation, monotonic()
        value = self._read()
        took = monotonic() - start
        until = monotonic() + max(self._age, self._share * took)
        self._last = _Read(value, generation, until, until + STALE if took > LONG else 0.0)
        return value

    def _renew_in_background(self) -> None:
        """Renew the value, unless another thread does."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            threading.Thread(target=self._renew_behind, name="groupfifo-flower", daemon=True).start()
        except Exception as error:  # no more threads: the old value serves as long as it may
            self._lock.release()
            logger.debug("Not renewed: %s", error)

    def _renew_behind(self) -> None:
        """Renew the value, and release the lock that the caller has taken."""
        try:
            self._renew()
        except Exception as error:  # in the background: whoever asks when the old value is over gets the error
            logger.debug("Not renewed: %s", error)
        finally:
            self._lock.release()

    @property
    def ready(self) -> bool:
        """Return whether `get` has a value at once."""
        last = self._last
        return self._serves(last, max(last.until, last.stale_until))

    @property
    def old(self) -> bool:
        """Return whether the value is to be read again."""
        last = self._last
        return not self._serves(last, last.until)

    def forget(self) -> None:
        """Have the value read again when it is next asked for; a reading that has begun does not count."""
        self._generation = object()
