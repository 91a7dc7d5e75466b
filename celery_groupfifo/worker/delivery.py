"""The broker's message under a chain of runs, and the message of a run that came without one.

A worker that takes its next task stays on the delivery it has: it is acknowledged when the chain ends. So the
prefetch count stays honest, and no worker can hoard.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from time import monotonic
from typing import Any

from celery.utils.log import get_logger
from kombu.message import Message
from kombu.utils.json import loads

from celery_groupfifo.model import HEADER, Ticket

logger = get_logger(__name__)


class Delivery:
    """One delivery of the broker.

    Args:
        message: kombu's.
        ack: Celery's promise to acknowledge it.
        errors: Connection errors of the broker.
    """

    def __init__(self, message: Any, ack: Callable[..., Any], errors: tuple[type[BaseException], ...]) -> None:
        self.channel = message.channel
        self.tag = message.delivery_tag
        self.since = monotonic()
        self.runs = 1
        self._ack, self._errors = ack, errors
        self._open = True

    def close(self) -> None:
        """The chain is over."""
        if self._open:
            self._open = False
            self._ack(logger, self._errors)

    def left_to_celery(self) -> None:
        """Celery acknowledges it itself: it could not read the message."""
        self._open = False


class HandedMessage(Message):
    """A message that came with the end of another run: there is nothing to acknowledge at the broker."""

    def __init__(self, raw: bytes, channel: Any) -> None:
        payload = loads(raw)
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

    @property
    def ticket(self) -> Ticket:
        """What it was handed off with."""
        ticket = Ticket.parse(self.headers[HEADER])
        assert ticket is not None
        return ticket

    def _nothing(self, *args: Any, **kwargs: Any) -> None:
        """The run's own outcome tells the gate."""

    ack = reject = requeue = ack_log_error = reject_log_error = _nothing
