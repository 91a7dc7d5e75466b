"""The worker as a member of the gate: it joins the parts, and starts and stops them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any
from uuid import uuid4

from celery.bootsteps import RUN as RUNNING
from celery.utils.log import get_logger
from celery.worker import state

from celery_groupfifo.errors import GroupFifoError, UnsupportedState
from celery_groupfifo.gate.gate import Gate, build_gate
from celery_groupfifo.gate.hang_up import hang_up
from celery_groupfifo.gate.keys import Keys, quote
from celery_groupfifo.gate.model import CutOff, Ticket
from celery_groupfifo.gate.store import Store
from celery_groupfifo.printing import escaping
from celery_groupfifo.sending.telling import Teller
from celery_groupfifo.worker import events
from celery_groupfifo.worker.answers import AnswerDispatcher
from celery_groupfifo.worker.background import Background
from celery_groupfifo.worker.broker import ConsumedLists
from celery_groupfifo.worker.by_server import Outboxes, Renewers, Sweepers, partitions_by_server
from celery_groupfifo.worker.endings import Endings
from celery_groupfifo.worker.inspect import members
from celery_groupfifo.worker.lanes import Lanes
from celery_groupfifo.worker.loop import Loop
from celery_groupfifo.worker.outage import Outage
from celery_groupfifo.worker.outbox import Outbox
from celery_groupfifo.worker.patches import Tuning
from celery_groupfifo.worker.pools import pool_of
from celery_groupfifo.worker.publisher import Publisher
from celery_groupfifo.worker.receiver import Receiver
from celery_groupfifo.worker.renewer import Renewer
from celery_groupfifo.worker.run import CALLING, Run, Runs, State
from celery_groupfifo.worker.sweeper import Sweeper

logger = escaping(get_logger(__name__))

#: Where runs are in the consumer's own loop, a chain of them yields to the loop after this time.
TURN_SECONDS = 0.5
#: Seconds between two checks whether a killed child is gone.
CHILD_CHECK_SECONDS = 0.01
#: Seconds after which it counts as gone when the check fails.
UNCHECKED_SECONDS = 1.0
#: Seconds that a thread of the pool waits for an answer of the gate, before the postman takes over its call.
ANSWER_SECONDS = 1.0
#: Seconds that an ending worker waits for the next answer of the gate; leases without an answer run out. Then it waits
#: as long for calls that may hang: signal receivers, the result backend, the broker.
FAREWELL_SECONDS = 1.5


class _Thread(threading.local):
    """The state of one thread (or greenlet) of the worker.

    Attributes:
        waiting: Calls to make after the current one; None: no call is running, see `Member.inside`.
    """

    waiting: deque[Callable[[], None]] | None = None


class Member:
    """One worker.

    Args:
        consumer: Celery's.
        make: Makes a gate by the name of its connections; see `build_gate`.

    Attributes:
        gate: For the main process' threads; its calls end soon, also when Redis does not answer.
        owner: The worker's name at the gate, different after each start.
        runs: All runs that this worker has at the gate.
        lanes: Their lanes.
        outbox: The unanswered calls to the gate.
        tuning: The changes that save time, see patches.py.
        aside: Runs the steps after a lost lease or a dropped run, as the renewer must not wait.
    """

    def __init__(self, consumer: Any, make: Callable[..., Gate]) -> None:
        members[consumer] = self
        self.consumer = consumer
        self.publisher = Publisher(consumer.app, make("groupfifo-publisher"))
        self.gate = make("groupfifo-worker", ANSWER_SECONDS, patient=False, send=self.publisher.send)
        self.owner = quote(f"{consumer.hostname}/{uuid4().hex[:8]}")
        self.tuning = Tuning(consumer, self.gate.settings.tuning)
        self.runs = Runs()
        self.lanes = Lanes()
        self.loop = Loop(consumer)
        self.pool = pool_of(consumer.pool, self.loop)
        self.pool.precomputes = self.pool.has_processes and "bodies" in self.tuning
        self.lists = ConsumedLists(consumer, self.gate.releaser.takes and "lists" in self.tuning)
        self.aside = Background("groupfifo-aside")
        self.answers = AnswerDispatcher(self.loop, self.pool.answers_on_loop)
        self.events = events.Events(consumer, self.loop.soon, self.aside.submit)
        self.outbox = self._outbox(make("groupfifo-postman").store)
        self.outbox.uses_loop_connection = "sockets" in self.tuning
        self.receiver = Receiver(self)
        self.endings = Endings(self)
        self.backend = Background("groupfifo-revoked")
        self._untold = Outage(logger, "This is tried again.", "Tasks that are cut off are told and ended again.")
        self.renewer = self._renewer(make("groupfifo-renewer"))
        self.sweeper = self._sweeper(make("groupfifo-sweeper"))
        self._thread = _Thread()
        self._leaving = False

    @classmethod
    def of(cls, consumer: Any) -> Member:
        """Make the member of a consumer.

        Raises:
            InvalidSetting: A setting is wrong.
        """
        return cls(consumer, partial(build_gate, consumer.app))

    def _outbox(self, patient: Store) -> Outbox | Outboxes:
        def outbox(keys: Keys) -> Outbox:
            quick, answered = self.gate.store.at(keys), self.answers.dispatch
            return Outbox(self.loop, quick, patient.at(keys), answered, self.pool.runs_inline)

        parts = partitions_by_server(self.gate)
        if len(parts) == 1:
            return outbox(parts[0][0])
        return Outboxes({keys.tag: outbox(keys) for part in parts for keys in part[:1]})

    def _renewer(self, gate: Gate) -> Renewer | Renewers:
        def renewer(part: list[Keys]) -> Renewer:
            endings = self.endings
            return Renewer(gate, self.owner, self.runs, self.is_held, endings.dropped, endings.lease_lost, part)

        parts = partitions_by_server(gate)
        return renewer(parts[0]) if len(parts) == 1 else Renewers({part[0].tag: renewer(part) for part in parts})

    def _sweeper(self, gate: Gate) -> Sweeper | Sweepers:
        def sweeper(part: list[Keys]) -> Sweeper:
            lists, length = self.lists.all, self.publisher.length
            events, cancel = self.events, partial(self._cancel, gate)
            return Sweeper(gate, self.owner, lists, events, cancel, length, part, self._moved, self._unsupported)

        parts = partitions_by_server(gate)
        return sweeper(parts[0]) if len(parts) == 1 else Sweepers({part[0].tag: sweeper(part) for part in parts})

    # -- the current state ---------------------------------------------------------

    @property
    def stopping(self) -> bool:
        """Return whether the worker takes no more tasks."""
        blueprint = self.consumer.blueprint
        stop = state.should_stop is not None and state.should_stop is not False
        end = state.should_terminate is not None and state.should_terminate is not False
        return self._leaving or stop or end or blueprint.state != RUNNING

    @property
    def receiving(self) -> bool:
        """Return whether a task may be given to the pool now."""
        outside = self.answers.paused or self.answers.outside_loop
        return not (outside or self.stopping) and self.consumer.task_consumer is not None

    @property
    def may_wait(self) -> bool:
        """Return whether the caller may wait a moment for the gate.

        The main loop may not, unless it runs the tasks itself; nor a thread of our own, where the answer would then be
        handled; and in a stopping worker no caller may.
        """
        inside = self.pool.runs_inline or not self.loop.is_main
        aside = self.aside.here or self.answers.in_thread
        return self.pool.waits and inside and not aside and not self.stopping

    def is_ticket(self, tag: str) -> bool:
        """Return whether a delivery tag is a ticket of this gate."""
        ticket = Ticket.parse(tag)
        return ticket is not None and self.gate.keyspace.of_tag(ticket.tag) is not None

    def is_held(self, run: Run) -> bool:
        """Return whether our own code, Celery, the pool, or a call to the gate still has a run."""
        if run.state in CALLING:
            return self.outbox.has(run)
        if run.state in (State.BEGUN, State.OVER):  # OVER: Celery tells the result backend, which may hang
            return run.in_hand or run.request is not None
        if run.is_lost and (run.in_hand or run.request is not None):
            return True  # it may not be in the pool yet, or be over there
        return self.pool.has(run)

    # -- from any thread ---------------------------------------------------------------

    def inside(self, call: Callable[..., Any], *args: Any) -> None:
        """Call, and then make the calls that it hands off, one by one: a chain of runs must not become a deep stack."""
        waiting = self._thread.waiting
        if waiting is not None:
            waiting.append(lambda: call(*args))
            return
        waiting = self._thread.waiting = deque()
        since = monotonic()
        try:
            call(*args)
            while waiting and monotonic() - since < TURN_SECONDS:
                waiting.popleft()()
        finally:
            self._thread.waiting = None
            while waiting:
                self.loop.soon(waiting.popleft())

    def _cancel(self, gate: Gate, part: CutOff) -> None:
        """Tell the result backend, which may hang, of tasks that are cut off, and end them; once for each part."""
        self.backend.submit(partial(self._tell_and_end, gate, part), part)

    def _tell_and_end(self, gate: Gate, part: CutOff) -> None:
        try:
            with Teller(self.consumer.app) as teller:
                gate.cancel_rest(part, teller.tell)
            self._untold.is_over()
        except GroupFifoError as error:  # the next sweep names the part again
            self._untold.goes_on(error)

    def _moved(self, before: tuple[str, int]) -> None:
        """Follow the gate to another master: it may lack the last begins, and Celery may wait for the old one."""
        logger.warning(
            "The sentinels name another master than %s:%d. Runs whose start it does not know are told.", *before
        )
        self.renewer.wake()
        ended = hang_up(before)
        if ended:
            logger.info("%d connections to the old master were closed, and are opened again.", ended)

    def _unsupported(self, error: UnsupportedState) -> None:
        """Stop the worker, warmly: what the gate holds is for another release. What still runs is begun again there."""
        if not self._leaving:
            self._leaving = True
            logger.critical("The worker stops: %s", error)
            state.should_stop = 1
            self.loop.turn()  # it looks at `should_stop` between two events

    def when_child_gone(self, run: Run) -> None:
        """Settle a run when the child that ran it is gone, as it may run until then.

        Where the child can't be checked, it counts as gone after a while: Celery kills it at once.
        """

        def look(blind_since: float | None = None) -> None:
            try:
                lives, blind_since = self.pool.alive(run.dying), None
            except Exception:  # the pool is Celery's or anybody's: after a while the child counts as gone
                blind_since = monotonic() if blind_since is None else blind_since
                lives = monotonic() - blind_since < UNCHECKED_SECONDS
                if not lives:
                    logger.exception("Can't check whether process %d is gone.", run.dying)
            if lives:
                self.loop.later(CHILD_CHECK_SECONDS, partial(look, blind_since))
            else:
                run.over()
                run.settle()

        self.loop.soon(look)

    # -- start and stop ------------------------------------------------------------------

    def start(self) -> None:
        """Take part: the consumer is about to run, for the first time or with a new connection."""
        self.pool.start(self._jobs)
        self.receiver.start()
        self.answers.go_on()
        self.loop.start()
        self.outbox.attach()
        self.renewer.start()
        self.sweeper.start()

    def pause(self) -> None:
        """Surrender runs that have not started: the connection is lost or the worker stops, and Celery forgets them."""
        self.answers.pause()
        self.outbox.detach()
        self.loop.stop()
        self.loop.run_soon()  # answers that the loop was to handle: a task that begins now is surrendered
        self.surrender_unstarted()

    def leave(self) -> None:
        """Take no more tasks, and surrender at once runs that have not begun: a soft shutdown begins.

        In a thread of its own, as the main thread is in a signal handler, and spends the whole time of grace there. So
        the loop neither sends calls nor handles answers meanwhile.
        """
        self._leaving = True
        if getattr(self.consumer.pool, "is_green", False):
            return  # a signal handler must not block there, and the loop goes on
        self.answers.pause()

        def leave() -> None:
            self.outbox.abandon_loop()
            self.surrender_unstarted()

        threading.Thread(target=leave, name="groupfifo-leave", daemon=True).start()

    def surrender_unstarted(self) -> None:
        """Surrender the runs that no process or thread of the pool has."""
        back = [run for run in self.runs if self._is_unstarted(run)]
        if back:
            self.endings.surrender(back)

    def _is_unstarted(self, run: Run) -> bool:
        if run.state is State.GIVEN:
            return (self.pool.has_processes or self.stopping) and self.pool.take_back(run)
        return run.state is State.BEGUN

    def _jobs(self) -> list[Any]:
        jobs = (run.job() for run in self.runs if run.job is not None)
        return [job for job in jobs if job is not None]

    def close(self) -> None:
        """Tell the gate the rest: the pool is down. This waits a limited time."""
        self.answers.pause()
        self.loop.close()
        for run in self.runs:
            if run.done:
                run.settle()
        self.endings.surrender([run for run in self.runs if self._come_to_nothing(run)])
        answered = self.outbox.close(FAREWELL_SECONDS)
        self.renewer.stop()
        self.sweeper.stop()
        end = monotonic() + FAREWELL_SECONDS
        for work in (self.answers, self.aside, self.backend, self.publisher):
            work.stop(max(end - monotonic(), 0.0))
        self.pool.stop()
        if answered:
            self._leave()

    def _come_to_nothing(self, run: Run) -> bool:
        if run.state is State.STARTED:
            run.over()
        return run.state in (State.BEGUN, State.GIVEN, State.OVER)

    def _leave(self) -> None:
        try:
            self.gate.leave(self.owner, self.lists.all())
        except GroupFifoError as error:
            logger.debug("The lease of this worker goes on until its time is over, as it could not be ended: %s", error)
