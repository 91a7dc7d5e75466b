"""The broker's message under a chain of runs, and the message of a run that came without one.

A worker that takes its next task stays on its delivery, which is acknowledged when the chain ends. So the prefetch
count stays right, and no worker can hoard tasks.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

from kombu.message import Message
from kombu.serialization import registry
from kombu.utils.json import loads

from celery_groupfifo.gate.clock import now

_JSON = "application/json"


class Delivery:
    """One delivery of the broker.

    Args:
        message: kombu's.
        ack: Acknowledges the message.
    """

    def __init__(self, message: Any, ack: Callable[[], Any]) -> None:
        self.channel = message.channel
        self.tag = message.delivery_tag
        self.since = now()
        self.runs = 1
        self._ack: Callable[[], Any] | None = ack

    @property
    def is_open(self) -> bool:
        """Return whether the message is not acknowledged yet."""
        return self._ack is not None

    def close(self) -> None:
        """Acknowledge the delivery: the chain is over. Further calls do nothing."""
        ack, self._ack = self._ack, None
        if ack is not None:
            ack()


class Unacknowledged:
    """A message for Celery's own error handlers, which must not acknowledge it: its chain does.

    Args:
        message: kombu's.
    """

    def __init__(self, message: Any) -> None:
        self._message = message

    def __getattr__(self, name: str) -> Any:
        return getattr(self._message, name)

    def _nothing(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the run's own outcome tells the gate."""

    ack = reject = requeue = ack_log_error = reject_log_error = _nothing


def decode(raws: Sequence[bytes]) -> list[Any]:
    """Decode messages together: it takes half the time, and equal names in them are one object, which pickles once.

    Returns:
        What kombu's `loads` returns for each; None for those that have to be decoded one by one.
    """
    text = b",".join(raws)
    found: list[Any] = []
    # kombu writes values of other types as objects with this name.
    if b'"__type__"' not in text and b"\\u00" not in text:
        with suppress(ValueError):
            found = json.loads(b"[" + text + b"]")
    return found if len(found) == len(raws) else [None] * len(raws)


def decode_bodies(messages: Sequence[Message], accept: Collection[str] | None) -> None:
    """Decode the bodies of messages together, where kombu would decode each as JSON; others stay as they are.

    Args:
        messages: Not decoded yet.
        accept: Content types that the worker takes.
    """
    ours = accept is not None and _JSON in accept and registry._decoders.get(_JSON) is loads
    if ours and all(each.content_type == _JSON and each.body and type(each.body) is bytes for each in messages):
        for message, body in zip(messages, decode([each.body for each in messages]), strict=True):
            message._decoded_cache = body


class HandedOffMessage(Message):
    """A message that came with the end of another run: there is nothing to acknowledge at the broker.

    Args:
        raw: Its text.
        channel: The broker's.
        decoded: The same, decoded; None: it is decoded here.
    """

    def __init__(self, raw: bytes, channel: Any, decoded: Any = None) -> None:
        payload = loads(raw) if decoded is None else decoded
        properties = payload["properties"]
        body = payload["body"]
        if properties.get("body_encoding") == "base64":
            body = b64decode(body)
        super().__init__(
            body=body,
            channel=channel,
            delivery_tag=properties["delivery_tag"],
            content_type=payload.get("content-type"),
            content_encoding=payload.get("content-encoding"),
            headers=payload.get("headers"),
            properties=properties,
            delivery_info=properties.get("delivery_info"),
            postencode="utf-8",
        )

    def _nothing(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the run's own outcome tells the gate."""

    ack = reject = requeue = ack_log_error = reject_log_error = _nothing
