"""The route of a grouped task's message: to exactly one queue, or the call is refused.

Copies of a task can't be kept in order, so an exchange that copies a message to several queues is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu.entity import Exchange, Queue

from celery_groupfifo.errors import InvalidRoute

Entity = Exchange | Queue


@dataclass(frozen=True, slots=True)
class Route:
    """A route as kombu's producer got it.

    Attributes:
        exchange: The name; empty: the queue is named by the routing key.
        routing_key: Of the message.
        priority: Of the message.
        declare: Entities that a plain send declares before it publishes.
        named: Queues and exchanges that the call was given, declared or not.
        task: The task's name, for errors.
        producer: The one that the call holds.
        retry_policy: Of the call; None: it tries once.
    """

    exchange: str = ""
    routing_key: str = ""
    priority: Any = 0
    declare: Sequence[Entity] = ()
    named: Sequence[Any] = ()
    task: str = ""
    producer: Any = None
    retry_policy: Mapping[str, Any] | None = None


class Known:
    """The exchange of a route and its queues, as an app and a call name them.

    Not every broker can be asked for its bindings. Those that neither the app nor the call names are not known.

    Args:
        app: The app whose `task_queues` count.
        route: Of the call.
    """

    def __init__(self, app: Celery, route: Route) -> None:
        self._route = route
        given = [*route.declare, *route.named]
        queues = [entity for entity in given if isinstance(entity, Queue)]
        self._queues = {queue.name: queue for queue in [*app.amqp.queues.values(), *queues]}
        of_queues = (exchange for queue in self._queues.values() for exchange, _ in _bindings(queue))
        exchanges = [entity for entity in given if isinstance(entity, Exchange)]
        self.exchange: Exchange | None = next(
            (each for each in [*exchanges, *of_queues] if each.name == route.exchange), None
        )

    def queue(self) -> str | None:
        """Return the one queue that gets the message; None: it is not known.

        Raises:
            InvalidRoute: Several queues get a copy.
        """
        route = self._route
        kind = self.exchange.type if self.exchange is not None else None
        if kind == "fanout":
            raise broadcast_error(route, [queue for queue in self._queues.values() if self._is_bound(queue, "fanout")])
        if kind not in _MATCHES:
            return None
        bound = [queue for queue in self._queues.values() if self._is_bound(queue, str(kind))]
        if len(bound) > 1:
            raise several_queues_error(route, [queue.name for queue in bound])
        return bound[0].name if bound else None

    def _is_bound(self, queue: Queue, kind: str) -> bool:
        matches = _MATCHES.get(kind)
        return any(
            exchange.name == self._route.exchange and (matches is None or matches(key, self._route.routing_key))
            for exchange, key in _bindings(queue)
        )


def _bindings(queue: Queue) -> Iterator[tuple[Exchange, str]]:
    if queue.exchange is not None and queue.exchange.name:
        yield queue.exchange, queue.routing_key or ""
    for each in queue.bindings or ():
        if each.exchange is not None:
            yield each.exchange, each.routing_key or ""


def _is_topic(pattern: Sequence[str], words: Sequence[str]) -> bool:
    """Return whether a binding's pattern matches, as in AMQP: `*` is a word, `#` any number of them."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_is_topic(pattern[1:], words[start:]) for start in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _is_topic(pattern[1:], words[1:])


#: For each known type of exchange, whether a binding's key takes a routing key.
_MATCHES = {
    "direct": lambda binding, key: binding == key,
    "topic": lambda binding, key: _is_topic(binding.split("."), key.split(".")),
}


class _Recorder:
    """A stand-in for a virtual channel of kombu, which notes the queues that an exchange delivers to."""

    supports_fanout = True

    def __init__(self, channel: Any, route: Route) -> None:
        self._lookup = channel._lookup
        self.deadletter_queue = channel.deadletter_queue
        self._route = route
        self.queues: list[str] = []

    def _put(self, queue: str, message: Any, **options: Any) -> None:
        self.queues.append(queue)

    def _put_fanout(self, *args: Any, **options: Any) -> None:
        raise broadcast_error(self._route, [])


def bound_queues(channel: Any, route: Route) -> list[str]:
    """Return the queues that kombu would put the message into, from the broker's current bindings.

    Args:
        channel: kombu's, of a virtual transport.
        route: With an exchange.

    Raises:
        InvalidRoute: The exchange is a fanout.
    """
    recorder = _Recorder(channel, route)
    exchange_type = type(channel.typeof(route.exchange))
    exchange_type(recorder).deliver(None, route.exchange, route.routing_key)
    return [queue for queue in recorder.queues if queue]


def one_queue(route: Route, queues: Sequence[str]) -> str:
    """Return the only queue of a list.

    Raises:
        InvalidRoute: There is none, or there are several.
    """
    if not queues:
        raise InvalidRoute(
            f"{route.task} was not sent: no queue is bound to exchange {route.exchange!r} for routing key "
            f"{route.routing_key!r}. Name the queue (queue=…, task_routes), or start a worker that consumes it."
        )
    if len(queues) > 1:
        raise several_queues_error(route, queues)
    return queues[0]


def several_queues_error(route: Route, queues: Sequence[str]) -> InvalidRoute:
    """Return the error for a message that several queues get."""
    return InvalidRoute(
        f"{route.task} was not sent: exchange {route.exchange!r} gives routing key {route.routing_key!r} to "
        f"{len(queues)} queues ({', '.join(sorted(queues))}), and copies of a task can't be kept in order. Use a "
        "routing key that leads to one queue."
    )


def broadcast_error(route: Route, queues: Sequence[Queue]) -> InvalidRoute:
    """Return the error for a message that every worker gets."""
    names = sorted({getattr(queue, "alias", None) or queue.name for queue in queues}) or [route.exchange]
    return InvalidRoute(
        f"{route.task} was not sent: {', '.join(map(repr, names))} is a broadcast queue (fanout exchange "
        f"{route.exchange!r}), and a task that every worker gets can't be ordered. Route it to another "
        "queue (queue=…, task_routes), or broadcast a task without a group."
    )
