"""The thread for calls that may hang, on the broker or the result backend."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from time import monotonic

from celery.utils.log import get_logger

from celery_groupfifo.printing import escaping

logger = escaping(get_logger(__name__))


class Background:
    """A queue of calls that run one after the other in a daemon thread (a greenlet where threads are patched).

    `submit` never waits. The thread starts with the first call.

    Args:
        name: Of the thread; also names the work in the log.
        idle: Called when no call has been submitted for a while.
        after: Returns the seconds of that while; None: `idle` is not called now.
    """

    def __init__(
        self, name: str, idle: Callable[[], object] | None = None, after: Callable[[], float | None] = lambda: None
    ) -> None:
        self._name, self._idle, self._after = name, idle, after
        self._waiting: OrderedDict[Hashable, Callable[[], object]] = OrderedDict()
        self._changed = threading.Condition()
        self._running = self._stopped = False
        self._thread: threading.Thread | None = None

    def submit(self, call: Callable[[], object], key: Hashable | None = None) -> None:
        """Run a call soon.

        Args:
            call: Its exceptions are logged.
            key: The call replaces a waiting one with the same key; None: it replaces none.
        """
        with self._changed:
            if self._stopped:
                return
            self._waiting[object() if key is None else key] = call
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify_all()

    @property
    def here(self) -> bool:
        """Return whether the caller is one of the calls."""
        return self._thread is not None and self._thread.ident == threading.get_ident()

    def __len__(self) -> int:
        """Return the number of calls that wait or run."""
        return len(self._waiting) + self._running

    def stop(self, within: float) -> bool:
        """Take no more calls, and wait a while for those that are left.

        Args:
            within: Seconds to wait.

        Returns:
            False when some calls did not run in that time; they are dropped.
        """
        end = monotonic() + within
        with self._changed:
            while len(self) and (left := end - monotonic()) > 0:
                self._changed.wait(left)
            done = not len(self)
            self._stopped = True
            self._waiting.clear()
            self._changed.notify_all()
        return done

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    if self._stopped:
                        return
                    if not self._changed.wait(self._after()) and self._idle is not None and not self._waiting:
                        self._waiting[self] = self._idle
                _, call = self._waiting.popitem(last=False)
                self._running = True
            try:
                call()
            # A signal receiver that calls sys.exit(), for example, must not end the thread for the other calls.
            except BaseException:
                logger.exception("%s failed.", self._name)
            with self._changed:
                self._running = False
                self._changed.notify_all()
