"""From the arguments of a publish to an entry: the text that kombu would push, open at the ticket's two places."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timezone
from math import ceil
from typing import Any

from celery import Celery
from celery.utils.time import maybe_iso8601, maybe_make_aware
from kombu.compression import compress
from kombu.entity import Exchange, maybe_delivery_mode
from kombu.serialization import dumps as serialize
from kombu.utils.encoding import str_to_bytes
from kombu.utils.json import JSONEncoder

from celery_groupfifo.headers import cleaned
from celery_groupfifo.model import ETA_HEADER, KEY_HEADER, Entry
from celery_groupfifo.release import Releaser

#: What `Producer.publish` takes for itself; anything else is a property of the message.
_OWN = frozenset(
    {"routing_key", "exchange", "delivery_mode", "mandatory", "immediate", "priority", "declare", "headers"}
    | {"content_type", "content_encoding", "serializer", "compression", "expiration"}
    | {"retry", "retry_policy", "timeout", "confirm_timeout"}
    | {"delivery_tag", "delivery_info", "body_encoding"}  # of the message that a caller was called with
)


_encode = JSONEncoder().encode


def build_entry(
    app: Celery, releaser: Releaser, body: Any, key: str, extra: Mapping[str, Any], publish: Mapping[str, Any]
) -> Entry:
    """Build the entry of one publish.

    Args:
        app: Whose clock and timezone count.
        releaser: Knows where the ticket will go.
        body: Of the message, not serialized.
        key: Of the group.
        extra: Headers of our own.
        publish: Keyword arguments of `Producer.publish`.

    Raises:
        kombu.exceptions.EncodeError: The body can't be serialized; nothing is parked then.
    """
    headers = cleaned(publish["headers"])
    eta = headers.get("eta")
    delay = _delay_ms(app, eta)
    # The gate waits for the ETA. `expiration` is left out: a broker must not drop a head that nobody saw.
    headers |= {"eta": None, KEY_HEADER: key, **({ETA_HEADER: eta} if eta else {}), **extra}

    content_type, content_encoding, data = serialize(body, serializer=publish.get("serializer"))
    if publish.get("compression"):
        data, headers["compression"] = compress(data, publish["compression"])

    exchange = publish.get("exchange") or ""
    name = exchange.name if isinstance(exchange, Exchange) else exchange
    routing_key, priority = publish.get("routing_key") or "", publish.get("priority") or 0
    properties = {k: v for k, v in publish.items() if k not in _OWN}
    properties |= {
        "delivery_mode": maybe_delivery_mode(publish.get("delivery_mode") or Exchange.delivery_mode or 2),
        "priority": priority,
        "body_encoding": "base64",
    }
    front = f"{_open({'exchange': name, 'routing_key': routing_key})}, {_open(properties)}, "
    rest = {
        "body": b64encode(str_to_bytes(data)).decode(),
        "content-encoding": content_encoding,
        "content-type": content_type,
    }
    front_bytes = front.encode()
    queue, list_key = releaser.place(name, routing_key, priority)
    return Entry(
        id=headers["id"],
        key=key,
        queue=queue,
        list_key=list_key,
        cut=len(front_bytes),
        message=front_bytes + f"{_open(headers)}, {_open(rest)}".encode(),
        delay=delay,
    )


def _open(mapping: Mapping[str, Any]) -> str:
    """JSON of a mapping without its opening brace."""
    return _encode(mapping)[1:]


def _delay_ms(app: Celery, eta: Any) -> int:
    if not eta:
        return 0
    when = maybe_make_aware(maybe_iso8601(eta), app.timezone)
    seconds: float = (when - datetime.now(timezone.utc)).total_seconds()
    return max(ceil(seconds * 1000), 0)
