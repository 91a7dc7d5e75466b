"""Templates for the entries of many calls: Celery composes the first one of a kind, later ones fill in its template.

A kind is a task with the same options. Within it only the id, the arguments, their shown form and the group's key
differ, so nothing else is worked out again. An unusual call goes Celery's own way, one by one: receivers of signals,
routers or an overridden method may change its message.
"""

from __future__ import annotations

import json
from base64 import b64encode
from types import FunctionType
from typing import Any

from celery import Celery, canvas, signals
from celery.app import amqp as celery_amqp
from celery.app import base, routes
from celery.app import task as celery_task
from celery.canvas import Signature
from celery.utils import uuid
from celery.utils.saferepr import saferepr
from kombu import messaging
from kombu.serialization import registry
from kombu.utils.json import JSONEncoder
from kombu.utils.json import dumps as kombu_dumps

from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import KEY_HEADER, Entry
from celery_groupfifo.gate.records import StoredEntry
from celery_groupfifo.sending import publish
from celery_groupfifo.sending.context import continued
from celery_groupfifo.sending.grouping import checked_key, group_key
from celery_groupfifo.sending.options import KEY
from celery_groupfifo.sending.publish import GroupSender

#: Options that a usual call may have, and the type that they must have.
_KNOWN = {"task_id": str, KEY: str, "queue": str, "priority": int}
#: Types of arguments that `celery.utils.saferepr` shows without a look inside.
_PLAIN = frozenset({str, int, float, bool, type(None)})
_encode = JSONEncoder().encode

_Kind = tuple[Any, ...]


