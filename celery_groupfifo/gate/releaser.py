"""The releasers, which bring tickets to the broker.

On the gate's own Redis the scripts push a ticket themselves, in the step that releases the head. Everywhere else, and
for a queue that the script was not given, the caller brings it: a crash in between is a lost ticket, which the sweep
releases again. A worker leaves it to a thread of its own, see worker/publisher.py: its broker may hang.
"""

from __future__ import annotations

from base64 import b64decode
from bisect import bisect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

from celery import Celery
from kombu.entity import Queue
from kombu.exceptions import ChannelError
from kombu.messaging import Producer
from kombu.transport import virtual
from kombu.utils.json import loads

from celery_groupfifo.gate.declared import restore_entities
from celery_groupfifo.gate.keys import queue_of_list, quote, unquote
from celery_groupfifo.gate.model import HEADER
from celery_groupfifo.gate.route import Entity, Known, Route, bound_queues, one_queue
from celery_groupfifo.gate.server import RedisServer
from celery_groupfifo.gate.servers import Brokers, broker_server
from celery_groupfifo.gate.store import Store

#: First letter of a queue that kombu publishes to.
ELSEWHERE = "*"

Send = Callable[[str, bytes], None]
"""Takes a ticket that a script could not push; see `Releaser.send`."""


class Destination(NamedTuple):
    """The destination of the tickets of a route.

    Attributes:
        queue: The queue's name in the scripts.
        list_key: Its Redis list, if scripts can push to it.
        declare: Entities that the publisher of a ticket declares first, if they can't.
        is_amqp: True when the broker takes only values that AMQP can carry.
    """

    queue: str
    list_key: str | None = None
    declare: Sequence[Entity] = ()
    is_amqp: bool = False


class Releaser(Protocol):
    """The interface of a way to the broker."""

    #: True when a finish may take the worker's next ticket from the broker's lists in the same step.
    takes: bool

    def destination(self, route: Route) -> Destination:
        """Return the destination of the tickets of a route.

        Raises:
            InvalidRoute: They would go to no queue, or to several.
            kombu.exceptions.OperationalError: The broker has to be asked, and can't be reached.
        """

    def is_direct(self, route: Route) -> bool:
        """Return whether a route leads to a queue by its name: its destination is found without a look at bindings."""

    def send(self, queue: str, message: bytes, producer: Any = None) -> None:
        """Bring one ticket.

        Args:
            queue: Its name in the scripts.
            message: The ticket, with the message attached.
            producer: The one that the caller holds: waiting for a second one of the same pool would be a deadlock when
                all callers do it. None: one of the app's pool.

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
    """A releaser that publishes with kombu: to RabbitMQ, SQS, a Redis elsewhere, any broker.

    Args:
        app: The app of the broker.
        send: Takes the tickets that a script could not push; None: the caller brings them to the broker at once.
    """

    takes = False

    def __init__(self, app: Celery, send: Send | None = None) -> None:
        self._app, self._hand_on = app, send
        self._brokers: Brokers | None = None

    def check(self, producer: Any) -> None:
        """Check that a producer leads to the app's broker, see `Releaser`."""
        if self._brokers is None:
            self._brokers = Brokers(self._app)
        self._brokers.check(producer)

    def destination(self, route: Route) -> Destination:
        """Return the destination of a route, see `Releaser`."""
        is_amqp = self._transport.driver_type == "amqp"
        if not route.exchange:
            return Destination(ELSEWHERE + quote(route.routing_key), None, route.declare, is_amqp)
        known = Known(self._app, route)
        queue = known.queue()
        declare = list(route.declare)
        if known.exchange is not None and isinstance(self._transport, virtual.Transport):
            declare.append(known.exchange)  # its type is known only where it was declared
        return Destination(ELSEWHERE + quote(queue or route.routing_key), None, declare, is_amqp)

    def is_direct(self, route: Route) -> bool:
        """Return whether a route leads to a queue by its name, see `Releaser`."""
        return not route.exchange

    @cached_property
    def _transport(self) -> Any:
        return self._app.connection_for_write().transport

    def send(self, queue: str, message: bytes, producer: Any = None) -> None:
        """Bring one ticket, see `Releaser`."""
        if self._hand_on is not None:
            self._hand_on(queue, message)
            return
        with self._app.producer_or_acquire(_of_kombu(producer)) as held:
            publish_ticket(held, message, self._app.conf.task_publish_retry_policy)


