"""The worker as a member of the gate: it begins, finishes, hands off and gives back."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from logging import ERROR, WARNING
from time import monotonic
from typing import Any
from uuid import uuid4

from celery.bootsteps import RUN as RUNNING
from celery.utils.log import get_logger
from celery.worker import state

from celery_groupfifo import events
from celery_groupfifo.errors import GateUnavailable, GroupFifoError
from celery_groupfifo.gate import Gate
from celery_groupfifo.keys import quote
from celery_groupfifo.model import HEADER, KEY_HEADER, Finish, Finished, Lists, Ticket
from celery_groupfifo.worker import broker, pools
from celery_groupfifo.worker.delivery import Delivery, HandedMessage
from celery_groupfifo.worker.failures import failure
from celery_groupfifo.worker.finishes import Finishes
from celery_groupfifo.worker.run import Run

logger = get_logger(__name__)

#: A begin that Redis could not answer is tried again after this time; the message stays where it is.
AGAIN_SECONDS = 1.0
#: On the solo pool a chain of runs lets the event loop have its turn after this time.
TURN_SECONDS = 0.5


class _Thread(threading.local):
    """What belongs to one thread (or greenlet) of the worker."""

    waiting: deque[Callable[[], None]] | None = None


class Member:
    """One worker.

    Args:
        consumer: Celery's.
        gate: Used from the main process' threads; the heart has its own.

    Attributes:
        owner: The worker's name at the gate; no two lives of a worker share one.
        runs: All runs whose lease this worker holds, by tag and fence.
        finishes: On their way to the gate.
        unreturned: Tickets that could not be given back yet, and whether a worker was lost with them; likewise.
    """

    def __init__(self, consumer: Any, gate: Gate) -> None:
        self.consumer = consumer
        self.gate = gate
        self.owner = quote(f"{consumer.hostname}/{uuid4().hex[:8]}")
        self.runs: dict[tuple[str, int], Run] = {}
        self.unreturned: deque[tuple[Ticket, bool]] = deque()
        self.prefork = pools.is_prefork(consumer.pool)
        self.wake: Callable[[float], None] = lambda seconds: None
        self.events = events.Events(consumer, self.soon)
        self._thread = _Thread()
        self._leaving = False
        self._paused = False
        self.finishes = Finishes(self, gate)

    # -- begin -------------------------------------------------------------

    def begin(self, message: Any, ack: Any, reject: Any, again: Callable[[], None]) -> Run | None:
        """Take the lease for a ticket that the broker delivered.

        Args:
            message: kombu's.
            ack: Celery's promise to acknowledge it.
            reject: Celery's promise to reject it.
            again: Handles the message anew.

        Returns:
            None when there is nothing to run now.
        """
        errors = self.consumer.connection_errors
        ticket = Ticket.parse(message.headers[HEADER])
        if ticket is None or self.gate.keyspace.of_tag(ticket.tag) is None:
            logger.error(
                "A ticket of another gate came in: %r. Apps that share a queue need the same groupfifo_namespace and "
                "groupfifo_partitions. It goes back to the queue.",
                message.headers[HEADER],
            )
            self.later(AGAIN_SECONDS, lambda: reject(logger, errors, True))
            return None
        try:
            # The same name each time: else a begin whose reply was lost would be its own stale ticket.
            known = getattr(message, "groupfifo_call", None) or (self.gate.call_name(), monotonic())
            call, asked = message.groupfifo_call = known
            begun = self.gate.begin(ticket, self.owner, call)
        except GateUnavailable as error:
            what = events.of_headers(ticket, message.headers)
            events.log(WARNING, f"waits in this worker: {error}", message.headers.get("task"), what)
            self.later(AGAIN_SECONDS, again)
            return None
        if not begun:
            self.events.stale(ticket, message.headers)
            ack(logger, errors)
            return None
        delivery = Delivery(message, ack, errors)
        run = self._run(ticket, message, delivery)
        run.begun = asked  # the lease may run since then
        return run

    def _run(self, ticket: Ticket, message: Any, delivery: Delivery, since: float | None = None) -> Run:
        run = Run(ticket, message.headers[KEY_HEADER], delivery, self.settle)
        message.groupfifo_run = run
        self.runs[ticket.tag, ticket.fence] = run
        self.events.begun(run, message.headers, since)
        return run

    def is_ticket(self, tag: str) -> bool:
        """Whether a delivery tag is a ticket of this gate."""
        ticket = Ticket.parse(tag)
        return ticket is not None and self.gate.keyspace.of_tag(ticket.tag) is not None

    # -- the end of a run --------------------------------------------------

    def settle(self, run: Run) -> None:
        """Tell the gate how a run ended. Only the first call for a run does anything."""
        if run.settled:
            return
        run.settled = True
        if run.lost:
            self._forget(run)
            run.delivery.close()
        elif run.done:
            self.finishes.tell(self._finish_call(run, self._may_take(run.delivery)), run)
        else:
            self.give_back([run])

    def finished(self, call: Finish, run: Run, answer: Finished, since: float | None = None) -> None:
        """The gate has answered a finish, which was sent at the monotonic time `since`."""
        self._forget(run)
        if answer.stale:
            self.lease_lost(run)
        else:
            self.events.finished(run, answer.due)
            if answer.blocked:
                self.events.blocked(run)
        if answer.due is not None:
            self.wake(answer.due)
        elif call.failure is not None and call.failure.policy == "cancel_rest":
            self.wake(0.0)  # the rest is the sweep's
        if answer.taken is not None:
            self._hand_off(answer.taken, run.delivery, since)
        else:
            run.delivery.close()

    def finish_unread(self, run: Run, message: Any, error: Exception) -> None:
        """Celery could not read a message: its task has failed. Celery acknowledges it, unless we handed it off."""
        run.settled, run.over = True, True
        task = self.consumer.app.tasks.get(message.headers.get("task"))
        run.failure = failure(self, message.headers, task, error)
        handed = isinstance(message, HandedMessage)
        if not handed:
            run.delivery.left_to_celery()
        self.finishes.tell(self._finish_call(run, handed and self._may_take(run.delivery)), run)

    def give_back(self, runs: list[Run]) -> None:
        """Runs that did not come to an end go back to the heads of their groups."""
        for run in runs:
            run.settled = True
            self._forget(run)
        back = [(run.ticket, run.worker_lost) for run in runs]
        try:
            self.gate.surrender(back, self.lists())
        except GroupFifoError as error:
            logger.warning("%d tasks go back to their groups when the gate answers again: %s", len(runs), error)
            self.unreturned += back
        for run in runs:
            self.events.surrendered(run)
            run.delivery.close()

    def lease_lost(self, run: Run) -> None:
        """A lease is known to be lost."""
        if run.lost:
            return
        run.lost = True
        self._forget(run)
        self.events.lease_lost(run)
        request = run.request
        if self.gate.settings.on_lease_lost == "terminate" and request and run.started and not run.over:
            self.soon(lambda: self._terminate(run))

    def _terminate(self, run: Run) -> None:
        request = run.request
        if request is None or run.over:
            return
        try:
            self.consumer.pool.terminate_job(request.worker_pid, 9)
        except NotImplementedError:
            logger.warning("groupfifo_on_lease_lost = 'terminate' can't end task %s: its pool has no way.", request.id)

    def _forget(self, run: Run) -> None:
        key = (run.ticket.tag, run.ticket.fence)
        if self.runs.get(key) is run:
            del self.runs[key]

    def _finish_call(self, run: Run, take: bool) -> Finish:
        return Finish(
            ticket=run.ticket,
            key=run.key,
            owner=self.owner,
            take=("lists" if self.gate.releaser.takes else "own") if take else "none",
            lists=self.lists(),
            caller=self.finishes.caller(),
            call=self.gate.call_name(),
            failure=run.failure,
        )

    # -- hand-off ----------------------------------------------------------

    def lists(self) -> Lists:
        """The lists that this worker consumes; none on other brokers."""
        consumer = self.consumer.task_consumer
        channel = consumer.channel if consumer is not None else None
        if not self.gate.releaser.takes or not broker.is_redis(channel):
            return ()
        return broker.consumed_lists(channel)

    @property
    def stopping(self) -> bool:
        """Whether the worker takes nothing more."""
        blueprint = self.consumer.blueprint
        stop = state.should_stop is not None and state.should_stop is not False
        end = state.should_terminate is not None and state.should_terminate is not False
        return self._leaving or stop or end or blueprint.state != RUNNING

    def _may_take(self, delivery: Delivery) -> bool:
        consumer = self.consumer.task_consumer
        if consumer is None or self.stopping or delivery.channel is not consumer.channel:
            return False
        if self.gate.releaser.takes:
            return not broker.over_prefetch(delivery.channel)
        settings = self.gate.settings
        return delivery.runs < settings.burst and monotonic() - delivery.since < settings.burst_seconds

    def _hand_off(self, raw: bytes, delivery: Delivery, since: float | None) -> None:
        """The worker's next task came with the end of the last one: it goes the way of every message."""
        message = HandedMessage(raw, delivery.channel)
        run = self._run(message.ticket, message, delivery, since)
        run.begun = since or run.begun
        delivery.runs += 1
        if self.gate.releaser.takes:
            broker.served(delivery.channel, message.delivery_info.get("routing_key"))
        if getattr(self.consumer.pool, "is_green", False):
            self.later(0, lambda: self._receive(message, run))  # a full pool must not wait for this greenlet
        else:
            self.inside(self._receive, message, run)

    def _receive(self, message: HandedMessage, run: Run) -> None:
        consumer = self.consumer.task_consumer
        if consumer is None or self._paused or self.stopping:
            if not run.settled:
                self.give_back([run])
            return
        message.accept = consumer.accept
        try:
            if message.errors:
                message._reraise_error()
            consumer.on_message(message)
        except Exception as error:
            said, name = f"has a message that can't be handled: {error!r}", message.headers.get("task")
            events.log(ERROR, said, name, events.of_headers(run.ticket, message.headers), exc_info=True)
            if not run.settled:
                self.finish_unread(run, message, error)

    def inside(self, call: Callable[..., Any], *args: Any) -> None:
        """Call, and then what it hands off, one after the other: a chain of runs must not become a deep stack."""
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
                self.later(0, waiting.popleft())

    # -- when --------------------------------------------------------------

    def later(self, seconds: float, call: Callable[[], Any]) -> None:
        """Call from the consumer's loop after a while. To be called from that loop."""
        self.consumer.timer.call_after(seconds, call)

    def soon(self, call: Callable[[], Any]) -> None:
        """Call from the consumer's loop. To be called from any thread."""
        hub = self.consumer.hub
        if hub is not None:
            hub.call_soon(call)
        else:
            self.later(0, call)

    def when_child_gone(self, pid: int, call: Callable[[], None]) -> None:
        """Call when a child of the pool is gone: until then it may run on."""

        def look() -> None:
            if pools.child_alive(self.consumer.pool, pid):
                self.later(0.01, look)
            else:
                call()

        self.soon(look)

    # -- stop --------------------------------------------------------------

    def given_to_pool(self) -> set[str]:
        """Ids of the tasks that the pool was given."""
        return {run.ticket.id for run in list(self.runs.values()) if run.submitted}

    def resume(self) -> None:
        """The consumer is about to run, for the first time or with a new connection."""
        self._paused = False
        if self.prefork and self.consumer.hub is not None:
            self.finishes.attach(self.consumer.hub)

    def pause(self) -> None:
        """The connection is lost or the worker stops: the loop runs no more."""
        self._paused = True
        self.finishes.drain()
        self.give_back_unstarted()

    def give_back_unstarted(self) -> None:
        """The connection is lost or the worker stops: Celery forgets what no child has, so it goes back."""
        pool = self.consumer.pool
        pending = pools.pending_ids(pool) if self.prefork else set()
        back = [run for run in list(self.runs.values()) if self._unstarted(run, pending, pool)]
        if back:
            self.give_back(back)

    def leave(self) -> None:
        """A soft shutdown begins: nothing more is taken, and what has not begun goes back now, not when it is over.

        In a thread of its own: the main thread is in a signal handler, and spends the whole time of grace there.
        """
        self._leaving = True
        if not getattr(self.consumer.pool, "is_green", False):  # there nothing may block in a signal handler
            threading.Thread(target=self.give_back_unstarted, name="groupfifo-leave", daemon=True).start()

    def _unstarted(self, run: Run, pending: set[str], pool: Any) -> bool:
        if run.settled or run.started:
            return False
        if not run.submitted:
            return True
        if self.prefork:
            return run.ticket.id not in pending
        return self.stopping and pools.cancel_waiting(pool, run.job)

    def close(self) -> None:
        """The pool is down: whatever has not been told yet is told now."""
        self.finishes.drain()
        for run in list(self.runs.values()):
            if not run.settled and run.done:
                run.over = True
                self.settle(run)
        with suppress(GroupFifoError):
            self.repeat_refused(lambda call: call())
        back = [run for run in list(self.runs.values()) if not run.settled]
        if back:
            self.give_back(back)

    def repeat_refused(self, then: Callable[[Callable[[], Any]], Any]) -> None:
        """Tell again what Redis could not take. The very same calls: nothing is done twice.

        Args:
            then: Calls what the answer asks for, in the right thread.

        Raises:
            GroupFifoError: Redis still can't take them; they are kept.
        """
        self.finishes.repeat(then)
        back = list(self.unreturned)
        if back:
            self.gate.surrender(back, self.lists())
            for _ in back:
                self.unreturned.popleft()
