"""What is on its way to the gate: told once, kept while Redis can't take it, repeated with the very same arguments.

Three ways lead there, and one book has all calls until they are answered:

- the *line* (line.py): on an event loop calls go out a few at a time, and the loop reads the answers when they come;
  nothing waits (prefork, solo, and what the main loop of other pools tells);
- *at once*: a thread or greenlet of the pool tells the end of its run, and waits a moment for the answer;
- the *postman* (postman.py), a thread of its own: where nobody may wait, and for whatever could not be told on the
  other ways. While the gate can't be reached, only he tries it.
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


class Outbox:
    """The calls of one worker to its gate.

    Args:
        loop: The consumer's, where answers are heard.
        quick: Scripts for calls whose caller waits: short time-outs, no repetition.
        patient: Scripts for the postman, whom nobody waits for.
        hear: Calls, in the right thread, what an answer leads to that has come to the postman.
        inline: Whether the loop itself runs the tasks: then no call waits for its next turn, which may be far.

    Attributes:
        uses_line: Whether the line is used on a loop; else the postman carries everything.
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
        self._changed = threading.Condition()  # guards which calls are where
        self._line = Line(loop, patient, self._changed, self._keep, 1 if inline else TOGETHER)
        self._postman = Postman(patient, self._line, self._changed, hear)
        self._now: set[Told] = set()
        self._ending = False
        self.uses_line = True

    def tell(self, told: Told, wait: bool = False) -> None:
        """Send a call, now or soon.

        Args:
            told: The call.
            wait: Whether the caller may wait a moment for the answer; never the consumer's loop.
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
        except BaseException:  # the time limit of a greenlet, say: whether Redis has taken it is not known
            self._told_now(told, again=[told])
            raise
        else:
            self._told_now(told)
            told.hear(reply)

    def _told_now(self, told: Told, again: Sequence[Told] = ()) -> None:
        """Leave a call that its caller has made: it is answered, or to be made again."""
        with self._changed:
            self._now.discard(told)
            self._keep(again)
            if self._ending:  # else nobody waits for it, and the postman would wake up for each task
                self._changed.notify_all()

    def _keep(self, calls: Sequence[Told], first: bool = False) -> None:
        self._postman.keep(calls, first)

    # -- what is out -----------------------------------------------------------

    def unanswered(self) -> list[Told]:
        """Return all calls that are not answered yet, or whose answer is not heard yet."""
        with self._changed:
            return [*self._now, *self._line.calls(), *self._postman.calls(), *self._postman.unheard()]

    def kept(self) -> list[Told]:
        """Return the calls that could not be told at once, and are repeated."""
        with self._changed:
            return self._postman.calls()

    def __len__(self) -> int:
        """Return the number of calls that are not answered yet."""
        with self._changed:
            return len(self._now) + len(self._line.calls()) + len(self._postman.calls())

    # -- begin and end -----------------------------------------------------------

    def attach(self) -> None:
        """Use the loop: it runs, or is about to. To be called from its thread."""
        if self._loop.hub is None or not self.uses_line:
            return
        self._line.attach()
        self._postman.wake()  # he opens the line

    def detach(self) -> None:
        """Do without the loop, which does not run for a while: the postman carries what is out."""
        self._line.detach()

    def hand_over(self) -> None:
        """Let the postman carry what is out: the loop stands still. From any thread."""
        self._line.hand_over()

    def close(self, patience: float) -> bool:
        """Take no more calls, and wait for those that are out, as long as answers come.

        What an answer leads to may be another call: what has begun by now goes back. So each has to be heard, too, and
        not by who waits here.

        Args:
            patience: Seconds to wait for the next answer.

        Returns:
            False when some were not answered or heard; their leases run out.
        """
        self.detach()
        self._ending = True
        return self._postman.close(patience, lambda: len(self.unanswered()))
