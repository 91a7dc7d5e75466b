"""The only file that touches the insides of kombu's Redis transport."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from kombu.transport import redis, virtual

from celery_groupfifo.keys import queue_of_list
from celery_groupfifo.model import Lists

Channel = Any
"""A channel of kombu's Redis transport."""


def is_redis(channel: Any) -> bool:
    """Whether a channel is kombu's for Redis."""
    return isinstance(channel, redis.Channel)


def consumed_lists(channel: Channel) -> Lists:
    """The lists that a channel's BRPOP names, in its order: priorities first, then the queues' own strategy."""
    queues = channel._queue_cycle.consume(len(channel.active_queues))
    return _lists(channel.global_keyprefix, channel.sep, tuple(channel.priority_steps), tuple(queues))


@lru_cache(maxsize=256)  # asked for each task; the queues take turns, and come round again
def _lists(prefix: str, separator: str, steps: tuple[int, ...], queues: tuple[str, ...]) -> Lists:
    keys = [f"{prefix}{queue}{separator}{step}" if step else prefix + queue for step in steps for queue in queues]
    return tuple((queue_of_list(key), key) for key in keys)


def close_for_sure(channel: Channel) -> None:
    """Let the channel of a broken connection be closed, whatever its BRPOP says.

    kombu first reads the answer to a BRPOP that is out. When Redis is gone that fails, and the channel stays open,
    holding its deliveries. Celery then takes the connection apart and closes the channel once more, which ends
    the worker: "'NoneType' object has no attribute 'hostname'" (kombu 5.7). Reading it once is enough.
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


def served(channel: Channel, queue: str) -> None:
    """A message of `queue` was taken: the next turn is another queue's, as after a BRPOP."""
    channel._queue_cycle.rotate(queue)


def keep_no_copies(channel: Channel, is_ticket: Callable[[str], bool]) -> None:
    """Let kombu count our tickets as deliveries, but keep no copies of them in Redis until they are acknowledged.

    A copy is for the case that its worker is lost. For a ticket the gate knows what to do then: before its begin it
    counts as lost on its way, afterwards it has a lease. The copy costs a round trip when a ticket comes in, and one
    when it is acknowledged; and if it outlived its ticket, it would come back after the visibility timeout.

    Args:
        channel: That consumes.
        is_ticket: Whether a delivery tag is a ticket of the worker's own gate.
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
        elif requeue:  # kombu puts back what it has a copy of
            append(qos.get(tag), tag)
            reject(tag, requeue=True)
        else:
            virtual.QoS.ack(qos, tag)

    appending.groupfifo = True  # type: ignore[attr-defined]
    qos.append, qos.ack, qos.reject = appending, acknowledging, rejecting


def over_prefetch(channel: Channel) -> bool:
    """Whether more deliveries are out than the worker may hold now."""
    qos = channel.qos
    return bool(qos.prefetch_count) and len(qos._delivered) - len(qos._dirty) > qos.prefetch_count
