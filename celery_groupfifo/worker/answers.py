"""The handling of answers that have come to the postman: what follows an answer may hang, and the postman must not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery_groupfifo.worker.background import Background

if TYPE_CHECKING:
    from celery_groupfifo.worker.loop import Loop


class AnswerDispatcher:
    """A dispatcher of answers: to the consumer's loop while that runs, else to a thread of its own.

    Args:
        loop: The consumer's.
        on_loop: True when the pool may be given its tasks from the loop only.

    Attributes:
        paused: True while the loop does not run.
    """

    def __init__(self, loop: Loop, on_loop: bool) -> None:
        self._loop, self._on_loop = loop, on_loop
        self._thread = Background("groupfifo-answers")
        self._changing = threading.RLock()
        self.paused = True

    def dispatch(self, step: Callable[[], Any], anywhere: bool = False) -> None:
        """Run the step that an answer leads to; `anywhere`: it needs no loop. For the postman's thread."""
        with self._changing:
            if self._on_loop and not (self.paused or anywhere):
                self._loop.soon(step)
                return
        self._thread.submit(step)

    def pause(self) -> None:
        """Give no more answers to the loop. Those that it already has are still to be run."""
        with self._changing:
            self.paused = True

    def go_on(self) -> None:
        """Give answers to the loop again: it runs, or is about to."""
        self.paused = False

    @property
    def in_thread(self) -> bool:
        """Return whether the caller handles an answer in the thread, which must not wait for another answer."""
        return self._thread.here

    @property
    def outside_loop(self) -> bool:
        """Return whether the caller handles an answer for the loop in the thread: a task that begins is surrendered."""
        return self._on_loop and self._thread.here

    def stop(self, within: float) -> bool:
        """Take no more answers, and wait some seconds for those that have come. Returns False when some were left."""
        return self._thread.stop(within)
