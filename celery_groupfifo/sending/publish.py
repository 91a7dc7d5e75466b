"""The publish side: one interception below every way to send a task.

Every send of a task in Celery ends in `AMQP.send_task_message`. A message that belongs to a group is parked there
instead of published: routed, with its signals and its `task-sent` event, as Celery does it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from celery import Celery, signals
from celery.app import amqp as celery_amqp
from celery.app.routes import Router
from kombu.entity import Exchange, Queue

from celery_groupfifo.errors import InvalidSetting, MissingGroupKey
from celery_groupfifo.gate.model import OBSERVED_HEADER
from celery_groupfifo.gate.route import Entity
from celery_groupfifo.sending import after_send
from celery_groupfifo.sending.asked import Asking, arguments_of
from celery_groupfifo.sending.call import asks_for_group, check_plain, key_of, take_options, task_of
from celery_groupfifo.sending.context import Continuation, collecting, continued, is_running
from celery_groupfifo.sending.grouping import is_grouped
from celery_groupfifo.sending.headers import clean, cleaned, has_ours
from celery_groupfifo.sending.observe import carried, header_of, observes
from celery_groupfifo.sending.options import KEY
from celery_groupfifo.sending.park import Options, Park
from celery_groupfifo.sending.producer import publish_through
from celery_groupfifo.sending.several import other_key

#: The options of a message that a router sets.
ROUTE = frozenset({"queue", "exchange", "routing_key"})
#: The option that carries the router's answer to the sender, which removes it.
ROUTED = "groupfifo_routed"


class _NotParkedError(Exception):
    """A park that did nothing, and whose call returns a result: the existing one, or that of the dropped task."""


class _Capture:
    """A producer whose first publish parks; the next one is Celery's `task-sent` event, and names the group.

    A continuation has no event: its task was sent before, and a second event would move that time.
    """

    def __init__(self, producer: Any, park: Park) -> None:
        self._producer, self._park = producer, park
        self._parked = False

    def publish(self, body: Any, **options: Any) -> Any:
        if not self._parked:
            park = partial(self._park, options, self._producer)
            publish_through(self._producer, park, body, options)
            self._parked = True
            if self._park.is_refused:
                raise _NotParkedError
        elif not self._park.continues:
            self._producer.publish({**body, KEY: self._park.key}, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)


class _Cleaner:
    """A producer of plain messages that takes out our headers, which a receiver of Celery's signals may have added."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer

    def publish(self, body: Any, **options: Any) -> Any:
        headers = options.get("headers")
        if headers and has_ours(headers):
            options["headers"] = cleaned(headers)
        return self._producer.publish(body, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)


class GroupSender:
    """The sender of an app, in place of Celery's `amqp.send_task_message`.

    Args:
        app: The app.
        send: Celery's own sender.
    """

    def __init__(self, app: Celery, send: Callable[..., Any]) -> None:
        self.app = app
        self.send = send

    def __call__(self, producer: Any, name: str, message: Any, **options: Any) -> Any:
        routed = options.pop(ROUTED, {})
        seen = carried(options, message.headers)
        said = take_options(name, options)
        clean(message.headers)
        run = continued(message.headers.get("id"))
        task = task_of(self.app, name)
        if run is None and not asks_for_group(task, name, said):
            return self._plain(producer, name, message, said, options)
        if run is None and observes(self.app):
            header = seen or header_of(self.app, task, name, arguments_of(message), said, message.headers)
            return self._observed(producer, name, message, options, header)
        key = key_of(self.app, task, name, *arguments_of(message), said) if run is None else None
        if run is not None and (elsewhere := self._other_key(run, task, name, message, said)):
            run, key = None, elsewhere
        if run is None and key is None:
            return self._plain(producer, name, message, said, options)
        if "id" not in message.headers:
            raise InvalidSetting("task_protocol = 1 has no place for a ticket: ordered tasks need task_protocol = 2.")
        asked = Asking(self.app, task, name, said, message).asks(run, key or "")
        if routed:
            options = {name: value for name, value in options.items() if name not in ROUTE} | routed
        park = Park(self.app, run, key or "", asked, _named(options))
        try:
            return self.send(_Capture(producer, park), name, message, **options)
        except _NotParkedError:
            return None

    def _plain(self, producer: Any, name: str, message: Any, said: dict[str, Any], options: dict[str, Any]) -> Any:
        if collecting.get() is not None:
            raise MissingGroupKey(f"{name} belongs to no group: park_many takes signatures of grouped tasks.")
        check_plain(name, said)
        if signals.before_task_publish.receivers:
            producer = _Cleaner(producer)
        return self.send(producer, name, message, **options)

    def _observed(self, producer: Any, name: str, message: Any, options: Options, header: str | None) -> Any:
        """Send a task in Celery's way, with a header for its worker; a retry has that of its run."""
        if header is not None:
            options["headers"] = {**(options.get("headers") or {}), OBSERVED_HEADER: header}
        return self.send(producer, name, message, **options)

    def _other_key(self, run: Continuation, task: Any, name: str, message: Any, said: dict[str, Any]) -> str | None:
        """Return the key of a task that replaces a run, when it is another group's; None: it keeps the run's place.

        A retry always keeps it, whatever its arguments.
        """
        if run.is_retried_by(message.headers) or (said.get(KEY) is None and not is_grouped(task)):
            return None
        return other_key(run, key_of(self.app, task, name, *arguments_of(message), said), name)


