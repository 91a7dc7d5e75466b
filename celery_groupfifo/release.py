"""How a ticket reaches the broker.

On the gate's own Redis the scripts push it themselves, in the step that releases the head. Everywhere else, and
for a queue that the script was not given, the caller brings it: a crash in between is a lost ticket, which the
sweep rings again. A worker leaves it to a thread of its own, see worker/publisher.py: its broker may hang.
"""

from __future__ import annotations

from base64 import b64decode
from bisect import bisect
from collections.abc import Callable
from typing import Any, Protocol

from celery import Celery
from kombu.utils.json import loads

from celery_groupfifo.connect import Brokers, broker_server
from celery_groupfifo.keys import queue_of_list, quote, unquote
from celery_groupfifo.model import Ticket
from celery_groupfifo.server import Server
from celery_groupfifo.store import Store

#: First letter of a queue that kombu publishes to.
ELSEWHERE = "*"

Send = Callable[[str, bytes], None]
"""Takes a ticket that a script could not push; see `Releaser.send`."""


class Releaser(Protocol):
    """Brings tickets to a broker."""

    #: Whether a finishing worker may take tickets from the broker's lists in the same step.
    takes: bool

    def place(self, exchange: str, routing_key: str, priority: Any) -> tuple[str, str | None]:
        """The queue's name for the scripts, and the Redis list when they can push on it."""

    def send(self, queue: str, message: bytes, producer: Any = None) -> None:
        """Bring one ticket.

        Args:
            queue: Its name for the scripts.
            message: The ticket, with the message attached.
            producer: One that the caller holds. Who holds one must not wait for a second one of the same pool: when
                all callers do, none of them ever gets it. None: one of the app's pool.

        Raises:
            GateUnavailable: Redis can't be reached.
            kombu.exceptions.OperationalError: The broker can't be reached.
        """

    def check(self, producer: Any) -> None:
        """Check that a call's own producer leads to the app's broker.

        Raises:
            InvalidOption: It leads to another one.
        """


class KombuReleaser:
    """Publishes with kombu: RabbitMQ, SQS, a Redis elsewhere, anything.

    Args:
        app: Whose broker.
        send: Takes the tickets that a script could not push; None: the caller brings them to the broker at once.
    """

    takes = False

    def __init__(self, app: Celery, send: Send | None = None) -> None:
        self._app, self._hand_on = app, send
        self._brokers: Brokers | None = None

    def check(self, producer: Any) -> None:
        """See `Releaser`."""
        if self._brokers is None:
            self._brokers = Brokers(self._app)
        self._brokers.check(producer)

    def place(self, exchange: str, routing_key: str, priority: Any) -> tuple[str, str | None]:
        """See `Releaser`."""
        return ELSEWHERE + quote(routing_key or ""), None

    def send(self, queue: str, message: bytes, producer: Any = None) -> None:
        """See `Releaser`."""
        if self._hand_on is not None:
            self._hand_on(queue, message)
            return
        with self._app.producer_or_acquire(producer) as held:
            policy = dict(self._app.conf.task_publish_retry_policy)
            publish_ticket(self._app, held, message, retry=True, retry_policy=policy)


class ListReleaser(KombuReleaser):
    """The broker is the gate's own Redis: its queues are lists next to the gate's keys.

    Args:
        app: For the rare queue behind a named exchange, which kombu resolves.
        send: Takes the tickets for those; see `KombuReleaser`.
        store: Of the gate.
        prefix: The broker's `global_keyprefix`.
        steps: kombu's priority steps.
        separator: kombu's separator between a queue's name and the step.
    """

    takes = True

    def __init__(
        self, app: Celery, send: Send | None, store: Store, prefix: str, steps: list[int], separator: str
    ) -> None:
        super().__init__(app, send)
        self._store, self._prefix, self._steps, self._separator = store, prefix, steps, separator

    def place(self, exchange: str, routing_key: str, priority: Any) -> tuple[str, str | None]:
        """See `Releaser`."""
        if exchange:
            return super().place(exchange, routing_key, priority)
        key = self.list_key(routing_key, priority)
        return queue_of_list(key), key

    def list_key(self, queue: str, priority: Any) -> str:
        """The list of a queue at a priority, as kombu names it."""
        try:
            wanted = max(min(int(priority), 9), 0)
        except (TypeError, ValueError):
            wanted = 0
        step = self._steps[bisect(self._steps, wanted) - 1]
        return f"{self._prefix}{queue}{self._separator}{step}" if step else f"{self._prefix}{queue}"

    def send(self, queue: str, message: bytes, producer: Any = None) -> None:
        """See `Releaser`."""
        if queue.startswith(ELSEWHERE) or self._hand_on is not None:
            super().send(queue, message, producer)
        else:
            self._store.push(unquote(queue), message)


def publish_ticket(app: Celery, producer: Any, message: bytes, **options: Any) -> None:
    """Publish a ticket as kombu would have published its message.

    Args:
        app: Whose queues are declared.
        producer: kombu's.
        message: The ticket, with the message attached.
        options: For `Producer.publish`.
    """
    payload = loads(message)
    properties = payload["properties"]
    info = properties.pop("delivery_info")
    properties.pop("delivery_tag")
    body = payload["body"]
    if properties.pop("body_encoding", None) == "base64":
        body = b64decode(body)
    exchange, routing_key = info.get("exchange") or "", info.get("routing_key") or ""
    queues = app.amqp.queues
    producer.publish(
        body,
        exchange=exchange,
        routing_key=routing_key,
        declare=[queues[routing_key]] if not exchange and routing_key in queues else None,
        headers=payload["headers"],
        content_type=payload["content-type"],
        content_encoding=payload["content-encoding"],
        **options,
        **properties,
    )


def releaser_of(app: Celery, store: Store, server: Server, send: Send | None) -> Releaser:
    """The releaser of a gate.

    Args:
        app: Whose broker gets the tickets.
        store: Of the gate.
        server: The gate's Redis.
        send: See `KombuReleaser`.
    """
    broker = broker_server(app)
    if broker is None or broker.place != server.place:
        return KombuReleaser(app, send)
    options = dict(app.conf.broker_transport_options or {})
    steps = sorted(int(step) for step in options.get("priority_steps") or (0, 3, 6, 9))
    return ListReleaser(app, send, store, server.prefix, steps, options.get("sep", "\x06\x16"))


def ticket_of(message: bytes) -> Ticket | None:
    """The ticket in a message as the scripts give it; None when there is none. See lua/lib/release.lua."""
    return Ticket.parse(message.split(b'"', 6)[5].decode())
