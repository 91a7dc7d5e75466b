"""The outbox: calls to the gate, kept until they are answered, and repeated with the very same arguments.

A call goes one of three ways, and the outbox knows all of them until they are answered:

- the *line* (line.py): on an event loop calls go out a few at a time, and the loop reads the answers when they come,
  without waiting (prefork, solo, and calls of the main loop of other pools);
- *at once*: a thread or greenlet of the pool tells the end of its run, and waits a moment for the answer;
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
from celery_groupfifo.worker.line import TOGETHER, Line
from celery_groupfifo.worker.postman import Postman
from celery_groupfifo.worker.told import PassOn, Told

if TYPE_CHECKING:
    from celery_groupfifo.worker.loop import Loop
    from celery_groupfifo.worker.run import Run

#: Seconds that the renewer waits to see the open calls.
SEEN_SECONDS = 0.5


class Outbox:
    """The calls of one worker to its gate.

    Args:
        loop: The consumer's, where answers are heard.
        quick: Scripts for calls whose caller waits: short time-outs, no repetition.
        patient: Scripts for the postman, for whom no caller waits.
        hear: Runs, in the right thread, the step that an answer to the postman leads to.
        inline: True when the loop itself runs the tasks: then no call waits for the next turn, which may come late.

    Attributes:
        uses_line: True: a loop uses the line; False: the postman carries every call.
    """

    def __init__(
        self,
        loop: Loop,
        quick: Store,
        patient: Store,
        hear: PassOn,
        inline: bool = False,
    ) -> None:
        self._loop, self._quick = loop, quick
        self._changed = threading.Condition()  # guards the lists of calls in all three ways
        self._line = Line(loop, patient, self._changed, self._keep, 1 if inline else TOGETHER)
        self._postman = Postman(patient, self._line, self._changed, hear)
        self._now: set[Told] = set()
        self._ending = False
        self.uses_line = True

    def tell(self, told: Told, wait: bool = False) -> None:
        """Send a call, now or soon.

        Args:
            told: The call.
            wait: True when the caller may wait a moment for the answer; never for the consumer's loop.
        """
        if self._line.here:
            self._line.tell(told)
        elif wait and self._postman.reachable:
            self._tell_now(told)
        else:
            self._keep([told])

    def _tell_now(self, told: Told) -> None:
        with self._changed:
            self._now.add(told)
        try:
            reply = self._quick.run(told.script, *told.call)
        except GroupFifoError as error:
            if is_unreachable(error):
                self._postman.reachable = False
            told.refuse(error)
            self._told_now(told, again=[told])
        except BaseException:  # a greenlet's time limit, for example: Redis may or may not have taken the call
            self._told_now(told, again=[told])
            raise
        else:
            self._told_now(told)
            told.hear(reply)

    def _told_now(self, told: Told, again: Sequence[Told] = ()) -> None:
        """Remove a call that its caller has made; keep it for the postman when it was not answered."""
        with self._changed:
            self._now.discard(told)
            self._keep(again)
            if self._ending:  # only then: a notification for each task would wake the postman
                self._changed.notify_all()

    def _keep(self, calls: Sequence[Told], first: bool = False) -> None:
        self._postman.keep(calls, first)

    # -- open calls --------------------------------------------------------------

    def unanswered(self) -> list[Told]:
        """Return all calls that are not answered yet, or whose answer the postman has and nobody has heard yet."""
        with self._changed:
            return [*self._now, *self._line.calls(), *self._postman.calls(), *self._postman.unheard()]

    def has(self, run: Run) -> bool:
        """Return whether a call of a run is open.

        True as well while that can't be seen: a soft shutdown may have interrupted the main thread where it holds the
        lock, and lasts long.
        """
        if not self._changed.acquire(timeout=SEEN_SECONDS):
            return True
        try:
            return any(run in told.runs for told in self.unanswered())
        finally:
            self._changed.release()

    def kept(self) -> list[Told]:
        """Return the calls that could not be told at once, and are repeated."""
        with self._changed:
            return self._postman.calls()

    def __len__(self) -> int:
        """Return the number of calls that are not answered yet."""
        with self._changed:
            return len(self._now) + len(self._line.calls()) + len(self._postman.calls())

    # -- start and stop -----------------------------------------------------------

    def attach(self) -> None:
        """Use the loop: it runs, or is about to. For the loop's thread."""
        if self._loop.hub is None or not self.uses_line:
            return
        self._line.attach()
        self._postman.wake()  # the postman opens the line

    def detach(self) -> None:
        """Stop using the loop, which does not run for a while: the postman carries the open calls."""
        self._line.detach()

    def abandon_loop(self) -> None:
        """Let the postman carry all calls from now on: the loop stands still, for good. From any thread."""
        self._line.abandon()

    def close(self, patience: float) -> bool:
        """Take no more calls, and wait for the open ones, as long as answers come.

        An answer may lead to another call: a task that has begun by now goes back. So each answer has to be heard, too,
        by another thread than the waiting one.

        Args:
            patience: Seconds to wait for the next answer.

        Returns:
            False when some were not answered or heard; their leases run out.
        """
        self.detach()
        self._ending = True
        return self._postman.close(patience, lambda: len(self.unanswered()))
