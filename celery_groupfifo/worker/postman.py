"""The postman: a thread that repeats the calls to the gate that failed in another way, until they are answered."""

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
from celery_groupfifo.printing import escaping
from celery_groupfifo.worker.gate_call import GATE_RETRY_SECONDS, GateCall, PassOn

if TYPE_CHECKING:
    from celery_groupfifo.worker.loop_connection import LoopConnection

logger = escaping(get_logger(__name__))

#: Seconds between two checks of the loop's connection.
CHECK_SECONDS = 0.5


class Postman:
    """The postman of one worker. The thread starts with its first call.

    Args:
        store: Scripts for calls that no caller waits for.
        connection: Of the loop; the postman opens and checks it.
        changed: Guards the lists of calls.
        pass_on: Runs, in the right thread, the step that an answer leads to.

    Attributes:
        reachable: False after a call could not reach the gate; then only the postman tries.
    """

    def __init__(
        self,
        store: Store,
        connection: LoopConnection,
        changed: threading.Condition,
        pass_on: PassOn,
    ) -> None:
        self._store, self._connection, self._changed, self._pass_on = store, connection, changed, pass_on
        self._kept: deque[GateCall] = deque()
        self._carried: GateCall | None = None
        self._unhandled: set[GateCall] = set()
        self._hurried = threading.Event()
        self._thread: threading.Thread | None = None
        self._answers = 0
        self._said = ""
        self._closed = False
        self.reachable = True

    def keep(self, calls: Sequence[GateCall], first: bool = False) -> None:
        """Take calls; `first`: before those that are kept already."""
        with self._changed:
            if first:
                self._kept.extendleft(reversed(calls))
            else:
                self._kept.extend(calls)
            if calls:
                self.wake()

    def wake(self) -> None:
        """Wake the thread for a call, or to open the connection."""
        with self._changed:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._carry, name="groupfifo-postman", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def calls(self) -> list[GateCall]:
        """Return the calls that are not answered. The caller holds `changed`."""
        return [*([] if self._carried is None else [self._carried]), *self._kept]

    def unhandled(self) -> list[GateCall]:
        """Return the calls whose answer has come, and is not handled yet. The caller holds `changed`."""
        return list(self._unhandled)

    def close(self, patience: float, left: Callable[[], int]) -> bool:
        """Take no more calls, and wait for the open ones, as long as answers come.

        Args:
            patience: Seconds to wait for the next answer.
            left: Returns the number of calls that are open, or whose answer is not handled.

        Returns:
            False when some were not answered or handled.
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
                self._connection.look()
                with self._changed:
                    if not (self._kept or self._closed or self._connection.wanted):
                        self._changed.wait(CHECK_SECONDS if self._connection.attached else None)
                refused = self._deliver()
                if self._connection.wanted and not self._closed:
                    self._connection.open()
                self.reachable = True
                self._said = ""
            except GroupFifoError as error:
                self.reachable, refused = not is_unreachable(error), True
                level = DEBUG if isinstance(error, GateUnavailable) or str(error) == self._said else ERROR
                logger.log(level, "A call to the gate failed, and is repeated: %s", error)
                self._said = str(error)
            except Exception:  # the only thread that still carries these calls must not end
                refused = True
                logger.exception("A call to the gate failed, and is repeated.")
            self._connection.tried()
            if refused:
                self._hurried.wait(GATE_RETRY_SECONDS)
                self._hurried.clear()

    def _deliver(self) -> bool:
        """Make every kept call once, and wait for the answers. Returns whether some were refused."""
        refused = False
        with self._changed:  # begins come last, as no runs have their leases yet
            self._kept = deque(sorted(self._kept, key=lambda call: call.script == "begin"))
        for _ in range(len(self._kept)):
            call = self._next()
            if call is None:
                break
            try:
                reply = self._store.run(call.script, *call.arguments)
            except GroupFifoError as error:
                if is_unreachable(error):
                    self._put_down(call, first=True)
                    raise
                refused = True  # others may pass, and free the memory that this one lacks
                call.refuse_again(error)
                self._put_down(call)
            except BaseException:  # also when a greenlet is killed: the call is kept, and made once more
                self._put_down(call)
                raise
            else:
                self._answered(call)
                self._pass_on(partial(self._handle, call, reply), call.anywhere)
        return refused

    def _handle(self, call: GateCall, reply: Any) -> None:
        try:
            call.answer(reply)
        finally:
            with self._changed:
                self._unhandled.discard(call)
                self._changed.notify_all()

    def _next(self) -> GateCall | None:
        with self._changed:
            self._carried = self._kept.popleft() if self._kept else None
            return self._carried

    def _answered(self, call: GateCall) -> None:
        with self._changed:
            self._answers += 1
            self._unhandled.add(call)
            self._put_down(None)

    def _put_down(self, call: GateCall | None, first: bool = False) -> None:
        with self._changed:
            self._carried = None
            if call is not None and not self._closed:
                (self._kept.appendleft if first else self._kept.append)(call)
            self._changed.notify_all()