class ListReleaser(KombuReleaser):
    """A releaser for a broker on the gate's own Redis: its queues are lists next to the gate's keys.

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

    def destination(self, route: Route) -> Destination:
        """Return the destination of a route, see `Releaser`."""
        queue = route.routing_key
        declare = [entity for entity in route.declare if not _comes_with_its_list(entity, route)]
        if route.exchange:
            known = Known(self._app, route)
            known.queue()
            declare += [known.exchange] if known.exchange is not None else []
        if route.exchange or declare:
            queue = self._bound(route, declare)
        key = self.list_key(queue, route.priority)
        return Destination(queue_of_list(key), key)

    def is_direct(self, route: Route) -> bool:
        """Return whether a route leads to a queue by its name, see `Releaser`."""
        return not route.exchange and all(_comes_with_its_list(entity, route) for entity in route.declare)

    def _bound(self, route: Route, declare: Sequence[Entity]) -> str:
        """Declare entities and return the one bound queue, from the broker's bindings, as kombu's own publish does."""

        def look() -> list[str]:
            for entity in declare:
                held.maybe_declare(entity)
            return bound_queues(held.channel, route) if route.exchange else [route.routing_key]

        with self._app.producer_or_acquire(_of_kombu(route.producer)) as held:
            queues: list[str] = call_with_retries(held, look, route.retry_policy)
            if not queues and declare:  # the server may have lost its data since this connection declared them
                held.connection.collect()
                held.revive(held.connection.default_channel)
                queues = call_with_retries(held, look, route.retry_policy)
        return one_queue(route, queues)

    def list_key(self, queue: str, priority: Any) -> str:
        """Return the list of a queue at a priority, as kombu names it."""
        try:
            wanted = max(min(int(priority), 9), 0)
        except (TypeError, ValueError):
            wanted = 0
        step = self._steps[bisect(self._steps, wanted) - 1]
        return f"{self._prefix}{queue}{self._separator}{step}" if step else f"{self._prefix}{queue}"

    def send(self, queue: str, message: bytes, producer: Any = None) -> None:
        """Bring one ticket, see `Releaser`."""
        if queue.startswith(ELSEWHERE) or self._hand_on is not None:
            super().send(queue, message, producer)
        else:
            self._store.push(unquote(queue), message)


def _comes_with_its_list(entity: Entity, route: Route) -> bool:
    """Return whether a queue needs no declaration: it is reached by its own name, and a push makes its list."""
    if not isinstance(entity, Queue) or entity.name != route.routing_key or route.exchange or entity.bindings:
        return False
    exchange = entity.exchange
    named_alike = (entity.routing_key or entity.name) == entity.name and exchange.name in ("", entity.name)
    return named_alike and exchange.type == "direct"


def _of_kombu(producer: Any) -> Any:
    """Return a producer of kombu's; None for a stand-in."""
    return producer if isinstance(producer, Producer) else None


def call_with_retries(producer: Any, call: Callable[[], Any], policy: Mapping[str, Any] | None) -> Any:
    """Call with kombu's policy for publishing: after an error, the producer has a new channel.

    Args:
        producer: The one that `call` uses.
        call: To repeat.
        policy: For `Connection.ensure`; None: the call is not repeated.

    Returns:
        The result of the call.

    Raises:
        kombu.exceptions.OperationalError: The policy is used up.
    """
    if policy is None:
        return call()
    connection = producer.connection
    # As kombu does; without it, `ensure` waits for a connection without end.
    connection.transport_options.update(policy)
    return connection.ensure(producer, call, **policy)()


