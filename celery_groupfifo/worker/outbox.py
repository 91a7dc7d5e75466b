"""What is on its way to the gate: told once, kept while Redis can't take it, repeated with the very same arguments.

Three ways lead there, and one book has all calls until they are answered:

- the *line*: on an event loop calls go out a few at a time, and the loop reads the answers when they come; nothing
  waits (prefork, solo, and what the main loop of other pools tells);
- *at once*: a thread or greenlet of the pool tells the end of its run, and waits a moment for the answer;
- the *postman*, a thread of its own: where nobody may wait, and for whatever could not be told on the other ways.
  While the gate can't be reached, only he tries it.
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

from celery_groupfifo.clock import now
from celery_groupfifo.errors import GateUnavailable, GroupFifoError
from celery_groupfifo.pipelined import Pipelined
from celery_groupfifo.refusals import is_unreachable
from celery_groupfifo.store import Call, Store

if TYPE_CHECKING:
    from celery_groupfifo.worker.loop import Loop
    from celery_groupfifo.worker.run import Run

logger = get_logger(__name__)

#: Calls that go out together at most: Redis shall have the first ones while the loop still reads the next results.
#: One by one costs a system call and a wake-up for each; all of a turn at its end leaves Redis idle in between.
TOGETHER = 3
#: Seconds between two tries of the postman, while the gate can't be reached or refuses a call; and between two looks of
#: his at the line.
AGAIN_SECONDS = 0.5
#: Seconds until the rest of what a full socket did not take is sent.
FLUSH_SECONDS = 0.005

#: The scripts whose calls go through here.
SCRIPTS = ("begin", "finish", "fail", "surrender")


class Told:
    """One call to the gate, until it is answered.

    Args:
        script: The script's name.
        call: Its keys and arguments; the same for every repetition.
        heard: Called once with the answer, and with this call.
        runs: Whom it concerns.

    Attributes:
        since: When it was told first.
        sent: When it went out last, monotonic.
        refused: Why Redis could not take it yet; None: it is on its way.
    """

    __slots__ = ("call", "heard", "refused", "runs", "script", "sent", "since")

    def __init__(self, script: str, call: Call, heard: Callable[[Any, Told], None], runs: Sequence[Run]) -> None:
        self.script, self.call, self.heard, self.runs = script, call, heard, runs
        self.since, self.sent = now(), monotonic()
        self.refused: GroupFifoError | None = None

    def __repr__(self) -> str:
        return f"{self.script} of {', '.join(f'task {run.ticket.id}, group {run.key!r}' for run in self.runs)}"


class Outbox:
    """The calls of one worker to its gate.

    Args:
        loop: The consumer's, where answers are heard.
        quick: Scripts for calls whose caller waits: short time-outs, no repetition.
        patient: Scripts for the postman, whom nobody waits for.
        hear: Calls, in the right thread, what an answer leads to that has come to the postman.

    Attributes:
        uses_line: Whether the line is used on a loop; else the postman carries everything.
    """

    def __init__(self, loop: Loop, quick: Store, patient: Store, hear: Callable[[Callable[[], None]], None]) -> None:
        self._loop, self._quick, self._patient, self._pass_on = loop, quick, patient, hear
        self._pending: list[Told] = []
        self._line: Pipelined | None = None
        self._sent: deque[Told] = deque()
        self._kept: deque[Told] = deque()
        self._carried: Told | None = None
        self._unheard: set[Told] = set()
        self._changed = threading.Condition()
        self._hurried = threading.Event()
        self._postman: threading.Thread | None = None
        self.uses_line = True
        self._attached = self._closed = False
        self._reachable = True
        self._reading: int | None = None

    # -- telling -------------------------------------------------------------

    def tell(self, told: Told, wait: bool = False) -> None:
        """Send a call, now or soon.

        Args:
            told: The call.
            wait: Whether the caller may wait a moment for the answer; never the consumer's loop.
        """
        if self._attached and self._loop.here:
            self._pending.append(told)
            if len(self._pending) >= TOGETHER:
                self._flush()
        elif wait and self._reachable:
            self._tell_now(told)
        else:
            self._keep([told])

    def _tell_now(self, told: Told) -> None:
        try:
            reply = self._quick.run(told.script, *told.call)
        except GroupFifoError as error:
            self._reachable = self._reachable and not isinstance(error, GateUnavailable)
            self._refuse(told, error)
        except BaseException:  # the time limit of a greenlet, say: whether Redis has taken it is not known
            self._keep([told])
            raise
        else:
            self._hear(told, reply)

    def _hear(self, told: Told, reply: Any) -> None:
        try:
            told.heard(reply, told)
        except MemoryError:
            raise  # Celery ends the worker
        except Exception:
            logger.exception("An answer of the gate was heard, but then:")
        finally:
            self._unheard.discard(told)

    def _refuse(self, told: Told, error: GroupFifoError) -> None:
        if told.refused is None:
            trace = None if isinstance(error, GateUnavailable) else error
            logger.warning("The gate can't be told yet (%s): %s", told, error, exc_info=trace)
        told.refused = error
        self._keep([told])

    def _keep(self, calls: list[Told]) -> None:
        with self._changed:
            self._kept.extend(calls)
            self._start_postman()
            self._changed.notify_all()

    def unanswered(self) -> list[Told]:
        """Return all calls that are not answered yet, or whose answer is not heard yet."""
        with self._changed:
            return [*self._pending, *self._sent, *self.kept(), *self._unheard]

    def kept(self) -> list[Told]:
        """Return the calls that could not be told at once, and are repeated."""
        with self._changed:
            return [*([] if self._carried is None else [self._carried]), *self._kept]

    def __len__(self) -> int:
        """Return the number of calls that are not answered yet."""
        with self._changed:
            return len(self._pending) + len(self._sent) + len(self.kept())

    # -- the line --------------------------------------------------------------

    def attach(self) -> None:
        """Use the loop: it runs, or is about to. To be called from its thread."""
        if self._loop.hub is None or not self.uses_line:
            return
        self._attached = True
        self._loop.hub.on_tick.add(self._flush)
        with self._changed:
            self._start_postman()  # he opens the line
            self._changed.notify_all()

    def detach(self) -> None:
        """Do without the loop, which does not run for a while: the postman carries what is out."""
        if not self._attached:
            return
        self._attached = False
        self._loop.hub.on_tick.discard(self._flush)
        self._drop_line()
        pending, self._pending = self._pending, []
        self._keep(pending)

    def _flush(self) -> None:
        """Send what is pending: when there is enough of it, and in each turn of the loop before it sleeps."""
        if not self._pending:
            return
        batch, self._pending = self._pending, []
        with self._changed:
            line = self._line
            if line is not None:
                self._sent.extend(batch)
        if line is None:
            self._keep(batch)
            return
        sent = monotonic()
        for told in batch:
            told.sent = sent
        try:
            self._listen(line, line.send([self._quick.command(told.script, told.call) for told in batch]))
        except GroupFifoError as error:
            self._lost(error)

    def _listen(self, line: Pipelined, all_sent: bool) -> None:
        if self._reading != line.fileno():
            self._reading = line.fileno()
            self._loop.hub.add_reader(self._reading, self._readable, line)
        if not all_sent:  # the hub can't poll a connection for both
            self._loop.later(FLUSH_SECONDS, partial(self._send_rest, line))

    def _send_rest(self, line: Pipelined) -> None:
        if line is not self._line:
            return
        try:
            self._listen(line, line.flush())
        except GroupFifoError as error:
            self._lost(error)

    def _readable(self, line: Pipelined) -> None:
        """Hear the answers that have come; called by the loop."""
        if line is not self._line:
            return
        try:
            replies = line.read()
        except GroupFifoError as error:
            self._lost(error)
            return
        for reply in replies:
            with self._changed:
                if line is not self._line or not self._sent:
                    return  # what it answers has been taken over by the postman
                told = self._sent.popleft()
            if not isinstance(reply, GroupFifoError):
                self._hear(told, reply)
                continue
            self._refuse(told, reply)
            if is_unreachable(reply):  # it may be this connection only: its server is no master any more
                self._drop_line()

    def _lost(self, error: GroupFifoError) -> None:
        logger.debug("The line to the gate is lost: %s", error)
        self._drop_line()

    def _drop_line(self) -> None:
        """Close the line, and let the postman carry what was out on it. From any thread."""
        with self._changed:
            line, self._line = self._line, None
            self._kept.extendleft(reversed(self._sent))
            self._sent.clear()
            self._start_postman()
            self._changed.notify_all()
        if line is not None and self._loop.here:
            self._close_line(line)
        elif line is not None:
            line.end()  # its reader may be busy with it
            self._loop.soon(partial(self._close_line, line))

    def _close_line(self, line: Pipelined) -> None:
        # By its number: a connection that has broken is closed, and the next one may get the same.
        with suppress(OSError, ValueError):
            self._loop.hub.remove(line.fileno())
        if self._reading == line.fileno():
            self._reading = None
        line.close()

    # -- the postman -------------------------------------------------------------

    def _start_postman(self) -> None:
        if self._postman is None and not self._closed:
            self._postman = threading.Thread(target=self._carry, name="groupfifo-postman", daemon=True)
            self._postman.start()

    def _carry(self) -> None:
        while not self._closed:
            try:
                self._look_at_line()
                with self._changed:
                    if not (self._kept or self._closed or self._wants_line()):
                        self._changed.wait(AGAIN_SECONDS if self._attached else None)
                self._deliver()
                if self._wants_line():
                    self._open_line()
                self._reachable = True
            except GateUnavailable as error:
                self._reachable = False
                logger.debug("The gate can't be told: %s", error)
                self._rest()
            except Exception:
                logger.exception("What is told to the gate waits.")
                self._rest()

    def _look_at_line(self) -> None:
        """Drop the line when it leads to the wrong server, or an answer is overdue."""
        if (line := self._line) is None:
            return
        if not line.trusted:
            self._drop_line()
        try:
            overdue = monotonic() - self._sent[0].sent > self._patient.timeout
        except IndexError:
            return
        if overdue:
            logger.warning("The gate has not answered for %g s: its calls go out again.", self._patient.timeout)
            self._drop_line()

    def _rest(self) -> None:
        self._hurried.wait(AGAIN_SECONDS)
        self._hurried.clear()

    def _wants_line(self) -> bool:
        return self._attached and self._line is None and not self._closed

    def _open_line(self) -> None:
        line = Pipelined.open(self._patient, SCRIPTS)
        with self._changed:
            if self._wants_line():
                self._line = line
                return
        line.close()

    def _deliver(self) -> None:
        """Tell every kept call once, and wait for the answers."""
        refused = False
        with self._changed:  # begins come last: nobody waits for their leases yet
            self._kept = deque(sorted(self._kept, key=lambda told: told.script == "begin"))
        for _ in range(len(self._kept)):
            told = self._next_kept()
            if told is None:
                return
            try:
                reply = self._patient.run(told.script, *told.call)
            except GroupFifoError as error:
                if is_unreachable(error):
                    self._put_down(told, first=True)
                    raise
                refused = True  # others may pass, and free what this one lacks
                self._log_refusal(told, error)
                self._put_down(told)
            except BaseException:
                self._put_down(told)
                raise
            else:
                self._unheard.add(told)
                self._put_down(None)
                self._pass_on(partial(self._hear, told, reply))
        if refused:
            self._rest()

    def _next_kept(self) -> Told | None:
        with self._changed:
            self._carried = self._kept.popleft() if self._kept else None
            return self._carried

    def _put_down(self, told: Told | None, first: bool = False) -> None:
        with self._changed:
            self._carried = None
            if told is not None and not self._closed:
                (self._kept.appendleft if first else self._kept.append)(told)
            self._changed.notify_all()

    def _log_refusal(self, told: Told, error: GroupFifoError) -> None:
        if str(told.refused) != str(error):
            logger.error("The gate refuses a call (%s): %s It is tried again.", told, error)
        told.refused = error

    # -- the end -----------------------------------------------------------------

    def close(self, patience: float) -> bool:
        """Take no more calls, and wait for those that are out, as long as answers come.

        Args:
            patience: Seconds to wait for the next answer.

        Returns:
            False when some were not answered; their leases run out.
        """
        self.detach()
        self._hurried.set()
        left, end = len(self), monotonic() + patience
        with self._changed:
            while left and monotonic() < end:
                self._changed.wait(end - monotonic())
                if len(self) < left:
                    end = monotonic() + patience
                left = len(self)
            self._closed = True
            self._kept.clear()
            self._changed.notify_all()
        self._hurried.set()
        return not left
