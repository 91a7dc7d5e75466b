"""The worker as a member of the gate: it begins, finishes, hands off and gives back."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any
from uuid import uuid4

from celery import signals
from celery.bootsteps import RUN as RUNNING
from celery.utils.log import get_logger
from celery.worker import state

from celery_groupfifo.errors import GateUnavailable, GroupFifoError
from celery_groupfifo.gate import Finish, Gate, Lists
from celery_groupfifo.keys import quote
from celery_groupfifo.model import HEADER, KEY_HEADER, Finished, Ticket
from celery_groupfifo.signals import group_lease_lost
from celery_groupfifo.worker import broker, pools
from celery_groupfifo.worker.delivery import Delivery, HandedMessage
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
        refused: Finishes that Redis could not take yet; the heart repeats them.
    """

    def __init__(self, consumer: Any, gate: Gate) -> None:
        self.consumer = consumer
        self.gate = gate
        self.owner = quote(f"{consumer.hostname}/{uuid4().hex[:8]}")
        self.runs: dict[tuple[str, int], Run] = {}
        self.refused: deque[tuple[Finish, Run]] = deque()
        self.prefork = pools.is_prefork(consumer.pool)
        self.wake: Callable[[float], None] = lambda seconds: None
        self._thread = _Thread()
        self._callers: deque[str] = deque()

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
            begun = self.gate.begin(ticket, self.owner)
        except GateUnavailable as error:
            logger.warning("Task %s waits in this worker: %s", ticket.id, error)
            self.later(AGAIN_SECONDS, again)
            return None
        if not begun:
            logger.debug("A stale ticket of task %s was dropped.", ticket.id)
            ack(logger, errors)
            return None
        delivery = Delivery(message, ack, errors, self.gate.releaser.takes)
        return self._run(ticket, message, delivery)

    def _run(self, ticket: Ticket, message: Any, delivery: Delivery) -> Run:
        run = Run(ticket, message.headers[KEY_HEADER], delivery, self.settle)
        message.groupfifo_run = run
        self.runs[ticket.tag, ticket.fence] = run
        return run

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
            self.finish(self._finish_call(run, self._may_take(run.delivery)), run)
        else:
            self.give_back([run])

    def finish(self, call: Finish, run: Run) -> None:
        """Send a finish, and do what its answer says. One that Redis can't take is kept for the heart."""
        try:
            finished = self.gate.finish(call)
        except Exception as error:  # whatever it is: a finish that is forgotten would hold the group for ever
            logger.warning(
                "Task %s is over, but the gate can't be told yet: %s",
                run.ticket.id,
                error,
                exc_info=not isinstance(error, GateUnavailable),
            )
            self.refused.append((call, run))
        else:
            self.finished(call, run, finished)

    def finished(self, call: Finish, run: Run, answer: Finished) -> None:
        """The gate has answered a finish."""
        self._callers.append(call.caller)
        self._forget(run)
        if answer.stale:
            self.lease_lost(run)
        if answer.due is not None:
            self.wake(answer.due)
        if answer.taken is not None:
            self._hand_off(answer.taken, run.delivery)
        else:
            run.delivery.close(removed=call.delivery is not None)

    def finish_unread(self, run: Run, message: Any) -> None:
        """Celery could not read a message: its task is over. Celery acknowledges it, unless we handed it off."""
        run.settled, run.over = True, True
        handed = isinstance(message, HandedMessage)
        if not handed:
            run.delivery.left_to_celery()
        self.finish(self._finish_call(run, handed and self._may_take(run.delivery)), run)

    def give_back(self, runs: list[Run]) -> None:
        """Runs that did not come to an end go back to the heads of their groups."""
        for run in runs:
            run.settled = True
            self._forget(run)
        try:
            self.gate.surrender([(run.ticket, run.worker_lost) for run in runs], self.lists())
        except GroupFifoError as error:
            logger.warning("%d tasks go back to their groups when their lease ends: %s", len(runs), error)
        for run in runs:
            run.delivery.close()

    def lease_lost(self, run: Run) -> None:
        """A lease is known to be lost."""
        if run.lost:
            return
        run.lost = True
        self._forget(run)
        logger.error(
            "The lease of task %s (group %r, fence %d) is lost: another run of it may have begun. "
            "What this run still returns is refused.",
            run.ticket.id,
            run.key,
            run.ticket.fence,
        )
        request = run.request
        group_lease_lost.send(
            sender=request.name if request else None,
            key=run.key,
            task_id=run.ticket.id,
            fence=run.ticket.fence,
            worker=self.consumer.hostname,
        )
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
        try:
            caller = self._callers.pop()  # it has no call out: see lua/finish.lua
        except IndexError:
            caller = uuid4().hex[:8]
        return Finish(
            ticket=run.ticket,
            key=run.key,
            owner=self.owner,
            take=("lists" if self.gate.releaser.takes else "own") if take else "none",
            lists=self.lists(),
            delivery=run.delivery.script_keys,
            caller=caller,
            call=self.gate.call_name(),
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
        return stop or end or blueprint.state != RUNNING

    def _may_take(self, delivery: Delivery) -> bool:
        consumer = self.consumer.task_consumer
        if consumer is None or self.stopping or delivery.channel is not consumer.channel:
            return False
        if self.gate.releaser.takes:
            return not broker.over_prefetch(delivery.channel)
        settings = self.gate.settings
        return delivery.runs < settings.burst and monotonic() - delivery.since < settings.burst_seconds

    def _hand_off(self, raw: bytes, delivery: Delivery) -> None:
        """The worker's next task came with the end of the last one: it goes the way of every message."""
        message = HandedMessage(raw, delivery.channel)
        ticket = Ticket.parse(message.headers[HEADER])
        assert ticket is not None
        run = self._run(ticket, message, delivery)
        delivery.runs += 1
        if self.gate.releaser.takes:
            broker.served(delivery.channel, message.delivery_info.get("routing_key"))
        if getattr(self.consumer.pool, "is_green", False):
            self.later(0, lambda: self._receive(message, run))  # a full pool must not wait for this greenlet
        else:
            self.inside(self._receive, message, run)

    def _receive(self, message: HandedMessage, run: Run) -> None:
        consumer = self.consumer.task_consumer
        if consumer is None or self.stopping:
            if not run.settled:
                self.give_back([run])
            return
        message.accept = consumer.accept
        try:
            if message.errors:
                message._reraise_error()
            consumer.on_message(message)
        except Exception as error:
            logger.exception("The message of task %s can't be handled: %r", run.ticket.id, error)
            if not run.settled:
                self.finish_unread(run, message)

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

    def give_back_unstarted(self) -> None:
        """The connection is lost or the worker stops: Celery forgets what no child has, so it goes back."""
        pool = self.consumer.pool
        pending = pools.pending_ids(pool) if self.prefork else set()
        back = [run for run in list(self.runs.values()) if self._unstarted(run, pending, pool)]
        if back:
            self.give_back(back)

    def _unstarted(self, run: Run, pending: set[str], pool: Any) -> bool:
        if run.settled or run.started:
            return False
        if not run.submitted:
            return True
        if self.prefork:
            return run.ticket.id not in pending
        return self.stopping and run.request is not None and pools.cancel_waiting(pool, run.request._apply_result)

    def close(self) -> None:
        """The pool is down: whatever has not been told yet is told now."""
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
        """Send again the finishes that Redis could not take. The very same calls: nothing is done twice.

        Args:
            then: Calls what the answer asks for, in the right thread.

        Raises:
            GroupFifoError: Redis still can't take them; they are kept.
        """
        for _ in range(len(self.refused)):
            call, run = self.refused.popleft()
            try:
                answer = self.gate.finish(call)
            except Exception:
                self.refused.append((call, run))
                raise
            then(partial(self.finished, call, run, answer))


@signals.task_unknown.connect
def _finish_unknown(sender: Any, message: Any, **kwargs: Any) -> None:
    """A ticket for a task that this worker does not know: Celery has failed it, so its group goes on."""
    member: Member | None = getattr(sender, "groupfifo", None)
    if member is None or HEADER not in (message.headers or {}):
        return
    run = getattr(message, "groupfifo_run", None)
    if run is None:
        run = member.begin(message, lambda *_: None, lambda *_: None, lambda: _finish_unknown(sender, message))
    if run is not None:
        member.finish_unread(run, message)