def _named(options: dict[str, Any]) -> list[Entity]:
    """Return the queue and the exchange that a call was given, if their type is known."""
    given, exchange, kind = [options.get("queue"), options.get("exchange")], options.get("exchange"), None
    if isinstance(exchange, str) and exchange:
        kind = options.get("exchange_type")
    named = [entity for entity in given if isinstance(entity, (Queue, Exchange))]
    return [*named, Exchange(exchange, kind)] if kind else named


def hook() -> None:
    """Make every app of this process ask for the group of what it sends.

    Once, on import: an app that sends by name, before any task of its own is made, offers no other moment.
    """
    _hook_routes()
    after_send.hook()
    create = celery_amqp.AMQP._create_task_sender
    if getattr(create, "groupfifo", False):
        return

    def _create_task_sender(self: Any) -> GroupSender:
        return GroupSender(self.app, create(self))

    _create_task_sender.groupfifo = create  # type: ignore[attr-defined]
    celery_amqp.AMQP._create_task_sender = _create_task_sender


def _hook_routes() -> None:
    """Let a message that may belong to a group keep the route that Celery's router gave it.

    With quorum queues, `send_task` turns a countdown into a route over queues that delay, and forgets the first one.
    The gate waits for an ETA by itself, and releases the ticket to the first route.
    """
    find = Router.route
    if getattr(find, "groupfifo", False):
        return

    @wraps(find)
    def route(self: Any, options: dict[str, Any], name: str, *args: Any, **kwargs: Any) -> Any:
        task = kwargs["task_type"] if "task_type" in kwargs else (args[2:] or (None,))[0]
        has_key = options.get(KEY) is not None
        maybe_grouped = has_key or is_running() or is_grouped(task or task_of(self.app, name))
        routed = find(self, options, name, *args, **kwargs)
        if maybe_grouped and _reaches_us(self.app):
            routed[ROUTED] = {word: routed[word] for word in ROUTE if word in routed}
        return routed

    route.groupfifo = find  # type: ignore[attr-defined]
    Router.route = route


def _reaches_us(app: Celery) -> bool:
    """Return whether an app's messages pass our sender, which one made before the import may not have."""
    sender = app.amqp.__dict__.get("send_task_message")
    return bool(getattr(sender, "__module__", None) != celery_amqp.__name__)


def hook_app(app: Celery) -> None:
    """Replace the sender of an app that made it before the import."""
    amqp = app.__dict__.get("amqp")
    if amqp is not None:
        sender = amqp.__dict__.get("send_task_message")
        if sender is not None and not isinstance(sender, GroupSender):
            amqp.__dict__["send_task_message"] = GroupSender(app, sender)


__all__ = ["GroupSender", "hook", "hook_app"]
