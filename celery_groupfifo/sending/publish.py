"""The publish side: one interception below every way to send a task.

Every send of a task in Celery ends in `AMQP.send_task_message`. A message that belongs to a group is parked there
instead of published: routed, with its signals and its `task-sent` event, as Celery does it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from typing import Any

from celery import Celery, signals
from celery.app import amqp as celery_amqp
from celery.app.routes import Router
from kombu.entity import Exchange, Queue

from celery_groupfifo.errors import GroupFull, InvalidSetting, MissingGroupKey
from celery_groupfifo.gate.gate import Gate, gate_of
from celery_groupfifo.gate.model import (
    FIRST,
    HELD_HEADER,
    HOLD_HEADER,
    OBSERVED_HEADER,
    PART,
    Bound,
    Dedup,
    Entry,
    Number,
    Ticket,
)
from celery_groupfifo.gate.route import Entity, Route
from celery_groupfifo.sending import after_send
from celery_groupfifo.sending.call import (
    asks_for_group,
    bound_of,
    check_app,
    check_eta,
    check_plain,
    checked_headers,
    key_of,
    limits_of,
    take_options,
    task_of,
)
from celery_groupfifo.sending.context import (
    Continuation,
    Parking,
    collecting,
    continued,
    existing,
    is_running,
    observing,
)
from celery_groupfifo.sending.dropped import tell_dropped
from celery_groupfifo.sending.fair import fair_of
from celery_groupfifo.sending.grouping import is_grouped, keys_of
from celery_groupfifo.sending.headers import clean, cleaned, has_ours
from celery_groupfifo.sending.hold import held_ms, rejoins, retry_policy
from celery_groupfifo.sending.identity import dedupe_of, is_awaited
from celery_groupfifo.sending.message import build_entry, delay_ms
from celery_groupfifo.sending.observe import carried, header_of, observes
from celery_groupfifo.sending.options import KEY, policy_of
from celery_groupfifo.sending.order import order_of
from celery_groupfifo.sending.parts import holds, leader
from celery_groupfifo.sending.producer import Published, publish_through
from celery_groupfifo.sending.retrying import retried
from celery_groupfifo.sending.room import postponed, wait_for_room, waits
from celery_groupfifo.sending.several import check_several, keys_header, other_key
from celery_groupfifo.settings import OnDuplicate
from celery_groupfifo.signals import group_parked

#: The options of a message that a router sets.
ROUTE = frozenset({"queue", "exchange", "routing_key"})
#: The option that carries the router's answer to the sender, which removes it.
ROUTED = "groupfifo_routed"


Options = dict[str, Any]


class _NotParkedError(Exception):
    """A park that did nothing, and whose call returns a result: the existing one, or that of the dropped task."""


class _Capture:
    """A producer whose first publish parks; the next one is Celery's `task-sent` event, and names the group.

    A continuation has no event: its task was sent before, and a second event would move that time.
    """

    def __init__(self, producer: Any, park: _Park) -> None:
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
            return self._observed(producer, name, message, said, options, seen)
        key = key_of(self.app, task, name, *_arguments(message), said) if run is None else None
        if run is not None and (elsewhere := self._other_key(run, task, name, message, said)):
            run, key = None, elsewhere
        if run is None and key is None:
            return self._plain(producer, name, message, said, options)
        if "id" not in message.headers:
            raise InvalidSetting("task_protocol = 1 has no place for a ticket: ordered tasks need task_protocol = 2.")
        extra = {**(run.options if run else {}), **checked_headers(task, said)}
        if task is not None:
            check_app(self.app, name)
        settings = gate_of(self.app).settings
        on_duplicate: OnDuplicate = "return_existing"
        leaves, bound, dedup, limits, fair = False, None, None, "", ""
        reserves, order, value = False, None, ""
        led_by = leader(key, said, message.headers) if key is not None and len(keys_of(key)) == 1 else None
        if led_by is not None:
            check_eta(self.app, task, name, said, message.headers, settings)
            extra[HOLD_HEADER], reserves = PART, True
            limits = limits_of(task, {**said, "group_concurrency": 1}, settings)
            fair = fair_of(task, name, *_arguments(message), said, settings)
        elif run is None:
            check_eta(self.app, task, name, said, message.headers, settings)
            check_several(self.app, task, name, key or "", said, message.headers, settings)
            on_duplicate = policy_of(task, said, "group_on_duplicate", settings)
            bound = bound_of(task, said, settings)
            if (dedupe := dedupe_of(task, said, on_duplicate, settings)) is not None:
                dedup = dedupe.identity(task, name, *_arguments(message), message.headers["id"])
            order = None if _replaces(message.headers) else order_of(task, name, said, settings)
            value = order.value(task, name, *_arguments(message)) if order else ""
            limits = limits_of(task, said, settings)
            fair = fair_of(task, name, *_arguments(message), said, settings)
            reserves = policy_of(task, said, "group_eta", settings) == "reserve"
            if holds(task, name, said, settings):
                extra[HOLD_HEADER] = FIRST
        elif run.is_retried_by(message.headers) and not run.repeats:
            leaves = rejoins(task, extra, settings)
            if not leaves and retry_policy(task, extra, "group_max_hold", settings) is not None:
                extra[HELD_HEADER] = held_ms(extra, delay_ms(self.app, message.headers.get("eta")))
        if routed:
            options = {name: value for name, value in options.items() if name not in ROUTE} | routed
        park = _Park(self.app, run, key or "", extra, _named(options), leaves)
        park.on_duplicate, park.bound, park.dedup, park.limits = on_duplicate, bound, dedup, limits
        park.reserves, park.fair = reserves, fair
        park.follows = None if led_by is None else (led_by.ticket, led_by.next_part())
        park.order, park.window = value, order.window if order else 0
        park.is_awaited = dedup is not None and is_awaited(message.headers, message.body)
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

    def _observed(
        self, producer: Any, name: str, message: Any, said: Options, options: Options, seen: str | None
    ) -> Any:
        """Send a task in Celery's way, with a header for its worker; a retry has that of its run."""
        header = seen or header_of(self.app, task_of(self.app, name), name, _arguments(message), said, message.headers)
        if header is not None:
            options["headers"] = {**(options.get("headers") or {}), OBSERVED_HEADER: header}
        return self.send(producer, name, message, **options)

    def _other_key(self, run: Continuation, task: Any, name: str, message: Any, said: dict[str, Any]) -> str | None:
        """Return the key of a task that replaces a run, when it is another group's; None: it keeps the run's place.

        A retry always keeps it, whatever its arguments.
        """
        if run.is_retried_by(message.headers) or (said.get(KEY) is None and not is_grouped(task)):
            return None
        return other_key(run, key_of(self.app, task, name, *_arguments(message), said), name)


