"""Where the gate's answers are heard that have come to the postman: what they lead to may hang, and he must not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery_groupfifo.worker.background import Background

if TYPE_CHECKING:
    from celery_groupfifo.worker.loop import Loop


class Hearing:
    """Hears answers on the consumer's loop while that runs; else in a thread of its own.

    Args:
        loop: The consumer's.
        on_loop: Whether the pool is given its tasks from the loop only.

    Attributes:
        paused: Whether the worker takes no part now: its loop does not run, or not yet.
    """

    def __init__(self, loop: Loop, on_loop: bool) -> None:
        self._loop, self._on_loop = loop, on_loop
        self._aside = Background("groupfifo-heard")
        self._changing = threading.RLock()
        self.paused = True

    def hear(self, step: Callable[[], Any], anywhere: bool = False) -> None:
        """Do what an answer says; `anywhere`: it needs no loop. To be called from the postman's thread."""
        with self._changing:
            if self._on_loop and not (self.paused or anywhere):
                self._loop.soon(step)
                return
        self._aside.submit(step)

    def pause(self) -> None:
        """From now on the loop hears nothing. What was passed to it until now is still to be run."""
        with self._changing:
            self.paused = True

    def go_on(self) -> None:
        """The loop runs, or is about to."""
        self.paused = False

    @property
    def aside(self) -> bool:
        """Whether the caller hears an answer in the thread: it may not wait for the next one."""
        return self._aside.here

    @property
    def outside(self) -> bool:
        """Whether the caller hears an answer for the loop: what begins now is given back, also when that goes on."""
        return self._on_loop and self._aside.here

    def stop(self, within: float) -> bool:
        """Hear nothing more, and wait a while (s) for what has come. Returns False when something was left."""
        return self._aside.stop(within)
