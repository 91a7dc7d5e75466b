"""The line: what the consumer's loop tells the gate by itself, without waiting for it.

Calls go out a few at a time, and the loop reads their answers when they come. Whatever can't go out here, or was not
answered, is handed over to be told in another way.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger

from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.gate.pipelined import Pipelined
from celery_groupfifo.gate.refusals import is_unreachable
from celery_groupfifo.gate.store import Store
from celery_groupfifo.worker.told import Told

if TYPE_CHECKING:
    from celery_groupfifo.worker.loop import Loop

logger = get_logger(__name__)

#: Calls that go out together at most: Redis shall have the first ones while the loop still reads the next results.
#: One by one costs a system call and a wake-up for each; all of a turn at its end leaves Redis idle in between.
TOGETHER = 3
#: Seconds until the rest of what a full socket did not take is sent.
FLUSH_SECONDS = 0.005

#: The scripts whose calls go through here.
SCRIPTS = ("begin", "finish", "fail", "surrender")


class Line:
    """The line of one worker. All but `look`, `wanted`, `open`, `drop` and `hand_over` belongs to the loop's thread.

    Args:
        loop: The consumer's.
        store: Its scripts; whoever opens the line waits.
        changed: Guards which calls are where, together with `keep`.
        keep: Takes calls that can't go out here; True: before those that it has.
        together: Calls that go out together at most.
    """

    def __init__(
        self,
        loop: Loop,
        store: Store,
        changed: threading.Condition,
        keep: Callable[[Sequence[Told], bool], None],
        together: int = TOGETHER,
    ) -> None:
        self._loop, self._store, self._changed, self._keep = loop, store, changed, keep
        self._together = together
        self._pending: list[Told] = []
        self._sent: deque[Told] = deque()
        self._answered: deque[tuple[Told, Any]] = deque()
        self._connection: Pipelined | None = None
        self._reading: int | None = None
        self._attached = self._opening = self._writing = self._resting = False

    @property
    def here(self) -> bool:
        """Whether the caller may use it."""
        return self._attached and self._loop.here

    @property
    def attached(self) -> bool:
        """Whether the loop uses it, when it is open."""
        return self._attached

    def calls(self) -> list[Told]:
        """Return the calls that are on it."""
        return [*self._pending, *self._sent, *(told for told, _ in self._answered)]

    def attach(self) -> None:
        """Use the loop: it runs, or is about to."""
        self._attached = self._opening = True
        self._loop.hub.on_tick.add(self._flush)

    def detach(self) -> None:
        """Do without the loop, which does not run for a while: what is out is handed over."""
        if not self._attached:
            return
        self._attached = self._opening = False
        self._loop.hub.on_tick.discard(self._flush)
        self.hand_over()

    # -- sending ---------------------------------------------------------------

    def tell(self, told: Told) -> None:
        """Send a call, with others of this turn."""
        self._pending.append(told)
        if len(self._pending) >= self._together:
            self._flush()

    def _flush(self) -> None:
        """Send what is pending: when there is enough of it, and in each turn of the loop before it sleeps.

        While the line is opened it waits: else what came first would take another way, and be overtaken here.
        """
        if not self._pending or self._opening or self._writing:
            return  # a signal handler leaves it to the write that it has come into
        self._writing = True
        try:
            with self._changed:
                batch, self._pending = self._pending, []
                connection = self._connection
                if connection is None:
                    self._keep(batch, False)
                    return
                self._sent.extend(batch)
            sent = monotonic()
            for told in batch:
                told.sent = sent
            self._write(connection, batch)
        finally:
            self._writing = False

    def _write(self, connection: Pipelined, calls: Sequence[Told] = ()) -> None:
        """Send calls, behind what a full socket has left."""
        try:
            commands = [self._store.command(told.script, told.call) for told in calls]
            self._listen(connection, connection.send(commands))
        except GroupFifoError as error:
            self._lost(error)
        except BaseException as error:  # how much went out is not known: answers would be taken for others' ones
            self.drop()
            if not isinstance(error, Exception):
                raise
            logger.exception("A call could not be sent to the gate.")

    def _listen(self, connection: Pipelined, all_sent: bool) -> None:
        if self._reading != connection.fileno():
            self._reading = connection.fileno()
            self._loop.hub.add_reader(self._reading, self._readable, connection)
        if not all_sent and not self._resting:  # the hub can't poll a connection for both
            self._resting = True
            self._loop.later(FLUSH_SECONDS, self._send_rest)

    def _send_rest(self) -> None:
        self._resting = False
        connection = self._connection
        if connection is not None:
            self._writing = True
            try:
                self._write(connection)
            finally:
                self._writing = False

    # -- hearing ---------------------------------------------------------------

    def _readable(self, connection: Pipelined) -> None:
        """Hear the answers that have come; called by the loop."""
        if connection is not self._connection:
            return
        try:
            replies = connection.read()
        except GroupFifoError as error:
            self._lost(error)
            return
        with self._changed:
            if connection is not self._connection:
                return  # what it answers has been handed over
            self._answered.extend((self._sent.popleft(), reply) for reply in replies if self._sent)
        self._hear()

    def _hear(self) -> None:
        """Let answers be heard, one by one. What one leads to may last: a run, where the loop itself runs the tasks."""
        while True:
            with self._changed:
                if not self._answered:
                    return
                told, reply = self._answered.popleft()
            if isinstance(reply, GroupFifoError):
                told.refuse(reply)
                self._keep([told], False)
                if is_unreachable(reply):  # it may be this connection only: its server is no master any more
                    self.drop()
            else:
                told.hear(reply)

    # -- open and closed ---------------------------------------------------------

    @property
    def wanted(self) -> bool:
        """Whether somebody is to open it."""
        return self._attached and self._connection is None

    def open(self) -> None:
        """Open it, if it is still wanted then. This waits.

        Raises:
            GroupFifoError: Redis can't be reached, or refuses.
        """
        connection = Pipelined.open(self._store, SCRIPTS)
        with self._changed:
            if self.wanted:
                self._connection = connection
                return
        connection.close()

    def tried(self) -> None:
        """It was opened, or can't be: what waits for that goes on."""
        if self._opening:
            self._opening = False
            self._loop.soon(self._flush)

    def look(self) -> None:
        """Drop the line when it leads to the wrong server, or an answer is overdue. This may wait, for a Sentinel."""
        if (connection := self._connection) is None:
            return
        if not connection.trusted:
            self.drop()
        try:
            overdue = monotonic() - self._sent[0].sent > self._store.timeout
        except IndexError:
            return
        if overdue and not connection.readable:  # else the loop is busy with something else
            logger.warning("The gate has not answered for %g s: its calls go out again.", self._store.timeout)
            self.drop()

    def hand_over(self) -> None:
        """Drop it, and hand over what has not gone out, too. From any thread."""
        self.drop()
        with self._changed:
            pending, self._pending = self._pending, []
            self._keep([*(told for told, _ in self._answered), *pending], False)
            self._answered.clear()

    def drop(self) -> None:
        """Close it, and hand over what was out on it. From any thread."""
        with self._changed:
            connection, self._connection = self._connection, None
            sent = list(self._sent)
            self._sent.clear()
            self._keep(sent, True)
        if connection is not None and self._loop.here:
            self._close(connection)
        elif connection is not None:
            connection.end()  # its reader may be busy with it
            self._loop.soon(partial(self._close, connection))

    def _lost(self, error: GroupFifoError) -> None:
        logger.debug("The line to the gate is lost: %s", error)
        self.drop()

    def _close(self, connection: Pipelined) -> None:
        # By its number: a connection that has broken is closed, and the next one may get the same.
        with suppress(OSError, ValueError):
            self._loop.hub.remove(connection.fileno())
        if self._reading == connection.fileno():
            self._reading = None
        connection.close()
