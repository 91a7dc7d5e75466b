"""A kombu producer whose messages end at the gate.

Instrumentation hooks the one place that every message of a plain task passes: `Producer.publish`. A grouped task
passes it, too, once per send. kombu itself serializes, compresses and fills in its defaults there, as for a plain
task; only the channel at the end is the gate's. The ticket that goes out later does not pass it again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from kombu.messaging import Producer

Published = dict[str, Any]
"""The arguments of a channel's publish: message, route, and `declare`, the entities to be declared before."""

Take = Callable[[Published], None]


def publish_through(producer: Any, take: Take, body: Any, options: Mapping[str, Any]) -> None:
    """Call the `publish` of a producer's class, with a channel that takes the message.

    Args:
        producer: kombu's, of any class; it is left as it is, and its connection is not used.
        take: Called with the message that kombu has made.
        body: Not serialized.
        options: For `Producer.publish`.

    Raises:
        kombu.exceptions.EncodeError: The body can't be serialized.
    """
    if not isinstance(producer, Producer):  # a stand-in in a test, for example
        producer = Producer(None)
    kind: Any = type(producer)
    kind = _at_gate(kind)
    twin = object.__new__(kind)
    twin.__dict__ = producer.__dict__  # shared, so that a subclass' counters go on counting
    twin.gate_channel = _Channel(producer, take)
    # The gate has the retry policy: kombu's would give the twin a channel of the broker, and publish there.
    kind.publish(twin, body, **{**options, "retry": False})


class _Channel:
    """A channel for one message."""

    def __init__(self, producer: Any, take: Take) -> None:
        self._producer, self._take = producer, take
        self.declared: list[Any] = []

    @property
    def connection(self) -> Any:
        """Return the transport; kombu asks for it where a producer was made with a channel."""
        return self._producer.channel.connection

    def prepare_message(
        self,
        body: Any,
        priority: Any = None,
        content_type: str | None = None,
        content_encoding: str | None = None,
        headers: Any = None,
        properties: Any = None,
    ) -> Published:
        return {
            "body": body,
            "priority": priority,
            "content_type": content_type,
            "content_encoding": content_encoding,
            "headers": headers,
            "properties": properties,
        }

    def basic_publish(self, message: Published, **route: Any) -> None:
        self._take({**message, **route, "declare": self.declared})


_no_batch = threading.local()


class _AtGate:
    """The mixin for the class of a producer."""

    __slots__ = ()
    gate_channel: _Channel

    channel = property(lambda self: self.gate_channel, lambda self, channel: None)
    #: kombu 5.7: without it, a batch that is open on the producer would take the message to the broker.
    _batch_local = property(lambda self: _no_batch)

    def maybe_declare(self, entity: Any, *args: Any, **kwargs: Any) -> None:
        """Keep an entity to be declared: it is not decided yet where the message goes."""
        if entity:
            self.gate_channel.declared.append(entity)


@lru_cache(maxsize=64)
def _at_gate(kind: Any) -> Any:
    return type(kind.__name__, (_AtGate, kind), {"__slots__": ("gate_channel",)})
