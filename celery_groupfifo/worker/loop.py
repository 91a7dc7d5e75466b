"""The calls on the consumer's loop: from any thread, in order, and kept over a reconnect to the broker.

Celery 5.5 and 5.6 clear all timers when the broker's connection is lost, and the hub starts again: calls planned with
them never happen. Here they are kept, and planned again.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from heapq import heappop, heappush
from itertools import count
from time import monotonic
from typing import Any

from celery.utils.log import get_logger

from celery_groupfifo.printing import escaping

logger = escaping(get_logger(__name__))

Step = Callable[[], Any]


def _nothing() -> None:
    """Do nothing."""


class Loop:
    """The loop of one consumer.

    Args:
        consumer: Celery's. With a hub, the loop is the main thread's; without one (gevent, eventlet, brokers that
            know no event loop) calls run in a greenlet or thread of Celery's timer, or with the consumer's next turn.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._soon: deque[Step] = deque()
        self._planned: list[tuple[float, int, Step]] = []
        self._timers: set[float] = set()
        self._lock = threading.RLock()  # reentrant: a signal handler may end runs while its thread holds it
        self._number = count()
        self._thread = self._main = 0
        self._waking: socket.socket | None = None
        self._woken: socket.socket | None = None
        if consumer.hub is not None:
            self._waking, self._woken = socket.socketpair()
            self._waking.setblocking(False)
            self._woken.setblocking(False)

    @property
    def hub(self) -> Any:
        """Return Celery's event loop; None where there is none."""
        return self._consumer.hub

    @property
    def here(self) -> bool:
        """Return whether the caller is in the loop's thread, and the loop runs."""
        return self._thread == threading.get_ident()

    @property
    def is_main(self) -> bool:
        """Return whether the caller is in the consumer's own thread or greenlet."""
        return self._main == threading.get_ident()

    def start(self) -> None:
        """Go on: the loop runs, or is about to. For the loop's thread."""
        hub = self.hub
        self._main = threading.get_ident()
        if hub is not None:
            hub.add_reader(self._woken, self._wake)
            self._thread = self._main
        self.run_soon()
        with self._lock:
            self._timers.clear()  # as Celery may have cleared its own
        self._plan()

    def stop(self) -> None:
        """Pause: the loop does not run for a while. Planned calls wait."""
        if self.hub is not None and self._woken is not None:
            with suppress(OSError, ValueError):
                self.hub.remove_reader(self._woken)
        self._thread = 0

    def close(self) -> None:
        """Run the calls that are left. Later ones never happen."""
        self.stop()
        self.run_soon()
        for end in (self._waking, self._woken):
            if end is not None:
                end.close()

    def turn(self) -> None:
        """Let the loop make a turn now. From any thread."""
        self.soon(_nothing)

    def soon(self, step: Step) -> None:
        """Call from the loop. From any thread."""
        self._soon.append(step)
        if self._waking is not None:
            with suppress(OSError):  # the socket is full (the loop is awake) or closed
                self._waking.send(b"\0")
        elif getattr(self._consumer.pool, "is_green", False):
            self.spawn(self.run_soon)
        else:
            self._consumer.call_soon(self.run_soon)

    def spawn(self, step: Step) -> None:
        """Call in a new greenlet, where the pool has greenlets: if it waits, no other call does."""
        self._consumer.pool.spawn_n(run, step)

    def later(self, seconds: float, step: Step) -> None:
        """Call from the loop after some seconds. From any thread."""
        with self._lock:
            heappush(self._planned, (monotonic() + seconds, next(self._number), step))
        if self.hub is None or self.here:
            self._plan()
        else:
            self.soon(self._plan)

    def _plan(self) -> None:
        """Set a timer for the earliest step, unless one is set for that time or sooner."""
        with self._lock:
            if not self._planned:
                return
            at = self._planned[0][0]
            if any(timer <= at for timer in self._timers):
                return
            self._timers.add(at)
        self._consumer.timer.call_after(max(at - monotonic(), 0.0), self._run_planned, (at,))

    def _run_planned(self, timer: float) -> None:
        with self._lock:
            self._timers.discard(timer)
        while True:
            with self._lock:
                if not self._planned or self._planned[0][0] > monotonic():
                    break
                step = heappop(self._planned)[2]
            run(step)
        self._plan()

    def _wake(self) -> None:
        with suppress(BlockingIOError):
            while self._woken is not None and len(self._woken.recv(4096)) == 4096:
                pass
        self.run_soon()

    def run_soon(self) -> None:
        """Call the steps that were to be called soon."""
        for _ in range(len(self._soon)):
            try:
                step = self._soon.popleft()
            except IndexError:  # another thread was faster
                return
            run(step)


def run(step: Step) -> None:
    """Call a step, and log its exception, which would end the worker on the loop."""
    try:
        step()
    except MemoryError:
        raise  # Celery ends the worker
    except Exception:
        logger.exception("A step of the worker failed.")
