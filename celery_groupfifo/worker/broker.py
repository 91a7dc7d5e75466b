"""The internals of kombu's Redis transport that a worker uses or changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from kombu.transport import redis, virtual

from celery_groupfifo.gate.keys import queue_of_list
from celery_groupfifo.gate.model import Lists

Channel = Any
"""A channel of kombu's Redis transport."""

#: Up to so many lists are all given to every finish; of more than these, a choice.
FEW = 8


def is_redis(channel: Any) -> bool:
    """Return whether a channel is kombu's for Redis."""
    return isinstance(channel, redis.Channel)


class ConsumedLists:
    """The broker's lists that a worker consumes, and the choice of them for a finish.

    A script's time grows with every list that it is given, also with empty ones, and each queue has a list for each of
    four priorities. So of many lists a finish gets only its own queue's, those that had a message lately, and one of
    the others, which take turns. A message in any other waits for its turn, or for kombu's BRPOP, which names all.

    The order is the broker's: priorities first, then the order of the queues (`queue_order_strategy`). kombu's own
    cycle belongs to the main loop; threads share this one.

    Args:
        consumer: Celery's.
        takes: True when the scripts know the broker's lists; False: there are none.
    """

    def __init__(self, consumer: Any, takes: bool) -> None:
        self._consumer, self._takes = consumer, takes
        self._lock = threading.RLock()  # reentrant: a signal handler may end runs while its thread holds it
        self._cycle: Any = None
        self._queues: tuple[str, ...] = ()
        self._recent: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._next = 0

    @property
    def _channel(self) -> Any:
        """Return the consuming channel; None when the broker has no lists, or there is no connection."""
        tasks = self._consumer.task_consumer if self._takes else None
        return tasks.channel if tasks is not None and is_redis(tasks.channel) else None

    def all(self) -> Lists:
        """Return all lists, in the broker's order."""
        channel = self._channel
        if channel is None:
            return ()
        with self._lock:
            queues = self._ordered(channel)
        return _lists(channel.global_keyprefix, channel.sep, tuple(channel.priority_steps), tuple(queues))

    def beside(self, message: Any) -> Lists:
        """Return the lists for the finish of a task, in the broker's order.

        Args:
            message: The message of the task, whose successor is likely to go to the same list.
        """
        channel = self._channel
        if channel is None:
            return ()
        steps = tuple(channel.priority_steps)
        with self._lock:
            queues = self._ordered(channel)
            many = len(steps) * len(queues)
            if many > FEW:
                self._next = (self._next + 1) % many
                probe = queues[self._next // len(steps)], steps[self._next % len(steps)]
                wanted = {_list_of(channel, message), probe, *self._recent}
        if many <= FEW:
            return _lists(channel.global_keyprefix, channel.sep, steps, tuple(queues))
        places = {name: place for place, name in enumerate(queues)}
        chosen = sorted((step, places[name], name) for name, step in wanted if name in places)
        return tuple(_list(channel.global_keyprefix, channel.sep, step, name) for step, _, name in chosen)

    def note(self, message: Any) -> None:
        """Note the queue of a message: the next turn is another queue's, as after a BRPOP."""
        channel = self._channel
        if channel is None or (len(self._queues) == 1 and len(channel.priority_steps) <= FEW):
            return
        came_from = _list_of(channel, message)
        with self._lock:
            if self._cycle is not None:
                self._cycle.rotate(came_from[0])
            self._recent[came_from] = None
            self._recent.move_to_end(came_from)
            if len(self._recent) > FEW:
                self._recent.popitem(last=False)

    def _ordered(self, channel: Channel) -> list[str]:
        active = tuple(channel.active_queues)
        if self._cycle is None or active != self._queues:
            cycle = type(channel._queue_cycle)()
            cycle.update(active)
            self._cycle, self._queues = cycle, active
        return list(self._cycle.consume(len(active)))


def _list_of(channel: Channel, message: Any) -> tuple[str, int]:
    """Return the queue of a message, and kombu's step for its priority."""
    steps = channel.priority_steps
    priority = message.properties.get("priority")
    wanted = priority if isinstance(priority, int) else 0
    step = max((step for step in steps if step <= wanted), default=steps[0])
    info = message.delivery_info or {}
    return _queue_of(channel, info.get("exchange") or "", info.get("routing_key") or ""), step


def _queue_of(channel: Channel, exchange: str, routing_key: str) -> str:
    """Return the queue of a route from this channel's declarations, without asking the broker."""
    if not exchange:
        return routing_key
    state, types = getattr(channel.connection, "state", None), channel.exchange_types
    known = state.exchanges.get(exchange) if state is not None else None
    if not known or not types:  # declared by another channel, or the channel is closed by now
        return routing_key
    queues = types[known["type"]].lookup(known["table"], exchange, routing_key, None)
    return str(next(iter(queues), routing_key))


@lru_cache(maxsize=256)  # called for each task; the queues take turns, so the same arguments come again
def _lists(prefix: str, separator: str, steps: tuple[int, ...], queues: tuple[str, ...]) -> Lists:
    return tuple(_list(prefix, separator, step, queue) for step in steps for queue in queues)


@lru_cache(maxsize=4096)
def _list(prefix: str, separator: str, step: int, queue: str) -> tuple[str, str]:
    key = f"{prefix}{queue}{separator}{step}" if step else prefix + queue
    return queue_of_list(key), key


def close_for_sure(channel: Channel) -> None:
    """Make sure that the channel of a broken connection is closed, whether or not its BRPOP is answered.

    kombu first reads the answer to a pending BRPOP. When Redis is gone that fails, and the channel stays open, holding
    its deliveries. Celery then takes the connection apart and closes the channel once more, which ends the worker:
    "'NoneType' object has no attribute 'hostname'" (kombu 5.7). A close that failed is repeated once, as the answer
    is read only the first time.
    """
    close = channel.close
    if getattr(close, "groupfifo", False):
        return

    def closing() -> None:
        try:
            close()
        except channel.connection_errors:
            if channel.closed:
                raise
            close()

    closing.groupfifo = True  # type: ignore[attr-defined]
    channel.close = closing


def pass_over_others(channel: Channel) -> None:
    """Let kombu ignore sockets that are not its own.

    kombu shares the poller of Celery's event loop, which has our sockets, too. While a reconnected worker asks its
    neighbours, kombu waits there by itself; before 5.7 an unknown socket is a KeyError, which ends the worker. The loop
    reads our sockets afterwards.
    """
    cycle = channel.connection.cycle
    for name in ("on_readable", "handle_event"):
        method = getattr(cycle, name)
        if not getattr(method, "groupfifo", False):
            setattr(cycle, name, _of_its_own(cycle, method))


def _of_its_own(cycle: Any, method: Callable[..., Any]) -> Callable[..., Any]:
    def own(fileno: int, *event: Any) -> Any:
        return method(fileno, *event) if fileno in cycle._fd_to_chan else None

    own.groupfifo = True  # type: ignore[attr-defined]
    return own


def keep_no_copies(channel: Channel, is_ticket: Callable[[str], bool]) -> None:
    """Let kombu count our tickets as deliveries, but keep no copies of them in Redis until they are acknowledged.

    A copy is for the case that its worker is lost. A ticket needs none: before its begin it counts as lost on its way,
    afterwards it has a lease. The copy costs a round trip when a ticket comes in, and one when it is acknowledged; and
    if it outlived its ticket, it would come back after the visibility timeout.

    Args:
        channel: The consuming one.
        is_ticket: Returns whether a delivery tag is a ticket of the worker's own gate.
    """
    qos = channel.qos
    append, ack, reject = qos.append, qos.ack, qos.reject
    if getattr(append, "groupfifo", False):
        return

    def appending(message: Any, tag: str) -> None:
        if is_ticket(tag):
            virtual.QoS.append(qos, message, tag)
        else:
            append(message, tag)

    def acknowledging(tag: str) -> None:
        if is_ticket(tag):
            virtual.QoS.ack(qos, tag)
        else:
            ack(tag)

    def rejecting(tag: str, requeue: bool = False) -> None:
        if not is_ticket(tag):
            reject(tag, requeue=requeue)
        elif requeue:  # kombu can only put back a message that it has a copy of
            append(qos.get(tag), tag)
            reject(tag, requeue=True)
        else:
            virtual.QoS.ack(qos, tag)

    appending.groupfifo = True  # type: ignore[attr-defined]
    qos.append, qos.ack, qos.reject = appending, acknowledging, rejecting


def over_prefetch(channel: Channel) -> bool:
    """Return whether the worker has more deliveries than its prefetch count."""
    qos = channel.qos
    return bool(qos.prefetch_count) and len(qos._delivered) - len(qos._dirty) > qos.prefetch_count
