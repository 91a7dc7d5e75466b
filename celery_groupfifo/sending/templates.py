"""Templates for the entries of many calls: Celery composes the first one of a kind, later ones fill in its template.

A kind is a task with the same options. Within it only the ids, the arguments, their shown form, the group's key and the
time of an ETA differ, so nothing else is worked out again. An unusual call goes Celery's own way, see usual.py:
receivers of signals, routers or an overridden method may change its message.
"""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, NamedTuple

from celery import Celery
from celery.utils import time as celery_time
from celery.utils.saferepr import saferepr
from celery.utils.time import maybe_make_aware
from kombu.entity import Queue
from kombu.utils.json import JSONEncoder

from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import ETA_HEADER, KEY_HEADER, Entry
from celery_groupfifo.gate.records import StoredEntry
from celery_groupfifo.sending.context import Parking, continued
from celery_groupfifo.sending.fair import fair_of
from celery_groupfifo.sending.grouping import SeveralKeys, checked_key, group_key
from celery_groupfifo.sending.identity import dedupe_of
from celery_groupfifo.sending.message import milliseconds_until
from celery_groupfifo.sending.options import KEY
from celery_groupfifo.sending.order import order_of

#: Types of arguments that `celery.utils.saferepr` shows without a look inside.
_PLAIN = frozenset({str, int, float, bool, type(None)})
_encode = JSONEncoder().encode
#: Celery 5.5 and 5.6 add a countdown by the clock on the wall.
_later: Callable[[datetime, float], datetime] = getattr(
    celery_time, "add_seconds_to_datetime", lambda when, seconds: when + timedelta(seconds=seconds)
)
_EMBED = '{"callbacks": null, "errbacks": null, "chain": null, "chord": null}'
_OPEN = {name: f"\0{name}\0" for name in ("id", "root", "parent", "reply_to", "key", "args", "kwargs", "eta", "body")}


class Call(NamedTuple):
    """One call of a task.

    Attributes:
        task: The task.
        args: Positional arguments.
        kwargs: Keyword arguments.
        options: The others of `apply_async`.
        parent: The task whose run makes the call; None outside of runs.
    """

    task: Any
    args: tuple[Any, ...] | list[Any]
    kwargs: dict[str, Any]
    options: Mapping[str, Any]
    parent: Any = None


class Template:
    """The message of a kind, with open places for the parts that differ.

    Args:
        app: The app that sends.
        call: The first one of the kind.
        parking: Its entry as Celery composed it, and its route.

    Attributes:
        ignored: True when the results of the kind are ignored.
        policy: `retry` and `retry_policy` of its publishes.
        lasts: True when later messages of the kind go where the first one went, without a look at the broker.
    """

    def __init__(self, app: Celery, call: Call, parking: Parking) -> None:
        self._app, entry, route = app, parking.entry, parking.route
        self._queue, self._list_key = entry.queue, entry.list_key
        self._on_duplicate, self._bound = entry.on_duplicate, entry.bound
        self._limits, self._reserves = entry.limits, entry.reserves
        self._dedupe = entry.dedup and dedupe_of(call.task, {}, entry.on_duplicate, gate_of(app).settings)
        self._awaited, self._is_fair = entry.awaited, entry.fair != ""
        self._order = order_of(call.task, call.task.name, {}, gate_of(app).settings) if entry.order else None
        # A setting since Celery 5.7; before it, the default of `saferepr`.
        self._size, self._levels = app.amqp.argsrepr_maxsize, app.conf.get("task_repr_maxlevels", 3)
        self._kwargs_size = app.amqp.kwargsrepr_maxsize
        self._zone = app.timezone
        named = [each for each in (*route.declare, *route.named) if isinstance(each, Queue)]
        self._declared = list({queue.name: queue for queue in named}.items())
        self.lasts = gate_of(app).releaser.is_direct(route)
        self.policy = {"retry": route.retry_policy is not None, "retry_policy": route.retry_policy}
        message = json.loads(StoredEntry("", quote(""), "", entry.cut, entry.message).whole())
        properties, headers = message["properties"], message["headers"]
        del properties["delivery_tag"]
        info = properties.pop("delivery_info")
        self.ignored: bool = headers["ignore_result"]
        self._is_timed = ETA_HEADER in headers
        if headers["expires"]:
            raise ValueError("each call of it expires at another time")
        _check_ids(headers, call)
        headers |= {
            "id": _OPEN["id"],
            "root_id": _OPEN["root"],
            "argsrepr": _OPEN["args"],
            "kwargsrepr": _OPEN["kwargs"],
            KEY_HEADER: _OPEN["key"],
            **({"parent_id": _OPEN["parent"]} if call.parent else {}),
            **({ETA_HEADER: _OPEN["eta"]} if self._is_timed else {}),
        }
        if properties["reply_to"] == app.thread_oid:
            properties["reply_to"] = _OPEN["reply_to"]
        properties["correlation_id"] = _OPEN["id"]
        self._front = _opened(f"{_encode(info)[1:]}, {_encode(properties)[1:]}, ")
        rest = {name: message[name] for name in message if name not in ("properties", "headers")}
        self._back = _opened(f"{_encode(headers)[1:]}, {_encode({**rest, 'body': _OPEN['body']})[1:]}")

    def fits(self, queues: dict[str, Any]) -> bool:
        """Return whether the queues of the kind are still among the app's `queues`."""
        return all(queues.get(name) is queue for name, queue in self._declared)

    def entry(self, call: Call, when: datetime | None = None) -> Entry:
        """Return the entry of one more call.

        Args:
            call: Of the same kind.
            when: Its ETA; None: from its options.

        Raises:
            Exception: The call is wrong in some way.
        """
        task, args, kwargs, options, parent = call
        if task.typing and (check := getattr(task, "__header__", None)) is not None:
            check(*args, **kwargs)
        task_id = options.get("task_id") or new_id()
        if continued(task_id) is not None:
            raise ValueError("the continuation of a run is no copy of anything")
        key = checked_key(options[KEY], task.name) if KEY in options else group_key(task, task.name, args, kwargs)
        if isinstance(key, SeveralKeys):
            raise ValueError("only Celery's way parks a call with several keys")
        body = f"[{_encode(args)}, {_encode(kwargs) if kwargs else '{}'}, {_EMBED}]"
        name = quoted(task_id)
        values = {
            "id": name,
            "root": name,
            "reply_to": quoted(self._app.thread_oid),
            "key": quoted(key),
            "args": quoted(shown(args, self._size, self._levels)),
            "kwargs": quoted(saferepr(kwargs, self._kwargs_size, self._levels)) if kwargs else '"{}"',
            "body": f'"{b64encode(body.encode()).decode()}"',
        }
        if parent:
            root, parent_id = lineage(parent)
            values |= {"root": _encode(root), "parent": _encode(parent_id)}
        delay = 0
        if self._is_timed:
            when = when or self._due(options)
            values["eta"] = quoted(when.isoformat())
            delay = milliseconds_until(maybe_make_aware(when, self._zone))
            if self._order is not None and delay > 0:
                raise ValueError("a call with an order value has no ETA")
        front = self._front % values
        message = (front + self._back % values).encode()
        place = self._queue, self._list_key
        entry = Entry(task_id, key, *place, len(front), message, delay, self._on_duplicate, bound=self._bound)
        entry.limits, entry.reserves = self._limits, self._reserves
        if self._dedupe is not None:
            entry.dedup = self._dedupe.identity(task, task.name, args, kwargs, task_id)
            entry.awaited = self._awaited
        if self._order is not None:
            entry.order, entry.delay = self._order.value(task, task.name, args, kwargs), self._order.window
        if self._is_fair:
            entry.fair = fair_of(task, task.name, args, kwargs, {}, gate_of(self._app).settings)
        return entry

    def _due(self, options: Mapping[str, Any]) -> datetime:
        """Return the ETA of a call, as Celery does."""
        if "eta" in options:
            eta: datetime = options["eta"]
            return eta
        return _later(datetime.now(self._zone), options["countdown"])


