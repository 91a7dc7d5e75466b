"""How the ends of runs reach the gate: at once, or a few together from the main loop, which waits for no answer."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from logging import ERROR, WARNING
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from celery_groupfifo import events
from celery_groupfifo.errors import GateUnavailable, GroupFifoError
from celery_groupfifo.gate import Gate
from celery_groupfifo.line import Line
from celery_groupfifo.model import Finish
from celery_groupfifo.worker.delivery import HandedMessage
from celery_groupfifo.worker.run import Run

if TYPE_CHECKING:
    from celery_groupfifo.worker.member import Member


#: Finishes that go out together at most: Redis shall have the first ones while the loop still reads the next results.
#: One by one costs a system call and a wake-up for each; all of a turn at its end leaves Redis idle in between.
TOGETHER = 3


class _Sent:
    """A finish on its way."""

    __slots__ = ("call", "repeated", "run", "since")

    def __init__(self, call: Finish, run: Run) -> None:
        self.call, self.run, self.since, self.repeated = call, run, monotonic(), False


class Finishes:
    """The finishes of one worker.

    Where runs are processes, their ends come in on the main loop, many in a turn. Waiting there for each answer
    would stop the whole worker for a round trip per task: a few go out in one write, what is left of a turn at its
    end, and the loop reads the answers when they come.

    Args:
        member: Whose runs.
        gate: The main thread's.

    Attributes:
        refused: Finishes that Redis could not take yet; the heart repeats them.
    """

    def __init__(self, member: Member, gate: Gate) -> None:
        self.refused: deque[tuple[Finish, Run]] = deque()
        self._member, self._gate = member, gate
        self._callers: deque[str] = deque()
        self._line = Line(gate.store, "finish")
        self._pending: list[_Sent] = []
        self._sent: deque[_Sent] = deque()
        self._hub: Any = None
        self._heard: int | None = None  # the descriptor that the loop tells of
        self._thread = 0
        self._looking = False

    def attach(self, hub: Any) -> None:
        """The loop runs, or is about to: until `drain`, nothing waits for an answer. To be called from its thread."""
        self._hub, self._thread = hub, threading.get_ident()
        hub.on_tick.add(self._flush)

    def caller(self) -> str:
        """One that has no call out: see lua/finish.lua."""
        try:
            return self._callers.pop()
        except IndexError:
            return uuid4().hex[:8]

    def tell(self, call: Finish, run: Run) -> None:
        """Send a finish, now or with others of this turn; the member does what the answer says."""
        on_loop = self._hub is not None and self._thread == threading.get_ident() and not self._member.stopping
        if on_loop and call.failure is None:  # else it is a call of another script, and a rare one
            self._pending.append(_Sent(call, run))
            if len(self._pending) >= TOGETHER:
                self._flush()
        else:
            self._tell_now(call, run)

    def _tell_now(self, call: Finish, run: Run) -> None:
        since = monotonic()
        try:
            answer = self._gate.finish(call)
        except Exception as error:  # whatever it is: a finish that is forgotten would hold the group for ever
            self._refuse(call, run, error)
        else:
            self._callers.append(call.caller)
            self._member.finished(call, run, answer, since)

    def _refuse(self, call: Finish, run: Run, error: Exception) -> None:
        said, trace = f"is over, but the gate can't be told yet: {error}", not isinstance(error, GateUnavailable)
        events.log(
            WARNING, said, run.request and run.request.name, events.of_run(run), exc_info=error if trace else None
        )
        call.take = "none"  # nobody would look after what it takes
        self.refused.append((call, run))

    # -- on the loop -------------------------------------------------------

    def _flush(self) -> None:
        """Send what is pending: when there is enough of it, and in each turn of the loop before it sleeps."""
        if not self._pending:
            return
        batch, self._pending = self._pending, []
        self._sent.extend(batch)
        try:
            self._line.send([self._gate.finish_call(sent.call) for sent in batch])
        except Exception as error:
            self._lost(error)
            return
        self._listen()

    def _listen(self) -> None:
        descriptor = self._line.fileno()
        if self._hub is None or descriptor is None:
            return
        if descriptor != self._heard:
            self._deafen()
            self._hub.add_reader(descriptor, self._readable)
            self._heard = descriptor
        if not self._looking:
            self._looking = True
            self._hub.call_later(self._line.timeout, self._look)

    def _readable(self) -> None:
        """Called by the loop: answers have come, or the connection has ended."""
        if not self._sent:
            self._close()
            return
        try:
            self._read()
        except GroupFifoError as error:
            self._lost(error)

    def _read(self) -> None:
        while self._sent:
            reply = self._line.read()
            self._answered(self._sent.popleft(), reply)
            if self._sent and not self._line.more():
                return

    def _answered(self, sent: _Sent, reply: Any) -> None:
        call, run = sent.call, sent.run
        if isinstance(reply, GroupFifoError):
            self._refuse(call, run, reply)
            return
        self._callers.append(call.caller)
        try:
            self._member.finished(call, run, self._gate.finished(reply), sent.since)
        except Exception as error:  # on the loop it would end the worker
            events.log(ERROR, f"has ended, but then: {error!r}", None, events.of_run(run), exc_info=error)

    def _look(self) -> None:
        """An answer that never comes is lost, as one that is waited for."""
        self._looking = False
        if not self._sent:
            return
        left = self._sent[0].since + self._line.timeout - monotonic()
        if left > 0:
            self._looking = True
            self._hub.call_later(left, self._look)
        else:
            self._lost(
                GateUnavailable(f"Redis at {self._gate.store.shown} has not answered for {self._line.timeout:g} s.")
            )

    def _lost(self, error: Exception) -> None:
        """Answers are lost: the very same calls go out once more, on a new connection. Then the heart has them."""
        self._close()
        outstanding, self._sent = list(self._sent), deque()
        again = [sent for sent in outstanding if not sent.repeated]
        for sent in outstanding:
            if sent.repeated:
                self._refuse(sent.call, sent.run, error)
            sent.repeated, sent.since = True, monotonic()
        self._pending = again + self._pending
        self._flush()

    def _deafen(self) -> None:
        # By its number: a connection that has broken has closed it, and the next one may get the same.
        if self._hub is not None and self._heard is not None:
            self._hub.remove_reader(self._heard)
        self._heard = None

    def _close(self) -> None:
        self._deafen()
        self._line.close()

    def drain(self) -> None:
        """The loop has ended: wait for what is out. From now on every finish is sent at once."""
        if self._hub is None:
            return
        self._hub.on_tick.discard(self._flush)
        self._deafen()
        self._hub = None
        self._flush()
        while self._sent:
            try:
                self._read()
            except GroupFifoError as error:
                self._lost(error)

    # -- what Redis could not take -----------------------------------------

    def repeat(self, then: Callable[[Callable[[], Any]], Any]) -> None:
        """Tell again what Redis could not take. The very same calls: nothing is done twice.

        Args:
            then: Calls what the answer asks for, in the right thread.

        Raises:
            GroupFifoError: Redis still can't take them; they are kept.
        """
        for _ in range(len(self.refused)):
            call, run = self.refused.popleft()
            try:
                answer = self._gate.finish(call)
            except Exception:
                self.refused.append((call, run))
                raise
            self._callers.append(call.caller)
            if answer.taken is not None:
                # An earlier run of the call took it, and its lease runs; but the loop that would start it may be
                # reconnecting for longer than that.
                self._member.unreturned.append((HandedMessage(answer.taken, None).ticket, False))
                answer.taken = None
            then(partial(self._member.finished, call, run, answer))
