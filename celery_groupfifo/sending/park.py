"""The park of one message: the last step of a send, in which the gate takes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from celery import Celery

from celery_groupfifo.errors import GroupFull
from celery_groupfifo.gate.gate import Gate, gate_of
from celery_groupfifo.gate.model import Entry, Number
from celery_groupfifo.gate.route import Entity, Route
from celery_groupfifo.sending.asked import Asked, replaces
from celery_groupfifo.sending.context import Continuation, Parking, collecting, existing, observing
from celery_groupfifo.sending.dropped import tell_dropped
from celery_groupfifo.sending.grouping import keys_of
from celery_groupfifo.sending.message import build_entry
from celery_groupfifo.sending.producer import Published
from celery_groupfifo.sending.retrying import retried
from celery_groupfifo.sending.room import postponed, wait_for_room, waits
from celery_groupfifo.sending.several import keys_header
from celery_groupfifo.signals import group_parked

Options = dict[str, Any]


class Park:
    """The park of one message, with Celery's own publish policy; a continuation is left to the end of its run.

    Args:
        app: The app that sends.
        run: The run that the message continues, when it is retried or replaced from inside; None: a task of its own.
        key: Of its group; a continuation has the run's.
        asked: Its options.
        named: See `Route`.

    Attributes:
        key: Of the group.
        is_refused: True when nothing was parked: it is a duplicate, or the bound has dropped it.
    """

    def __init__(self, app: Celery, run: Continuation | None, key: str, asked: Asked, named: Sequence[Entity]) -> None:
        self._app, self._run, self._asked, self._named = app, run, asked, named
        self._keys = keys_of(key) if run is None else (run.key,)
        self.key, self._extra = self._keys[0], asked.extra | keys_header(self._keys)
        self.is_refused = False
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
        self._asked.settle(entry)
        entry.others = self._keys[1:]
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
        if self._asked.behind is not None and gate.insert(entry, *self._asked.behind):
            return True
        return gate.park(entry, self._number, replaces(headers), producer)


def tell_parked(task: str | None, entry: Entry) -> None:
    """Send `group_parked`, if it has receivers."""
    if group_parked.receivers:
        group_parked.send(sender=task, key=entry.key, task_id=entry.id, delay=entry.delay / 1000)
