"""The usual send: the one whose path through Celery and kombu nobody has changed, and to which nobody listens.

Its message depends on nothing but the call, so it can be filled into a template; see templates.py.
"""

from __future__ import annotations

import os
from types import FunctionType
from typing import Any

from celery import Celery, canvas, signals
from celery.app import amqp as celery_amqp
from celery.app import base, routes
from celery.app import task as celery_task
from celery.canvas import Signature
from kombu import messaging, pools
from kombu.serialization import registry
from kombu.utils.json import dumps as kombu_dumps
from kombu.utils.uuid import uuid as kombu_uuid

from celery_groupfifo.sending import after_send, publish
from celery_groupfifo.sending.publish import GroupSender

#: Methods of a task that take part in a send, beside `apply_async`.
_METHODS = ("shadow_name", "_get_exec_options", "_get_app")


#: The signals of a publish.
SIGNALS = (signals.before_task_publish, signals.after_task_publish, signals.task_sent)


def has_receivers() -> bool:
    """Return whether a signal of a publish has receivers."""
    before, after, sent = SIGNALS
    return bool(before.receivers or after.receivers or sent.receivers)


class Path:
    """The path of an app's messages, through the parts that anybody may replace at any time.

    Args:
        app: The app that sends.

    Attributes:
        changed: The parts that are not those of Celery or kombu, by their names.
        is_usual: True when there are none.
    """

    def __init__(self, app: Celery) -> None:
        self._app, self._amqp = app, app.amqp
        self.queues: dict[str, Any] = self._amqp.queues
        # Made now: a part that is missing later was thrown away by somebody.
        self._made = app.timezone, self._amqp.send_task_message, self._amqp.router, self._amqp.create_task_message
        self._parts = self._found()
        self.changed = self._find_changed()
        self.is_usual = not self.changed

    def is_same(self) -> bool:
        """Return whether no part was replaced since; false in a forked process."""
        return self._parts == self._found()

    def _found(self) -> tuple[Any, ...]:
        app, amqp = self._app, self._amqp
        # Read past the descriptors, which take longer than all the rest.
        sender, router, *rest = map(vars(amqp).get, ("send_task_message", "router", "queues", "create_task_message"))
        return (
            os.getpid(),  # each message names the process
            vars(app).get("amqp"),
            vars(app).get("timezone"),
            *rest,
            sender,
            router,
            getattr(sender, "send", None),
            getattr(router, "route", None),
            tuple(getattr(router, "routes", ())),
            Signature.apply_async,
            app.send_task,
            app.now,
            base.uuid,
            messaging.Producer.publish,
            amqp.producer_pool.Producer,
            registry._encoders["json"].encoder,
            amqp.argsrepr_maxsize,
            amqp.kwargsrepr_maxsize,
        )

    def _find_changed(self) -> dict[str, Any]:
        app, amqp = self._app, self._app.amqp
        sender, producers, encoder = amqp.send_task_message, amqp.producer_pool, registry._encoders["json"].encoder
        foreign = [router for router in amqp.router.routes if type(router) is not routes.MapRoute]
        parts = (
            ("Signature.apply_async", Signature.apply_async, is_celerys(Signature.apply_async, canvas)),
            ("app.send_task", app.send_task, is_celerys(app.send_task, base)),
            ("app.now", app.now, is_celerys(app.now, base)),
            ("amqp.create_task_message", amqp.create_task_message, is_celerys(amqp.create_task_message, celery_amqp)),
            ("amqp.send_task_message", sender, type(sender) is GroupSender),
            ("the sender", getattr(sender, "send", None), is_celerys(getattr(sender, "send", None), celery_amqp)),
            ("the router", amqp.router.route, is_celerys(amqp.router.route, routes)),
            ("task_routes", foreign[0] if foreign else None, not foreign),
            ("Producer.publish", messaging.Producer.publish, is_celerys(messaging.Producer.publish, messaging)),
            ("amqp.producer_pool", producers, type(producers) is pools.ProducerPool),
            ("its producer", producers.Producer, producers.Producer is messaging.Producer),
            ("the JSON encoder", encoder, encoder is kombu_dumps),
            ("the maker of ids", base.uuid, base.uuid is kombu_uuid),
        )
        return {name: part for name, part, usual in parts if not usual}


def is_usual_task(task: Any, apply_async: Any) -> bool:
    """Return whether a task is sent by Celery's own methods.

    Args:
        task: The task.
        apply_async: Its method, or the one that its class inherits.
    """
    return not changed_methods(task, apply_async)


def changed_methods(task: Any, apply_async: Any) -> dict[str, Any]:
    """Return the parts of a task's send that are not Celery's own, by their names; see `is_usual_task`."""
    found = {} if is_celerys(apply_async, celery_task) else {"apply_async": apply_async}
    found |= {name: getattr(task, name) for name in _METHODS if not is_celerys(getattr(task, name), celery_task)}
    pydantic = getattr(task, "_dump_pydantic_arguments", None)
    return found if pydantic is None else found | {"pydantic": pydantic}


def is_celerys(function: Any, module: Any) -> bool:
    """Return whether a function or method is the one of Celery's module: no override, no wrapper around it."""
    function = getattr(function, "__func__", function)
    ours = vars(publish), vars(after_send)
    if any(getattr(function, "__globals__", None) is each for each in ours):  # our own wrapper is no foreign one
        function = getattr(function, "groupfifo", function)
    return type(function) is FunctionType and function.__globals__ is vars(module)