class Composer:
    """A maker of the entries of one batch.

    Args:
        app: The app that sends.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._usual = _sends_as_celery_does(app)
        self._templates: dict[_Kind, _Template | None] = {}

    def compose(self, signature: Signature) -> tuple[Entry, bool] | None:
        """Return the entry of a call, and whether its result is ignored; None when it has to go Celery's way.

        A call that fails here goes Celery's way, too, and fails there with its proper error.
        """
        kind = self._kind(signature)
        template = None if kind is None else self._templates.get(kind)
        if template is None:
            return None
        try:
            return template.entry(signature), template.ignored
        except Exception:  # Celery's way has the same error, with its own words
            return None

    def learn(self, signature: Signature, entry: Entry) -> None:
        """Keep an entry that Celery composed as the template of its kind, if others can be filled into it."""
        kind = self._kind(signature)
        if kind is not None and kind not in self._templates:
            self._templates[kind] = _learned(self._app, signature, entry)

    def _kind(self, signature: Signature) -> _Kind | None:
        options = signature.options
        if not self._usual or _anybody_listens():
            return None
        for name, value in options.items():
            if type(value) is not _KNOWN.get(name) or value == "":
                return None
        if type(signature.args) not in (tuple, list) or type(signature.kwargs) is not dict:
            return None
        try:
            task = signature.type
        except KeyError:  # the task's code is not loaded here
            return None
        return task, KEY in options, options.get("queue"), options.get("priority")


class _Template:
    """The message of a kind, with open places for the parts that differ."""

    def __init__(self, app: Celery, task: Any, entry: Entry) -> None:
        self._task, self._queue, self._list_key = task, entry.queue, entry.list_key
        # A setting since Celery 5.7; before it, the default of `saferepr`.
        self._size, self._levels = app.amqp.argsrepr_maxsize, app.conf.get("task_repr_maxlevels", 3)
        self._kwargs_size = app.amqp.kwargsrepr_maxsize
        message = json.loads(StoredEntry("", quote(""), "", entry.cut, entry.message).whole())
        properties, headers = message["properties"], message["headers"]
        del properties["delivery_tag"]
        info = properties.pop("delivery_info")
        self.ignored: bool = headers["ignore_result"]
        self.timed = bool(headers["eta"] or headers["expires"] or entry.delay)
        if headers["root_id"] == headers["id"]:
            headers["root_id"] = _OPEN["id"]
        headers |= {
            "id": _OPEN["id"],
            "argsrepr": _OPEN["args"],
            "kwargsrepr": _OPEN["kwargs"],
            KEY_HEADER: _OPEN["key"],
        }
        properties["correlation_id"] = _OPEN["id"]
        self._front = _opened(f"{_encode(info)[1:]}, {_encode(properties)[1:]}, ")
        rest = {name: message[name] for name in message if name not in ("properties", "headers")}
        self._back = _opened(f"{_encode(headers)[1:]}, {_encode({**rest, 'body': _OPEN['body']})[1:]}")

    def entry(self, signature: Signature) -> Entry:
        """Return the entry of one more call.

        Raises:
            Exception: The call is wrong in some way.
        """
        task, args, kwargs, options = self._task, signature.args, signature.kwargs, signature.options
        if task.typing:
            task.__header__(*args, **kwargs)
        task_id = options.get("task_id") or uuid()
        if continued(task_id) is not None:
            raise ValueError("the continuation of a run is no copy of anything")
        key = checked_key(options[KEY], task.name) if KEY in options else group_key(task, task.name, args, kwargs)
        body = f"[{_encode(args)}, {_encode(kwargs)}, {_EMBED}]"
        values = {
            "id": _encode(task_id),
            "key": _encode(key),
            "args": _encode(shown(args, self._size, self._levels)),
            "kwargs": _encode(saferepr(kwargs, self._kwargs_size, self._levels)) if kwargs else '"{}"',
            "body": f'"{b64encode(body.encode()).decode()}"',
        }
        front = self._front % values
        message = (front + self._back % values).encode()
        return Entry(task_id, key, self._queue, self._list_key, len(front), message)


def shown(args: tuple[Any, ...] | list[Any], size: int, levels: int) -> str:
    """Return arguments as `saferepr` shows them; that takes ten times as long for a few plain values."""
    if type(args) is tuple and len(args) > 1:
        text = f"({', '.join(map(_word, args))})" if _PLAIN.issuperset(map(type, args)) else ""
        if 0 < len(text) < size:
            return text
    return str(saferepr(args or (), size, levels))


def _word(value: Any) -> str:
    return "'" + value.replace("'", "\\'") + "'" if type(value) is str else str(value)


_EMBED = '{"callbacks": null, "errbacks": null, "chain": null, "chord": null}'
_OPEN = {name: f"\0{name}\0" for name in ("id", "key", "args", "kwargs", "body")}


def _opened(text: str) -> str:
    """Return JSON whose open places are written for the `%` operator."""
    text = text.replace("%", "%%")
    for name, mark in _OPEN.items():
        text = text.replace(_encode(mark), f"%({name})s")
    return text


def _learned(app: Celery, signature: Signature, entry: Entry) -> _Template | None:
    """Return the template of a kind; None when it can't reproduce the entry it was made from."""
    task = signature.type
    if not all(_is_celerys(getattr(task, name), celery_task) for name in ("apply_async", "shadow_name")):
        return None
    try:
        template = _Template(app, task, entry)
        again = template.entry(signature.clone(task_id=entry.id))
    except Exception:  # a message of the user's own kind may break anything here; Celery's way needs no template
        return None
    return template if again == entry and not template.timed else None


def _anybody_listens() -> bool:
    return bool(
        signals.before_task_publish.receivers or signals.after_task_publish.receivers or signals.task_sent.receivers
    )


def _sends_as_celery_does(app: Celery) -> bool:
    """Return whether Celery's and kombu's send path is unmodified."""
    amqp, conf = app.amqp, app.conf
    return (
        not (conf.task_always_eager or conf.task_send_sent_event or app.current_worker_task)
        and _is_celerys(Signature.apply_async, canvas)
        and _is_celerys(app.send_task, base)
        and _is_celerys(amqp.create_task_message, celery_amqp)
        and type(amqp.send_task_message) is GroupSender
        and _is_celerys(amqp.send_task_message.send, celery_amqp)
        and _is_celerys(amqp.router.route, routes)
        and all(type(router) is routes.MapRoute for router in amqp.router.routes)
        and _is_celerys(messaging.Producer.publish, messaging)
        and registry._encoders["json"].encoder is kombu_dumps
    )


def _is_celerys(function: Any, module: Any) -> bool:
    """Return whether a function or method is the one of Celery's module: no override, no wrapper around it."""
    function = getattr(function, "__func__", function)
    if getattr(function, "__globals__", None) is vars(publish):  # our own wrapper is no foreign one
        function = getattr(function, "groupfifo", function)
    return type(function) is FunctionType and function.__globals__ is vars(module)