class _Park:
    """The park of one message, with Celery's own publish policy; a continuation is left to the end of its run.

    Args:
        app: The app that sends.
        run: The run that the message continues, when it is retried or replaced from inside; None: a task of its own.
        key: Of its group; a continuation has the run's.
        extra: Headers of our own.
        named: See `Route`.
        rejoins: See `Entry`.

    Attributes:
        key: Of the group.
        on_duplicate, bound, dedup, limits, fair, reserves, order: See `Entry`.
        window: Milliseconds, with an order value.
        is_awaited: See `Entry`.
        follows: The run that it follows, and its number among those that do; None: it joins the tail of its line.
        is_refused: True when nothing was parked: it is a duplicate, or the bound has dropped it.
    """

    def __init__(
        self,
        app: Celery,
        run: Continuation | None,
        key: str,
        extra: dict[str, Any],
        named: Sequence[Entity],
        rejoins: bool,
    ) -> None:
        self._app, self._run, self._named = app, run, named
        self._keys = keys_of(key) if run is None else (run.key,)
        self.key, self._extra = self._keys[0], extra | keys_header(self._keys)
        self._rejoins = rejoins
        self.on_duplicate: OnDuplicate = "return_existing"
        self.bound: Bound | None = None
        self.dedup: Dedup | None = None
        self.limits = self.fair = self.order = ""
        self.follows: tuple[Ticket, Number] | None = None
        self.window = 0
        self.reserves = self.is_awaited = self.is_refused = False
        self._number: Number | None = None

    @property
    def continues(self) -> bool:
        """Return whether the message continues a run that holds the lease."""
        return self._run is not None

    def __call__(self, options: dict[str, Any], producer: Any, publish: Published) -> None:
        gate = gate_of(self._app)
        gate.releaser.check(producer)
        headers = publish["headers"]
        route = self._route(options, producer, publish)
        entry = build_entry(self._app, gate.releaser, self.key, self._extra, publish, route)
        entry.on_duplicate, entry.rejoins, entry.bound = self.on_duplicate, self._rejoins, self.bound
        entry.dedup, entry.awaited, entry.limits = self.dedup, self.is_awaited, self.limits
        entry.reserves, entry.others = self.reserves, self._keys[1:]
        entry.fair = self.fair
        if self.order:
            entry.order, entry.delay = self.order, self.window
        if self._run is not None:
            self._run.send(entry, self._run.is_retried_by(headers))
            return
        parking = Parking(entry, route)
        if (batch := collecting.get()) is not None:
            batch.append(parking)
            return
        if (seen := observing.get()) is not None:
            seen.append(parking)
        park = partial(self._parked, gate, entry, options, headers)
        try:
            self.is_refused = not park(producer)
        except GroupFull as full:
            if not waits(entry):
                raise
            self._wait(entry, park, full, producer)

    def _route(self, options: dict[str, Any], producer: Any, publish: Published) -> Route:
        return Route(
            exchange=publish["exchange"] or "",
            routing_key=publish["routing_key"] or "",
            priority=publish["priority"],
            declare=publish["declare"],
            named=self._named,
            task=str(publish["headers"].get("task")),
            producer=producer,
            retry_policy=(options.get("retry_policy") or {}) if options.get("retry") else None,
        )

    def _wait(self, entry: Entry, park: Callable[[Any], bool], full: GroupFull, producer: Any) -> None:
        """Wait for room: after Celery's code, when it has a producer that others may need meanwhile."""
        later = postponed.get()
        if later is None:
            self.is_refused = not wait_for_room(entry, partial(park, producer), full)
        else:
            later.append(partial(wait_for_room, entry, partial(park, None), full))

    def _parked(self, gate: Gate, entry: Entry, options: Options, headers: Options, producer: Any) -> bool:
        """Park an entry, and tell what has come of it; False: nothing was parked."""
        try:
            parked: bool = retried(options, self._park, gate, entry, headers, producer)
        except GroupFull:
            self._number = None  # the next try is another call
            raise
        if parked:
            tell_parked(headers.get("task"), entry)
        else:
            existing.set(None if entry.existing is None else (entry.id, entry.existing))
        if entry.dropped is not None:
            tell_dropped(self._app, [entry], producer)
        return parked

    def _park(self, gate: Gate, entry: Entry, headers: Options, producer: Any) -> bool:
        if self._number is None:
            self._number = gate.number()
        if self.follows is not None and gate.follow(entry, *self.follows):
            return True
        return gate.park(entry, self._number, _replaces(headers), producer)


def tell_parked(task: str | None, entry: Entry) -> None:
    """Send `group_parked`, if it has receivers."""
    if group_parked.receivers:
        group_parked.send(sender=task, key=entry.key, task_id=entry.id, delay=entry.delay / 1000)


def _replaces(headers: Mapping[str, Any]) -> bool:
    """Return whether a message replaces a task that runs."""
    return bool(headers.get("replaced_task_nesting"))


def _arguments(message: Any) -> tuple[Any, Any]:
    """Return the arguments of a call, for both of Celery's message protocols."""
    body = message.body
    return (body["args"], body["kwargs"]) if isinstance(body, dict) else (body[0], body[1])


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


__all__ = ["GroupSender", "hook", "hook_app", "tell_parked"]