class DeclarationRefused(Exception):
    """A refusal of the broker to declare an entity, which exists there and differs."""

    def __init__(self, entity: Entity, error: Exception) -> None:
        super().__init__(f"{entity!r}: {error!r}")
        self.name: str = entity.name


def publish_ticket(
    producer: Any,
    message: bytes,
    policy: Mapping[str, Any] | None = None,
    patience: float | None = None,
    undeclared: Collection[str] = (),
) -> None:
    """Publish a ticket as its sender would have, below `Producer.publish`, which the send has passed already.

    Args:
        producer: kombu's.
        message: The ticket, with the message attached.
        policy: Of retries, unless the message has one of its own; None: one try.
        patience: Seconds that the broker may take at most, whatever the message says.
        undeclared: Names of entities that are not to be declared.

    Raises:
        DeclarationRefused: The broker refuses a declaration.
        Exception: Any error of the broker's transport.
    """
    payload = loads(message)
    properties = payload["properties"]
    info = properties.pop("delivery_info")
    properties.pop("delivery_tag")
    body = payload["body"]
    if properties.pop("body_encoding", None) == "base64":
        body = b64decode(body)
    priority = properties.pop("priority", None)
    said = payload.get("publish") or {}
    entities = restore_entities(said.get("declare", ()))
    declare = [entity for entity in entities if entity.name not in undeclared]
    if _is_sqs_fifo(producer, info, entities):
        properties |= _of_one_ticket(payload["headers"][HEADER])
    route = {
        "exchange": info.get("exchange") or "",
        "routing_key": info.get("routing_key") or "",
        "mandatory": said.get("mandatory", False),
        "immediate": False,
        **{name: _at_most(said.get(name), patience) for name in ("timeout", "confirm_timeout")},
    }

    def publish() -> None:
        channel = producer.channel
        for entity in declare:
            try:
                producer.maybe_declare(entity)
            except ChannelError as error:
                if str(error.method_name).startswith(("Queue.", "Exchange.")):
                    raise DeclarationRefused(entity, error) from error
                raise  # the answer to an earlier publish
        prepared = channel.prepare_message(
            body, priority, payload["content-type"], payload["content-encoding"], payload["headers"], dict(properties)
        )
        channel.basic_publish(prepared, **route)

    if policy is not None:
        policy = said.get("retry", policy)
    call_with_retries(producer, publish, policy)


def _is_sqs_fifo(producer: Any, info: Mapping[str, Any], entities: Iterable[Entity]) -> bool:
    """Return whether a ticket goes to a FIFO queue of SQS."""
    names = [info.get("routing_key") or "", *(entity.name for entity in entities if isinstance(entity, Queue))]
    has_suffix = any(name.endswith(".fifo") for name in names)
    return has_suffix and producer.connection.transport.driver_type == "sqs"


def _of_one_ticket(ticket: str) -> dict[str, str]:
    """Return the properties of a ticket on a FIFO queue of SQS.

    A message waits there until all before it with the same MessageGroupId are acknowledged, or their visibility timeout
    is over, and one with a known MessageDeduplicationId is dropped. kombu's group is the same for all messages; so one
    run would hold up all others, and that of a killed worker for half an hour. The gate keeps the order by itself.
    """
    name = sha256(ticket.encode()).hexdigest()
    return {"MessageGroupId": name, "MessageDeduplicationId": name}


def _at_most(seconds: float | None, patience: float | None) -> float | None:
    return seconds if seconds is None or patience is None else min(seconds, patience)


def releaser_of(app: Celery, store: Store, server: RedisServer, send: Send | None) -> Releaser:
    """Return the releaser of a gate.

    Args:
        app: The app of the broker that gets the tickets.
        store: Of the gate.
        server: The gate's Redis.
        send: See `KombuReleaser`.
    """
    broker = broker_server(app)
    if broker is None or broker.database != server.database:
        return KombuReleaser(app, send)
    options = dict(app.conf.broker_transport_options or {})
    steps = sorted(int(step) for step in options.get("priority_steps") or (0, 3, 6, 9))
    return ListReleaser(app, send, store, server.prefix, steps, options.get("sep", "\x06\x16"))
