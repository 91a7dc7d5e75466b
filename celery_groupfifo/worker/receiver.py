"""The receiver of a worker's messages: it begins a ticket, and gives its task to the pool; others go Celery's way.

It decides by each message: a task may have been registered a moment ago, and a plain one sent with a group.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from logging import ERROR, WARNING
from typing import TYPE_CHECKING, Any

from celery.app.trace import build_tracer
from celery.exceptions import InvalidTaskError, NotRegistered
from celery.utils.imports import symbol_by_name
from celery.utils.log import get_logger
from kombu.exceptions import ContentDisallowed, DecodeError

from celery_groupfifo.gate.keys import Keys
from celery_groupfifo.gate.model import HEADER, Ticket
from celery_groupfifo.printing import escaping
from celery_groupfifo.sending.grouping import is_grouped
from celery_groupfifo.sending.headers import clean, ticket_in
from celery_groupfifo.worker import events
from celery_groupfifo.worker.batch import Batch, Sizes, no_pool
from celery_groupfifo.worker.delivery import Delivery, HandedOffMessage, Unacknowledged
from celery_groupfifo.worker.gate_call import GateCall
from celery_groupfifo.worker.log_context import about
from celery_groupfifo.worker.prefetch import Prefetch
from celery_groupfifo.worker.request import GroupRequest, requesting
from celery_groupfifo.worker.run import Run, State

if TYPE_CHECKING:
    from celery_groupfifo.worker.loop import Loop
    from celery_groupfifo.worker.member import Member

logger = escaping(get_logger(__name__))

Handler = Callable[..., Any]

#: Seconds until a ticket of another gate goes back to the queue.
FOREIGN_SECONDS = 1.0


class Receiver:
    """The receiver of one worker.

    Args:
        member: The worker as a member of the gate.
    """

    def __init__(self, member: Member) -> None:
        self._member = member
        self._consumer = member.consumer
        self._handlers: dict[str, tuple[Any, Handler]] = {}
        self._followers: dict[str, tuple[Any, Handler]] = {}
        self._sizes = Sizes(member.consumer)
        self._plain: set[str | None] = set()
        self._making = threading.RLock()
        self._prefetch = Prefetch(
            *(member.consumer, member.loop, member.runs),
            open_calls=lambda: member.outbox.unanswered(),
            server_of=self._server_of,
        )

    def install(self) -> None:
        """Wrap Celery's own handler of messages."""
        create, update = self._consumer.create_task_handler, self._consumer.update_strategies

        def create_task_handler(*args: Any, **kwargs: Any) -> Handler:
            with self._making:
                self._handlers.clear()  # they hold objects of the last connection
                self._followers.clear()
            plain = create(*args, **kwargs)

            def on_task_received(message: Any) -> Any:
                headers = message.headers
                if headers and HEADER in headers:
                    ticket = self._ticket(message)
                    if ticket is not None:
                        return self.receive(message, ticket)
                    if self._is_misplaced(message):
                        return self._ack(message)
                    clean(headers)
                elif headers and headers.get("task") not in self._plain:
                    self._without_ticket(headers)
                self._member.lists.note(message)
                return plain(message)

            return on_task_received

        def update_strategies() -> None:
            with self._making:  # meanwhile a task shows the class of its ordered requests
                update()

        self._consumer.create_task_handler = create_task_handler
        self._consumer.update_strategies = update_strategies

    def _server_of(self, keys: Keys) -> Any:
        """Return a value that is equal for partitions of one server. This does not wait."""
        store = self._member.gate.store
        return store.at(keys).connections.last() if store.in_cluster else None

    def start(self) -> None:
        """Start with a new connection."""
        self._prefetch.reset()

    # -- a ticket comes in -----------------------------------------------------

    def _ticket(self, message: Any) -> Ticket | None:
        """Return the ticket of a message, if it stands where the gate puts it; else the message is a plain one.

        A ticket that a script has pushed on a list of the broker is the message's delivery tag, too. kombu draws a new
        tag for every other message.
        """
        ticket = ticket_in(message.headers)
        pushed = self._member.gate.releaser.takes and not (message.delivery_info or {}).get("exchange")
        return None if pushed and message.delivery_tag != message.headers[HEADER] else ticket

    def _is_misplaced(self, message: Any) -> bool:
        """Log a ticket that does not count, in a message of an ordered task; return whether the message is dropped.

        A message with its own ticket may have been sent again by a tool that moves messages. Its entry is still at the
        gate, which sends it again in time; if it ran outside of its line, it would run twice.
        """
        headers = message.headers
        if not is_grouped(self._consumer.app.tasks.get(headers.get("task"))):
            return False
        own = ticket_in(headers) is not None
        said = "is dropped, because the task itself waits at the gate" if own else "runs outside of its group's line"
        logger.log(
            ERROR if own else WARNING,
            "Task %s[%s] came with a ticket that the gate has not put into its message: %r. It %s.",
            headers.get("task"),
            headers.get("id"),
            headers[HEADER],
            said,
        )
        return own

    def _without_ticket(self, headers: Any) -> None:
        """Log the first message without a ticket of each ordered task: its sender does not use the gate."""
        name = headers.get("task")
        self._plain.add(name)
        if is_grouped(self._consumer.app.tasks.get(name)):
            logger.warning(
                "Task %s[%s] came without a ticket: it was not sent through the gate, and runs outside of its group's "
                "line. Whoever sends it needs celery_groupfifo, and the task's own code or group_key=… with the call. "
                "Further messages of this task are not logged.",
                name,
                headers.get("id"),
            )

    def receive(self, message: Any, ticket: Ticket) -> None:
        """Ask the gate for the lease of a ticket that the broker has delivered."""
        member, header = self._member, message.headers[HEADER]
        if member.gate.keyspace.of_tag(ticket.tag) is None:
            self._put_back(message)
            return
        call = member.gate.call_name()
        ticket = ticket._replace(lane=member.lanes.take())
        delivery = Delivery(message, partial(self._ack, message))
        run = Run(header, ticket, message, delivery, member.endings.settle, call)
        if member.runs.of(header) is not None:
            self._drop(run)  # a second copy
            return
        member.runs.add(run)
        arguments = member.gate.begin_call(ticket, member.owner, call)
        begin = GateCall("begin", arguments, partial(self._begun, run), [run])
        self._prefetch.begins(begin)
        member.outbox.send(begin, wait=member.pool.runs_inline)

    def _put_back(self, message: Any) -> None:
        logger.error(
            "The ticket %r belongs to another gate, and goes back to its queue. Give apps that share a queue the same "
            "groupfifo_namespace and groupfifo_partitions.",
            message.headers[HEADER],
        )
        errors = self._consumer.connection_errors
        self._member.loop.later(FOREIGN_SECONDS, lambda: message.reject_log_error(logger, errors, requeue=True))

    def _begun(self, run: Run, reply: Any, call: GateCall) -> None:
        member = self._member
        ticket = member.gate.granted(run.ticket, reply)
        if ticket is None:
            self._drop(run)
            return
        times = call.since, call.since
        try:
            if invited := member.gate.invited(ticket, reply):
                member.endings.invite(ticket, invited)
        finally:  # also after an exception it has begun
            self._begin(run, ticket, times, None, lambda: member.pool.give(lambda: member.inside(self.read, run)))

    def _drop(self, run: Run) -> None:
        """End a run whose ticket is stale."""
        run.ended()
        self._member.runs.remove(run)
        self._member.lanes.give_back(run.ticket.lane)
        run.delivery.close()
        self._member.events.stale(run)

    def forget(self, run: Run) -> None:
        """Forget a run whose begin or end was sent, when no code waits for the answer any more: its lease runs out."""
        self._member.runs.remove(run)
        run.delivery.close()

    def hand_off(self, raw: bytes, fence: int, lane: str, delivery: Delivery, since: float, leased: float) -> None:
        """Go on with the task that came with the end of another run.

        Args:
            raw: Its message.
            fence: Of its run.
            lane: Of the run that has ended, now its own.
            delivery: The broker's delivery under the chain of runs.
            since: Time when that end was sent first.
            leased: Time since when the worker's lease runs, at least.
        """
        member = self._member
        try:
            message = HandedOffMessage(raw, delivery.channel)
            header = message.headers[HEADER]
            ticket = Ticket.parse(header)
            assert ticket is not None, "a script has read it"
            ticket = ticket._replace(lane=lane)
            run = Run(header, ticket, message, delivery, member.endings.settle)
        except BaseException:  # a message that nobody can read, or a killed greenlet: its lease runs out
            delivery.close()
            raise
        delivery.runs += 1
        begun = ticket.begun(fence)
        times = since, leased
        self._begin(run, begun, times, since, lambda: member.pool.pass_on(lambda: member.inside(self.read, run)))

    def _begin(
        self, run: Run, ticket: Ticket, times: tuple[float, float], handoff: float | None, go_on: Callable[[], Any]
    ) -> None:
        """Hold the lease of a run from now on.

        Args:
            run: The run that begins.
            ticket: Its ticket, with the fence.
            times: Time when it may have begun, and time since when the worker's lease runs, at least.
            handoff: Time when the run that brought it was over; None: it came through the broker.
            go_on: Leads to `read`.
        """
        member = self._member
        run.begun(ticket, *times)
        overtaken = member.runs.add(run)
        if overtaken is not None:  # Redis has lost its begin, and the ticket has begun again
            member.endings.lease_lost(overtaken)
        try:
            member.lists.note(run.message)
            member.events.begun(run, handoff)
            size = 1 if run.continuation.leads else self._sizes.of(run.name)
            self._gather(run, size, go_on) if size > 1 and member.receiving else self._go_on(run, go_on)
        except Exception as error:  # a receiver of a signal may raise anything: the run is surrendered
            self._failed(run, error)
        except BaseException:  # the time limit of the greenlet that sent the other run's end, for example
            run.let_go()  # no code goes on with it: it is surrendered
            raise

    def _go_on(self, run: Run, go_on: Callable[[], Any]) -> None:
        if self._member.receiving:
            go_on()
        else:  # the loop that would go on with it does not run
            run.let_go()
            self._member.endings.surrender([run])

    def _gather(self, run: Run, size: int, go_on: Callable[[], Any]) -> None:
        """Ask the gate which calls are executed with that of a run, whose task takes several at once."""
        member = self._member
        arguments = member.gate.gather_call(run.ticket, run.name or "", size - 1)

        def gathered(reply: Any, call: GateCall) -> None:
            run.set_gathered(reply)
            try:
                self._go_on(run, go_on)
            except Exception as error:  # the pool, or code around Celery's own
                self._failed(run, error)

        member.outbox.send(GateCall("gather", arguments, gathered, [run]), wait=member.may_wait)

    def _failed(self, run: Run, error: Exception) -> None:
        said = f"has a message that can't be handled: {error!r}"
        events.log(ERROR, said, run.name, events.of_run(run), exc_info=True)
        run.let_go()
        self._member.endings.fail_to_start(run)
        if isinstance(error, MemoryError):
            raise error  # Celery ends the worker

    # -- from the begin to the pool ----------------------------------------------

    def read(self, run: Run) -> None:
        """Let Celery make a request of a message, and give it to the pool, if its run has still begun."""
        try:
            if run.state is not State.BEGUN:
                return  # surrendered or lost, while it waited here
            if self._member.receiving:
                self._read(run)
            else:
                self._member.endings.surrender([run])
        except Exception as error:  # the pool, or code around Celery's own: the run is surrendered
            self._failed(run, error)
        finally:
            run.let_go()

    def _read(self, run: Run) -> None:
        consumer, message = self._consumer, run.message
        shown = Unacknowledged(message)
        handle = self._handler(run.name)
        if handle is None:
            consumer.on_unknown_task(None, shown, NotRegistered(run.name))
            self._member.endings.fail_unreadable(run, NotRegistered(run.name))
            return
        if run.gathered:
            self._read_batch(run)
        try:
            if isinstance(message, HandedOffMessage):
                message.accept = consumer.task_consumer.accept
                if message.errors:
                    message._reraise_error()
            with about(run.continuation), requesting(run):
                handle(message, None, run.on_ack, run.on_reject, consumer.on_task_message)
        except (InvalidTaskError, ContentDisallowed) as error:
            self._member.endings.fail_unreadable(run, error)
            consumer.on_invalid_task(None, shown, error)
        except DecodeError as error:
            self._member.endings.fail_unreadable(run, error)
            consumer.on_decode_error(shown, error)
        # The message is no task's, and breaks Celery's code anywhere: it would end this worker, and then the next one.
        except Exception as error:
            if run.was_requested:
                raise
            self._member.endings.fail_unreadable(run, error)
            consumer.on_invalid_task(None, shown, InvalidTaskError(f"{error!r} in the message of task {run.ticket.id}"))

    def _read_batch(self, run: Run) -> None:
        """Read the messages of the calls that a run executes with its own."""
        task, name = self._consumer.app.tasks[run.name], run.name or ""
        known = self._followers.get(name)
        if known is None or known[0] is not task:
            with self._making:
                known = self._followers[name] = (task, self._make(task, no_pool(self._consumer)))
        batch = Batch(self._member, run)
        batch.read(run.gathered, known[1])
        run.set_batch(batch)

    def _handler(self, name: str | None) -> Handler | None:
        """Return the strategy of a task, over a request class with ours mixed in; None: the task is unknown."""
        task = self._consumer.app.tasks.get(name)
        if task is None or name is None:
            return None
        known = self._handlers.get(name)
        if known is None or known[0] is not task:
            with self._making:
                known = self._handlers[name] = (task, self._make(task, self._consumer))
        return known[1]

    def _make(self, task: Any, consumer: Any) -> Handler:
        app = self._consumer.app
        own = symbol_by_name(task.Request)
        bases = (GroupRequest,) if own is GroupRequest.__mro__[1] else (GroupRequest, own)
        mixed: Any = type("GroupRequest", bases, {"member": self._member})
        if task.__trace__ is None:  # registered after the worker has started
            task.__trace__ = build_tracer(task.name, task, app.loader, consumer.hostname, app=app)
        before = task.__dict__.get("Request")
        task.Request = mixed
        try:
            return task.start_strategy(app, consumer)  # type: ignore[no-any-return]
        finally:
            if before is None:
                del task.Request
            else:
                task.Request = before

    # -- acknowledging -----------------------------------------------------------

    def _ack(self, message: Any) -> None:
        consumer, loop = self._consumer, self._member.loop
        soon = getattr(consumer, "call_soon_ack", consumer.call_soon)
        if loop.hub is not None and not loop.here:
            soon = _waking(loop)
        soon(message.ack_log_error, logger, consumer.connection_errors)
        if not getattr(consumer, "_maximum_prefetch_restored", True):
            soon(consumer._restore_prefetch_count_after_connection_restart, None)


def _waking(loop: Loop) -> Callable[..., None]:
    """Return a `call_soon` for other threads: before 5.7 kombu's wakes no loop, so no messages are fetched."""
    return lambda function, *args: loop.soon(partial(function, *args))