def new_id() -> str:
    """Return a new id of a task: a random UUID, as Celery's are, in a third of the time."""
    number = bytearray(os.urandom(16))
    number[6] = number[6] & 0x0F | 0x40
    number[8] = number[8] & 0x3F | 0x80
    text = number.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _check_ids(headers: Mapping[str, Any], call: Call) -> None:
    """Check that a message has the ids that a template fills in.

    Raises:
        ValueError: It has others.
    """
    root, parent = lineage(call.parent) if call.parent else (headers["id"], None)
    if (headers["root_id"], headers["parent_id"]) != (root, parent):
        raise ValueError("it has ids of its own")


def lineage(parent: Any) -> tuple[Any, Any]:
    """Return the ids of the root and the parent of what a task's run sends."""
    request = parent.request
    return request.root_id or request.id, request.id


def shown(args: tuple[Any, ...] | list[Any], size: int, levels: int) -> str:
    """Return arguments as `saferepr` shows them; that takes ten times as long for a few plain values."""
    if type(args) is tuple and len(args) > 1:
        text = f"({', '.join(map(_word, args))})" if _PLAIN.issuperset(map(type, args)) else ""
        if 0 < len(text) < size:
            return text
    return str(saferepr(args or (), size, levels))


def _word(value: Any) -> str:
    return "'" + value.replace("'", "\\'") + "'" if type(value) is str else str(value)


def _opened(text: str) -> str:
    """Return JSON whose open places are written for the `%` operator."""
    text = text.replace("%", "%%")
    for name, mark in _OPEN.items():
        text = text.replace(_encode(mark), f"%({name})s")
    return text


def template_of(app: Celery, call: Call, parking: Parking) -> Template | None:
    """Return the template of a kind; None when it can't reproduce the entry it was made from.

    Args:
        app: The app that sends.
        call: The first one of the kind.
        parking: Its entry and its route.
    """
    entry = parking.entry
    try:
        template = Template(app, call, parking)
        again = template.entry(call._replace(options={**call.options, "task_id": entry.id}), _eta_of(entry))
    except Exception:  # a message of the user's own kind may break anything here; Celery's way needs no template
        return None
    again.delay = entry.delay  # a little time has passed
    return template if again == entry else None


def _eta_of(entry: Entry) -> datetime | None:
    eta = StoredEntry("", quote(""), "", entry.cut, entry.message).headers().get(ETA_HEADER)
    return None if eta is None else datetime.fromisoformat(eta)
