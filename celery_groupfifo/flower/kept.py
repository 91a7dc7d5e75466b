"""Values that are kept for a while, and renewed when somebody asks for them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

logger = logging.getLogger(__name__)

#: A reading that takes more than LONG seconds serves STALE seconds longer, while it is renewed.
LONG, STALE = 0.2, 15.0


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
        self._value: Any = None
        self._until = self._stale_until = 0.0

    def get(self) -> Any:
        """Return the value, read again when it is too old."""
        if not self.old:
            return self._value
        if monotonic() < self._stale_until:
            if self._lock.acquire(blocking=False):  # no thread renews it
                threading.Thread(target=self._renew_behind, name="groupfifo-flower", daemon=True).start()
            return self._value
        with self._lock:
            if self.old:
                self._renew()
            return self._value

    def _renew(self) -> None:
        start = monotonic()
        self._value = self._read()
        took = monotonic() - start
        self._until = monotonic() + max(self._age, self._share * took)
        self._stale_until = self._until + STALE if took > LONG else 0.0

    def _renew_behind(self) -> None:
        """Renew the value, and release the lock that the caller has taken."""
        try:
            self._renew()
        except Exception as error:  # in the background: whoever asks when the old value is over gets the error
            logger.debug("Not renewed: %s", error)
        finally:
            self._lock.release()

    @property
    def old(self) -> bool:
        """Return whether the value is to be read again."""
        return monotonic() >= self._until

    def forget(self) -> None:
        """Have the value read again when it is next asked for."""
        self._until = self._stale_until = 0.0
