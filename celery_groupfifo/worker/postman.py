"""The postman: a thread that tells the gate the calls that failed in another way, until they are answered."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from logging import DEBUG, ERROR
from time import monotonic
from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger

from celery_groupfifo.errors import GateUnavailable, GroupFifoError
from celery_groupfifo.gate.refusals import is_unreachable
from celery_groupfifo.gate.store import Store
from celery_groupfifo.worker.told import PassOn, Told

if TYPE_CHECKING:
    from celery_groupfifo.worker.line import Line

logger = get_logger(__name__)

#: Seconds between two tries, while the gate can't be reached or refuses a call; and between two checks of the line.
AGAIN_SECONDS = 0.5


class Postman:
    """The postman of one worker. The thread starts with its first call.

    Args:
        store: Scripts for calls that no caller waits for.
        line: The line, which the postman opens and checks.
        changed: Guards the lists of calls.
        pass_on: Runs, in the right thread, the step that an answer leads to.

    Attributes:
        reachable: False after a call could not reach the gate; then only the postman tries.
    """

    def __init__(
        self,
        store: Store,
        line: Line,
        changed: threading.Condition,
        pass_on: PassOn,
    ) -> None:
        self._store, self._line, self._changed, self._pass_on = store, line, changed, pass_on
        self._kept: deque[Told] = deque()
        self._carried: Told | None = None
        self._unheard: set[Told] = set()
        self._hurried = threading.Event()
        self._thread: threading.Thread | None = None
        self._answers = 0
        self._said = ""
        self._closed = False
        self.reachable = True

    def keep(self, calls: Sequence[Told], first: bool = False) -> None:
        """Take calls; `first`: before those that are kept already."""
        with self._changed:
            if first:
                self._kept.extendleft(reversed(calls))
            else:
                self._kept.extend(calls)
            if calls:
                self.wake()

    def wake(self) -> None:
        """Wake the thread for a call, or for a line to open."""
        with self._changed:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._carry, name="groupfifo-postman", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def calls(self) -> list[Told]:
        """Return the calls that are still to be told. The caller holds `changed`."""
        return [*([] if self._carried is None else [self._carried]), *self._kept]

    def unheard(self) -> list[Told]:
        """Return the calls whose answer has come, and is not heard yet. The caller holds `changed`."""
        return list(self._unheard)

    def close(self, patience: float, left: Callable[[], int]) -> bool:
        """Take no more calls, and wait for the open ones, as long as answers come.

        Args:
            patience: Seconds to wait for the next answer.
            left: Returns the number of calls that are open, or not heard.

        Returns:
            False when some were not answered or heard.
        """
        self._hurried.set()
        with self._changed:
            answers, end = self._answers, monotonic() + patience
            while (out := left()) and monotonic() < end:
                self._changed.wait(end - monotonic())
                if self._answers > answers:
                    answers, end = self._answers, monotonic() + patience
            self._closed = True
            self._kept.clear()
            self._changed.notify_all()
        self._hurried.set()
        return not out

    # -- the postman's thread ------------------------------------------------------

    def _carry(self) -> None:
        while not self._closed:
            try:
                self._line.look()
                with self._changed:
                    if not (self._kept or self._closed or self._line.wanted):
                        self._changed.wait(AGAIN_SECONDS if self._line.attached else None)
                refused = self._deliver()
                if self._line.wanted and not self._closed:
                    self._line.open()
                self.reachable = True
                self._said = ""
            except GroupFifoError as error:
                self.reachable, refused = not is_unreachable(error), True
                level = DEBUG if isinstance(error, GateUnavailable) or str(error) == self._said else ERROR
                logger.log(level, "The gate can't be told: %s It is tried again.", error)
                self._said = str(error)
            except Exception:  # the only thread that still carries these calls must not end
                refused = True
                logger.exception("What is told to the gate waits.")
            self._line.tried()
            if refused:
                self._hurried.wait(AGAIN_SECONDS)
                self._hurried.clear()

    def _deliver(self) -> bool:
        """Tell every kept call once, and wait for the answers. Returns whether some were refused."""
        refused = False
        with self._changed:  # begins come last, as no runs have their leases yet
            self._kept = deque(sorted(self._kept, key=lambda told: told.script == "begin"))
        for _ in range(len(self._kept)):
            told = self._next()
            if told is None:
                break
            try:
                reply = self._store.run(told.script, *told.call)
            except GroupFifoError as error:
                if is_unreachable(error):
                    self._put_down(told, first=True)
                    raise
                refused = True  # others may pass, and free the memory that this one lacks
                told.refuse_again(error)
                self._put_down(told)
            except BaseException:  # also when a greenlet is killed: the call is kept, and made once more
                self._put_down(told)
                raise
            else:
                self._answered(told)
                self._pass_on(partial(self._hear, told, reply), told.anywhere)
        return refused

    def _hear(self, told: Told, reply: Any) -> None:
        try:
            told.hear(reply)
        finally:
            with self._changed:
                self._unheard.discard(told)
                self._changed.notify_all()

    def _next(self) -> Told | None:
        with self._changed:
            self._carried = self._kept.popleft() if self._kept else None
            return self._carried

    def _answered(self, told: Told) -> None:
        with self._changed:
            self._answers += 1
            self._unheard.add(told)
            self._put_down(None)

    def _put_down(self, told: Told | None, first: bool = False) -> None:
        with self._changed:
            self._carried = None
            if told is not None and not self._closed:
                (self._kept.appendleft if first else self._kept.append)(told)
            self._changed.notify_all()
