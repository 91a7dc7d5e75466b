"""The entry of a publish: the text that kombu would push, open at the ticket's two places."""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from math import ceil
from typing import Any

from amqp.basic_message import Message
from amqp.exceptions import FrameSyntaxError
from amqp.serialization import dumps
from celery import Celery
from celery.utils.time import maybe_iso8601, maybe_make_aware
from kombu.utils.encoding import str_to_bytes
from kombu.utils.json import JSONEncoder

from celery_groupfifo.errors import InvalidOption
from celery_groupfifo.gate.declared import describe_entities
from celery_groupfifo.gate.model import ETA_HEADER, KEY_HEADER, Entry
from celery_groupfifo.gate.releaser import Releaser
from celery_groupfifo.gate.route import Entity, Route
from celery_groupfifo.sending.headers import cleaned
from celery_groupfifo.windows import LONGEST

#: Options of a publish that are stored beside the message, for its ticket's publish.
_REPLAYED = ("mandatory", "timeout", "confirm_timeout")
#: Properties that a transport sets. In a call they are copies from the message that its sender was called with.
_TRANSPORTS = frozenset({"delivery_tag", "delivery_info", "body_encoding"})
#: Parts of a retry policy that are stored.
_POLICY = ("max_retries", "interval_start", "interval_step", "interval_max")

_encode = JSONEncoder().encode


def build_entry(
    app: Celery, releaser: Releaser, key: str, extra: Mapping[str, Any], publish: Mapping[str, Any], route: Route
) -> Entry:
    """Build the entry of one publish.

    Args:
        app: The app, for its clock and timezone.
        releaser: Tells where the ticket will go.
        key: Of the group.
        extra: Headers of our own.
        publish: The arguments of kombu's channel, see producer.py.
        route: Of the publish.

    Raises:
        InvalidRoute: It leads to no queue, or to several.
        InvalidOption: An option of the publish can't hold for a task that waits.
    """
    if publish.get("immediate"):
        raise InvalidOption(
            f"immediate=True does not work for {route.task}: it asks the broker to return a message that no "
            "consumer takes at once, and a task of a group may have to wait. Leave it out."
        )
    destination = releaser.destination(route)
    headers = cleaned(publish["headers"])
    eta = headers.get("eta")
    delay = delay_ms(app, eta)
    # The gate waits for the ETA. `expiration` becomes `expires`, as a broker must not drop a head before a worker sees
    # it.
    headers |= {"eta": None, KEY_HEADER: key, **({ETA_HEADER: eta} if eta else {}), **extra}

    given = {name: value for name, value in publish["properties"].items() if name not in _TRANSPORTS}
    properties = {**given, "body_encoding": "base64"}
    if route.priority is not None or destination.list_key is not None:  # a virtual transport of kombu always has one
        properties["priority"] = route.priority or 0
    if (ttl := properties.pop("expiration", None)) is not None and not headers.get("expires"):
        headers["expires"] = (app.now() + timedelta(milliseconds=int(ttl))).isoformat()
    front = f"{_open({'exchange': route.exchange, 'routing_key': route.routing_key})}, {_open(properties)}, "
    rest: dict[str, Any] = {
        "body": b64encode(str_to_bytes(publish["body"])).decode(),
        "content-encoding": publish["content_encoding"],
        "content-type": publish["content_type"],
    }
    if destination.is_amqp:
        _check_amqp(route.task, {**properties, "application_headers": headers})
    if destination.list_key is None and (replayed := _replayed(app, publish, route, destination.declare)):
        rest["publish"] = replayed
    front_bytes = front.encode()
    return Entry(
        id=headers["id"],
        key=key,
        queue=destination.queue,
        list_key=destination.list_key,
        cut=len(front_bytes),
        message=front_bytes + f"{_open(headers)}, {_open(rest)}".encode(),
        delay=delay,
    )


def _check_amqp(task: str, properties: Mapping[str, Any]) -> None:
    """Refuse values that AMQP can't carry: a plain send fails at the call, and a ticket would fail for ever.

    Raises:
        InvalidOption: The message names it.
    """
    for name, form in Message.PROPERTIES:
        value = properties.get(name)
        if value is None:
            continue
        try:
            dumps(form, [value])
        except (struct.error, FrameSyntaxError, TypeError, ValueError) as error:
            raise InvalidOption(f"{task} was not sent: AMQP can't carry {name}={value!r}: {error}.") from error


def _replayed(app: Celery, publish: Mapping[str, Any], route: Route, declare: Sequence[Entity]) -> dict[str, Any]:
    """Return what the ticket's publisher has to know beside the message; usual values are left out."""
    said: dict[str, Any] = {name: publish[name] for name in _REPLAYED if publish.get(name)}
    if described := describe_entities(declare):
        said["declare"] = described
    usual = dict(app.conf.task_publish_retry_policy) if app.conf.task_publish_retry else None
    policy = None if route.retry_policy is None else {**route.retry_policy}
    if policy != usual:
        said["retry"] = policy and {name: policy[name] for name in _POLICY if name in policy}
    return said


def _open(mapping: Mapping[str, Any]) -> str:
    """Return the JSON of a mapping without its opening brace."""
    return _encode(mapping)[1:]


def delay_ms(app: Celery, eta: datetime | str | None) -> int:
    """Return the milliseconds until an ETA, by an app's timezone where it has none; 0 when it is over, or None."""
    if not eta:
        return 0
    return milliseconds_until(maybe_make_aware(maybe_iso8601(eta), app.timezone))


def milliseconds_until(when: datetime) -> int:
    """Return the milliseconds until a time, rounded up; 0 when it is over, and `LONGEST` at most."""
    return min(max(ceil((when - datetime.now(timezone.utc)).total_seconds() * 1000), 0), LONGEST * 1000)
