"""The outbox: calls to the gate, kept until they are answered, and repeated with the very same arguments.

A call goes one of three ways, and the outbox knows all of them until they are answered:

- the *loop's connection* (loop_connection.py): on an event loop calls go out a few at a time, and the loop reads the
  answers when they come, without waiting (prefork, solo, and calls of the main loop of other pools);
- *at once*: a thread or greenlet of the pool sends the end of its run, and waits a moment for the answer;
- the *postman* (postman.py), a thread of its own: for callers that must not wait, and for calls that failed on the
  other ways. While the gate can't be reached, only the postman tries.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.gate.refusals import is_unreachable
from celery_groupfifo.gate.store import Store
from celery_groupfifo.worker.gate_call import GateCall, PassOn
from celery_groupfifo.worker.loop_connection import TOGETHER, LoopConnection
from celery_groupfifo.worker.postman import Postman

if TYPE_CHECKING:
    from celery_groupfifo.worker.loop import Loop
    from celery_groupfifo.worker.run import Run

#: Seconds that the renewer waits for the lock of the open calls.
LOCK_SECONDS = 0.5


class Outbox:
    """The calls of one worker to its gate.

    Args:
        loop: The consumer's, where answers are handled.
        quick: Scripts for calls whose caller waits: short time-outs, no repetition.
        patient: Scripts for the postman, for whom no caller waits.
        pass_on: Runs, in the right thread, the step that an answer to the postman leads to.
        inline: True when the loop itself runs the tasks: then no call waits for the next turn, which may come late.

    Attributes:
        uses_loop_connection: True: the loop has a connection for calls; False: the postman carries every call.
    """

    def __init__(
        self,
        loop: Loop,
        quick: Store,
        patient: Store,
        pass_on: PassOn,
        inline: bool = False,
    ) -> None:
        self._loop, self._quick = loop, quick
        self._changed = threading.Condition()  # guards the lists of calls in all three ways
        self._connection = LoopConnection(loop, patient, self._changed, self._keep, 1 if inline else TOGETHER)
        self._postman = Postman(patient, self._connection, self._changed, pass_on)
        self._now: set[GateCall] = set()
        self._ending = False
        self._patience = LOCK_SECONDS
        self.uses_loop_connection = True

    def send(self, call: GateCall, wait: bool = False) -> None:
        """Send a call, now or soon.

        Args:
            call: The call.
            wait: True when the caller may wait a moment for the answer; never for the consumer's loop.
        """
        if self._connection.here:
            self._connection.send(call)
        elif wait and self._postman.reachable:
            self._send_now(call)
        else:
            self._keep([call])

    def _send_now(self, call: GateCall) -> None:
        with self._changed:
            self._now.add(call)
        try:
            reply = self._quick.run(call.script, *call.arguments)
        except GroupFifoError as error:
            if is_unreachable(error):
                self._postman.reachable = False
            call.refuse(error)
            self._sent_now(call, again=[call])
        except BaseException:  # a greenlet's time limit, for example: Redis may or may not have taken the call
            self._sent_now(call, again=[call])
            raise
        else:
            self._sent_now(call)
            call.answer(reply)

    def _sent_now(self, call: GateCall, again: Sequence[GateCall] = ()) -> None:
        """Remove a call that its caller has made; keep it for the postman when it was not answered."""
        with self._changed:
            self._now.discard(call)
            self._keep(again)
            if self._ending:  # only then: a notification for each task would wake the postman
                self._changed.notify_all()

    def _keep(self, calls: Sequence[GateCall], first: bool = False) -> None:
        self._postman.keep(calls, first)

    # -- open calls --------------------------------------------------------------

    def unanswered(self) -> list[GateCall]:
        """Return all calls that are not answered yet, or whose answer the postman has and nobody has handled yet."""
        with self._changed:
            return [*self._now, *self._connection.calls(), *self._postman.calls(), *self._postman.unhandled()]

    def has(self, run: Run) -> bool:
        """Return whether a call of a run is open.

        True as well while that can't be seen: a soft shutdown may have interrupted the main thread where it holds the
        lock, and lasts long. Only the first one who asks waits then, or the renewer would be late for the other leases.
        """
        if not self._changed.acquire(timeout=self._patience):
            self._patience = 0.0
            return True
        self._patience = LOCK_SECONDS
        try:
            return any(run in call.runs for call in self.unanswered())
        finally:
            self._changed.release()

    def kept(self) -> list[GateCall]:
        """Return the calls that were not answered at once, and are repeated."""
        with self._changed:
            return self._postman.calls()

    def __len__(self) -> int:
        """Return the number of calls that are not answered yet."""
        with self._changed:
            return len(self._now) + len(self._connection.calls()) + len(self._postman.calls())

    # -- start and stop -----------------------------------------------------------

    def attach(self) -> None:
        """Use the loop: it runs, or is about to. For the loop's thread."""
        if self._loop.hub is None or not self.uses_loop_connection:
            return
        self._connection.attach()
        self._postman.wake()  # the postman opens the connection

    def detach(self) -> None:
        """Stop using the loop, which does not run for a while: the postman carries the open calls."""
        self._connection.detach()

    def abandon_loop(self) -> None:
        """Let the postman carry all calls from now on: the loop stands still, for good. From any thread."""
        self._connection.abandon()

    def close(self, patience: float) -> bool:
        """Take no more calls, and wait for the open ones, as long as answers come.

        An answer may lead to another call: a task that has begun by now goes back. So each answer has to be handled,
        too, by another thread than the waiting one.

        Args:
            patience: Seconds to wait for the next answer.

        Returns:
            False when some were not answered or handled; their leases run out.
        """
        self.detach()
        self._ending = True
        return self._postman.close(patience, lambda: len(self.unanswered()))
