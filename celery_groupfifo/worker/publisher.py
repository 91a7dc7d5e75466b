"""The publisher of tickets that the scripts could not push, in a thread of a worker.

A broker that is not the gate's Redis may hang, while the gate is fine: the main loop, the sweeper and the threads of
the pool must not wait for it. Nor do they for a list of the gate's Redis that the worker does not consume.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

from celery import Celery
from celery.utils.log import get_logger
from kombu.messaging import Producer
from kombu.transport import virtual

from celery_groupfifo.gate import servers as connect
from celery_groupfifo.gate.gate import Gate
from celery_groupfifo.gate.keys import unquote
from celery_groupfifo.gate.records import ticket_of
from celery_groupfifo.gate.releaser import ELSEWHERE, DeclarationRefused, publish_ticket
from celery_groupfifo.gate.servers import broker_connection
from celery_groupfifo.printing import escaping
from celery_groupfifo.worker.background import Background

logger = escaping(get_logger(__name__))

#: After a failure of the broker, seconds until the next try; doubled after each further one, up to the second number.
BROKER_RETRY_SECONDS, BROKER_RETRY_MOST = 0.5, 5.0
#: Seconds at the end to tell the gate of tickets that were not published.
LEAVE_SECONDS = 1.0
#: A proof for written tickets is asked for after so many seconds, tickets, or bytes.
PROOF_SECONDS, PROOF_TICKETS, PROOF_BYTES = 1.0, 100, 2**20


#: A gate's partition and an entry: the same id may be in two partitions.
Key = tuple[str, str]


@dataclass(slots=True)
class _Ticket:
    """A ticket on its way; `again` is True when it was written on a connection that has failed since."""

    key: Key
    release: int
    message: bytes
    queue: str
    again: bool = False


class Publisher:
    """The publisher of tickets, one after the other.

    At most one ticket of an entry waits: a newer one takes the place of an older one. A ticket that can't be published
    goes out again with the next sweep.

    Args:
        app: The app of the broker.
        gate: Learns which tickets were not published. The publisher's own: it closes its connections at the end.
    """

    def __init__(self, app: Celery, gate: Gate) -> None:
        self._app, self._gate = app, gate
        self._link = _Link(app)
        self._thread = Background("groupfifo-publisher", self._prove, self._link.rest)
        self._waiting: dict[Key, _Ticket] = {}
        self._changing = threading.RLock()  # reentrant: a signal handler may send a ticket while its thread does
        self._stopped = threading.Event()
        self._failures = 0

    def send(self, queue: str, message: bytes) -> None:
        """Publish a ticket soon, without waiting. For `build_gate(…, send=publisher.send)`."""
        ticket = ticket_of(message)
        if ticket is not None:
            self._submit(_Ticket((ticket.tag, ticket.entry), ticket.release, message, queue))

    def length(self, queue: str) -> int | None:
        """Ask the broker how many messages a queue holds. It may take long: not for a thread that must not wait.

        Args:
            queue: Its name in the scripts.

        Returns:
            None when the broker does not answer, or its transport can't tell.
        """
        name = unquote(queue.removeprefix(ELSEWHERE))
        try:
            connection = broker_connection(self._app)
            try:
                return _length(connection.channel(), name, name in self._app.amqp.queues)
            finally:
                connection.collect()
        except Exception as error:  # a broker may raise anything
            logger.debug("The length of queue %s is not known: %r", name, error)
            return None

    def __len__(self) -> int:
        """Return the number of tickets that are not published yet."""
        return len(self._waiting)

    def stop(self, within: float) -> bool:
        """Publish the waiting tickets; the rest goes out with the next sweep of another worker.

        Args:
            within: Seconds to wait.

        Returns:
            False when some were left.
        """
        self._stopped.set()
        self._thread.submit(self._link.close)
        done = self._thread.stop(within)
        left = list(self._waiting.values())
        telling = threading.Thread(target=self._leave, args=(left,), name="groupfifo-publisher-end", daemon=True)
        telling.start()
        telling.join(LEAVE_SECONDS)  # the gate may hang, too: then they count as lost on their way
        return done and not left

    def _leave(self, left: Iterable[_Ticket]) -> None:
        for ticket in left:
            if not self._gate.unsent(ticket.message):
                break  # the gate can't learn of the others either
        self._gate.store.close()

    def _submit(self, ticket: _Ticket) -> None:
        if self._stopped.is_set():
            self._gate.unsent(ticket.message)
            return
        with self._changing:
            known = self._waiting.get(ticket.key)
            if known is not None and known.release >= ticket.release:
                return
            self._waiting[ticket.key] = ticket
        self._thread.submit(partial(self._publish, ticket.key), ticket.key)

    # -- in the thread -----------------------------------------------------

    def _publish(self, key: Key) -> None:
        ticket = self._waiting.get(key)
        if ticket is None:
            return
        try:
            if ticket.queue.startswith(ELSEWHERE):
                self._link.publish(ticket)
            else:
                self._gate.store.push(unquote(ticket.queue), ticket.message)
        except Exception as error:  # a broker may raise anything
            self._failed(ticket, error)
        else:
            if self._failures:
                self._failures = 0
                logger.info("The broker takes tickets again.")
        with self._changing:
            if self._waiting.get(key) is ticket:  # else a newer one has come meanwhile
                del self._waiting[key]
        for lost in self._link.taken_lost():
            self._submit(lost)

    def _prove(self) -> None:
        self._link.prove()
        for lost in self._link.taken_lost():
            self._submit(lost)

    def _failed(self, ticket: _Ticket, error: Exception) -> None:
        self._gate.unsent(ticket.message)
        if not self._link.is_away(error):
            logger.warning("Ticket %s can't be published, and goes out again: %r", ticket.key[1], error)
            return
        if not self._failures:
            logger.error("The broker takes no tickets (%r). The worker tries again until it does.", error)
        pause = min(BROKER_RETRY_SECONDS * 2**self._failures, BROKER_RETRY_MOST)
        self._failures += 1
        self._stopped.wait(pause)


class _Link:
    """A connection to the broker, for one thread. Every wait on it ends.

    On AMQP a message that was written may not have been read: the peer may be gone without a word. So written tickets
    are kept until a later answer on the same channel proves that they were read. Unproven ones go out once more: a
    second copy of a ticket is stale.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._connection: Any = None
        self._producer: Any = None
        self._proves = False
        self._proved = 0.0
        self._unproven: dict[Key, _Ticket] = {}
        self._bytes = 0
        self._lost: list[_Ticket] = []
        self._undeclared: set[str] = set()

    def publish(self, ticket: _Ticket) -> None:
        """Publish a ticket; when a kept connection has failed, on a new one.

        Raises:
            Exception: Any error of the broker's transport.
        """
        tries = 1 if self._producer is None else 2
        while tries:
            try:
                self._ready()
                publish_ticket(self._producer, ticket.message, None, connect.BROKER_PATIENCE, self._undeclared)
                break
            except DeclarationRefused as refused:
                self._drop()
                self._use_as_it_is(refused)
            except Exception:  # a broker may raise anything; a new connection may be better
                self._drop()
                tries -= 1
                if not tries:
                    raise
        if self._proves:
            self._unproven[ticket.key] = ticket
            self._bytes += len(ticket.message)
            if ticket.again:
                # Alone: it may be the reason why the broker closes the channel, and no other is to be lost with it.
                self.prove()

    def _use_as_it_is(self, refused: DeclarationRefused) -> None:
        logger.warning(
            "%r is at the broker with other properties than the task's sender declares; it is used as it is. %s",
            refused.name,
            refused,
        )
        self._undeclared.add(refused.name)

    def rest(self) -> float | None:
        """Return the quiet seconds after which the last tickets need a proof; None: they have it."""
        return PROOF_SECONDS if self._unproven else None

    def prove(self) -> None:
        """Ask whether the written tickets were read; unread ones are lost, see `taken_lost`."""
        try:
            if self._producer is not None and self._unproven:
                self._ask()
        except Exception as error:  # a broker may raise anything
            logger.debug("The last tickets are published again, as the broker may have lost them: %r", error)
            self._drop()

    def taken_lost(self) -> Iterable[_Ticket]:
        """Return the tickets written on a connection that has failed since then, each once."""
        lost, self._lost = self._lost, []
        return lost

    def is_away(self, error: Exception) -> bool:
        """Return whether the broker failed, rather than refused this message."""
        connection = self._app.connection_for_write()
        refusals = connection.channel_errors if connection.transport.driver_type == "amqp" else ()
        return not isinstance(error, (*refusals, ValueError, TypeError, LookupError, struct.error))

    def close(self) -> None:
        """Close the connection in good order."""
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            connection.release()

    def _ready(self) -> None:
        if self._producer is None:
            self._connection = broker_connection(self._app)
            is_amqp = self._connection.transport.driver_type == "amqp"
            returned = _returned if is_amqp else None
            self._producer = Producer(self._connection.channel(), auto_declare=False, on_return=returned)
            confirms = (self._connection.transport_options or {}).get("confirm_publish")
            self._proves = is_amqp and not confirms
            self._proved = monotonic()
        elif self._proves and self._due():
            self._ask()

    def _ask(self) -> None:
        # Any synchronous call will do, and without consumers this one has no effect.
        self._producer.channel.basic_qos(0, 1, False)
        self._proved, self._bytes = monotonic(), 0
        self._unproven.clear()

    def _due(self) -> bool:
        return (
            monotonic() - self._proved >= PROOF_SECONDS
            or len(self._unproven) >= PROOF_TICKETS
            or self._bytes >= PROOF_BYTES
        )

    def _drop(self) -> None:
        """Drop a failed connection without a farewell, which may not be answered either."""
        for ticket in self._unproven.values():
            if not ticket.again:  # else it may be the reason why the broker closes the connection
                ticket.again = True
                self._lost.append(ticket)
        self._unproven.clear()
        self._bytes = 0
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            try:
                connection.collect()
            except Exception as error:  # it is broken, and may raise anything when it is closed
                logger.debug("A connection to the broker could not be closed: %r", error)


def _returned(error: Exception, exchange: str, routing_key: str, message: Any) -> None:
    """Log that no queue takes a mandatory message: it counts as lost on its way, and goes out again later."""
    logger.warning("No queue takes a ticket for exchange %r with routing key %r: %r", exchange, routing_key, error)


def _length(channel: Any, name: str, known: bool) -> int | None:
    if hasattr(channel, "message_cls"):  # SQLAlchemy's keeps what was delivered, and before kombu 5.7 counts it, too
        try:
            return int(channel._query_all(name).filter(channel.message_cls.visible.is_(True)).count())
        finally:
            channel.session.rollback()
    if isinstance(channel, virtual.Channel):
        counts = type(channel)._size is not virtual.Channel._size
        return int(channel._size(name)) if counts else None
    try:
        return int(channel.queue_declare(name, passive=True).message_count)
    except channel.connection.client.channel_errors:
        return 0 if known else None  # the queue does not exist; an unknown name may be a routing key of some exchange


__all__ = ["Publisher"]
