"""The connection on which the consumer's loop calls the gate, without waiting.

Calls go out a few at a time, and the loop reads their answers when they come. A call that can't go out here, or was not
answered, goes to the postman's queue.
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
from celery_groupfifo.gate.connections import SLOW_SECONDS
from celery_groupfifo.gate.pipelined import Pipelined
from celery_groupfifo.gate.refusals import is_unreachable
from celery_groupfifo.gate.store import Store
from celery_groupfifo.printing import escaping
from celery_groupfifo.worker.gate_call import GateCall

if TYPE_CHECKING:
    from celery_groupfifo.worker.loop import Loop

logger = escaping(get_logger(__name__))

#: Calls that go out together at most. One by one, each costs a system call and a wake-up. All of a turn at its end
#: would leave Redis idle while the loop reads results.
TOGETHER = 3
#: Seconds until the rest of a write to a full socket is sent.
FLUSH_SECONDS = 0.005

#: The scripts that are called on the connection.
SCRIPTS = ("begin", "finish", "fail", "surrender")


class LoopConnection:
    """The connection of one worker's loop to the gate.

    `attach`, `detach` and `send` are for the loop's thread only.

    Args:
        loop: The consumer's.
        store: Its scripts; opening the connection waits for its server.
        changed: Guards the lists of calls here and behind `keep`.
        keep: Takes calls that can't go out here; its second argument is True to put them before the calls it has.
        together: Calls that go out together at most.
    """

    def __init__(
        self,
        loop: Loop,
        store: Store,
        changed: threading.Condition,
        keep: Callable[[Sequence[GateCall], bool], None],
        together: int = TOGETHER,
    ) -> None:
        self._loop, self._store, self._changed, self._keep = loop, store, changed, keep
        self._together = together
        self._pending: list[GateCall] = []
        self._sent: deque[GateCall] = deque()
        self._answered: deque[tuple[GateCall, Any]] = deque()
        self._connection: Pipelined | None = None
        self._reading: int | None = None
        self._attached = self._opening = self._writing = self._resting = False

    @property
    def here(self) -> bool:
        """Return whether the caller may use the connection."""
        return self._attached and self._loop.here

    @property
    def attached(self) -> bool:
        """Return whether the loop uses the connection when it is open."""
        return self._attached

    def calls(self) -> list[GateCall]:
        """Return the calls that are on the connection."""
        return [*self._pending, *self._sent, *(call for call, _ in self._answered)]

    def attach(self) -> None:
        """Use the loop: it runs, or is about to."""
        self._attached = self._opening = True
        self._loop.hub.on_tick.add(self._flush)

    def detach(self) -> None:
        """Stop using the loop, which does not run for a while, and requeue the open calls with the postman."""
        if not self._attached:
            return
        self._attached = self._opening = False
        self._loop.hub.on_tick.discard(self._flush)
        self.requeue()

    # -- sending ---------------------------------------------------------------

    def send(self, call: GateCall) -> None:
        """Send a call, together with others of this turn."""
        self._pending.append(call)
        if len(self._pending) >= self._together:
            self._flush()

    def _flush(self) -> None:
        """Send the pending calls: when there are enough, and in each turn of the loop before it sleeps.

        While the connection is being opened they wait: else the first ones would take another way, and later ones
        overtake them here.
        """
        if not self._pending or self._opening or self._writing:
            return  # a signal handler leaves it to the write that it has interrupted
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
            for call in batch:
                call.sent = sent
            self._write(connection, batch)
        finally:
            self._writing = False

    def _write(self, connection: Pipelined, calls: Sequence[GateCall] = ()) -> None:
        """Send calls, behind the rest of an earlier write to a full socket."""
        try:
            commands = [self._store.command(call.script, call.arguments) for call in calls]
            self._listen(connection, connection.send(commands))
        except GroupFifoError as error:
            self._lost(error)
        except BaseException as error:  # an unknown part went out: answers would be matched with the wrong calls
            self.drop()
            if not isinstance(error, Exception):
                raise
            logger.exception("A call could not be sent to the gate.")

    def _listen(self, connection: Pipelined, all_sent: bool) -> None:
        if self._reading != connection.fileno():
            self._reading = connection.fileno()
            self._loop.hub.add_reader(self._reading, self._readable, connection)
        if not all_sent and not self._resting:  # the hub can't poll a connection for reading and writing
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

    # -- answers ---------------------------------------------------------------

    def _readable(self, connection: Pipelined) -> None:
        """Handle the answers that have come; called by the loop."""
        if connection is not self._connection:
            return
        if connection.watched and self._slow():
            connection.suspect()
            self.drop()  # the postman asks whether the server is the right one, and repeats the calls
            return
        try:
            replies = connection.read()
        except GroupFifoError as error:
            self._lost(error)
            return
        with self._changed:
            if connection is not self._connection:
                return  # its calls have been requeued
            self._answered.extend((self._sent.popleft(), reply) for reply in replies if self._sent)
        self._handle()

    def _slow(self) -> bool:
        try:
            return monotonic() - self._sent[0].sent > SLOW_SECONDS
        except IndexError:
            return False

    def _handle(self) -> None:
        """Handle answers, one by one: one may take as long as a run, where the loop itself runs the tasks."""
        while True:
            with self._changed:
                if not self._answered:
                    return
                call, reply = self._answered.popleft()
            if isinstance(reply, GroupFifoError):
                call.refuse(reply)
                self._keep([call], False)
                if is_unreachable(reply):  # perhaps only this connection: its server may be the master no more
                    self.drop()
            else:
                call.answer(reply)

    # -- open and closed ---------------------------------------------------------

    @property
    def wanted(self) -> bool:
        """Return whether the connection is to be opened."""
        return self._attached and self._connection is None

    def open(self) -> None:
        """Open the connection, unless it is not wanted any more afterwards. This waits.

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
        """Go on with waiting calls: the connection was opened, or can't be."""
        if self._opening:
            self._opening = False
            self._loop.soon(self._flush)

    def look(self) -> None:
        """Drop a connection to the wrong server, or with an overdue answer. This may wait, for a Sentinel."""
        if (connection := self._connection) is None:
            return
        if not connection.trusted:
            self.drop()
        try:
            overdue = monotonic() - self._sent[0].sent > self._store.timeout
        except IndexError:
            return
        if overdue and not connection.readable:  # else the loop is only busy
            logger.warning("The gate has not answered for %g s: the calls are sent again.", self._store.timeout)
            self.drop()

    def abandon(self) -> None:
        """Do without the loop for good: it stands still. From any thread."""
        self._attached = self._opening = False
        self.requeue()

    def requeue(self) -> None:
        """Drop the connection, and requeue all calls with the postman, unsent ones too. From any thread."""
        self.drop()
        with self._changed:
            pending, self._pending = self._pending, []
            self._keep([*(call for call, _ in self._answered), *pending], False)
            self._answered.clear()

    def drop(self) -> None:
        """Close the connection, and requeue its unanswered calls with the postman. From any thread."""
        with self._changed:
            connection, self._connection = self._connection, None
            sent = list(self._sent)
            self._sent.clear()
            self._keep(sent, True)
        if connection is not None and self._loop.here:
            self._close(connection)
        elif connection is not None:
            connection.end()  # the loop may be reading from it
            self._loop.soon(partial(self._close, connection))

    def _lost(self, error: GroupFifoError) -> None:
        logger.debug("The connection of the loop to the gate is lost: %s", error)
        self.drop()

    def _close(self, connection: Pipelined) -> None:
        # Remove by descriptor: the old socket is closed and its number may be reused.
        with suppress(OSError, ValueError):
            self._loop.hub.remove(connection.fileno())
        if self._reading == connection.fileno():
            self._reading = None
        connection.close()
