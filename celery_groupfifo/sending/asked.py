"""The options of a message: those that are settled when its task is parked, or goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from celery import Celery

from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.gate.model import FIRST, HELD_HEADER, HOLD_HEADER, PART, Bound, Dedup, Entry, Number, Ticket
from celery_groupfifo.sending.call import bound_of, check_app, check_eta, checked_headers, limits_of
from celery_groupfifo.sending.context import Continuation
from celery_groupfifo.sending.fair import fair_of
from celery_groupfifo.sending.grouping import keys_of
from celery_groupfifo.sending.hold import held_ms, rejoins, retry_policy
from celery_groupfifo.sending.identity import dedupe_of, is_awaited
from celery_groupfifo.sending.message import delay_ms
from celery_groupfifo.sending.options import policy_of
from celery_groupfifo.sending.order import order_of
from celery_groupfifo.sending.parts import holds, leader
from celery_groupfifo.sending.several import check_several
from celery_groupfifo.settings import OnDuplicate, Settings


@dataclass(slots=True)
class Asked:
    """The options of an entry.

    Attributes:
        extra: Headers of our own.
        rejoins, on_duplicate, bound, dedup, awaited, limits, fair, reserves, order: See `Entry`.
        window: Milliseconds, with an order value.
        behind: The run behind which it is inserted, and its number among those that are; None: it joins the tail.
    """

    extra: dict[str, Any]
    rejoins: bool = False
    on_duplicate: OnDuplicate = "return_existing"
    bound: Bound | None = None
    dedup: Dedup | None = None
    awaited: bool = False
    limits: str = ""
    fair: str = ""
    reserves: bool = False
    order: str = ""
    window: int = 0
    behind: tuple[Ticket, Number] | None = None

    def settle(self, entry: Entry) -> None:
        """Give an entry its options."""
        entry.rejoins, entry.on_duplicate, entry.bound = self.rejoins, self.on_duplicate, self.bound
        entry.dedup, entry.awaited, entry.limits = self.dedup, self.awaited, self.limits
        entry.fair, entry.reserves = self.fair, self.reserves
        if self.order:
            entry.order, entry.delay = self.order, self.window


class Asking(NamedTuple):
    """A message on its way to the gate.

    Attributes:
        app: That sends it.
        task: None where its code is not loaded.
        name: Of the task.
        said: Our options of the call.
        message: Celery's.
    """

    app: Celery
    task: Any
    name: str
    said: Mapping[str, Any]
    message: Any

    def asks(self, run: Continuation | None, key: str) -> Asked:
        """Return what the message asks for, once it is checked.

        Args:
            run: That it continues; None: none.
            key: Of its group; empty with a run.

        Raises:
            InvalidSetting: The app does not use groups.
            InvalidOption: An option does not fit, or two of them do not go together.
            InvalidGroupKey: It has several keys, which one step can't reach.
            MissingGroupKey: A text can't be made of its arguments.
        """
        asked = Asked({**(run.options if run else {}), **checked_headers(self.task, self.said)})
        if self.task is not None:
            check_app(self.app, self.name)
        settings = gate_of(self.app).settings
        if run is not None:
            self._goes_on(run, asked, settings)
            return asked
        check_eta(self.app, self.task, self.name, self.said, self.message.headers, settings)
        asked.fair = fair_of(self.task, self.name, *arguments_of(self.message), self.said, settings)
        led_by = leader(key, self.said, self.message.headers) if len(keys_of(key)) == 1 else None
        if led_by is None:
            self._is_new(key, asked, settings)
        else:
            asked.extra[HOLD_HEADER], asked.reserves = PART, True
            asked.limits = limits_of(self.task, {**self.said, "group_concurrency": 1}, settings)
            asked.behind = led_by.ticket, led_by.next_part()
        return asked

    def _is_new(self, key: str, asked: Asked, settings: Settings) -> None:
        task, name, said, message = self.task, self.name, self.said, self.message
        arguments = arguments_of(message)
        check_several(self.app, task, name, key, said, message.headers, settings)
        asked.on_duplicate = policy_of(task, said, "group_on_duplicate", settings)
        asked.bound = bound_of(task, said, settings)
        if (dedupe := dedupe_of(task, said, asked.on_duplicate, settings)) is not None:
            asked.dedup = dedupe.identity(task, name, *arguments, message.headers["id"])
            asked.awaited = is_awaited(message.headers, message.body)
        sorting = None if replaces(message.headers) else order_of(task, name, said, settings)
        if sorting is not None:
            asked.order, asked.window = sorting.value(task, name, *arguments), sorting.window
        asked.limits = limits_of(task, said, settings)
        asked.reserves = policy_of(task, said, "group_eta", settings) == "reserve"
        if holds(task, name, said, settings):
            asked.extra[HOLD_HEADER] = FIRST

    def _goes_on(self, run: Continuation, asked: Asked, settings: Settings) -> None:
        headers = self.message.headers
        if not run.is_retried_by(headers) or run.repeats:
            return
        asked.rejoins = rejoins(self.task, asked.extra, settings)
        if not asked.rejoins and retry_policy(self.task, asked.extra, "group_max_hold", settings) is not None:
            asked.extra[HELD_HEADER] = held_ms(asked.extra, delay_ms(self.app, headers.get("eta")))


def replaces(headers: Mapping[str, Any]) -> bool:
    """Return whether a message replaces a task that runs."""
    return bool(headers.get("replaced_task_nesting"))


def arguments_of(message: Any) -> tuple[Any, Any]:
    """Return the arguments of a call, for both of Celery's message protocols."""
    body = message.body
    return (body["args"], body["kwargs"]) if isinstance(body, dict) else (body[0], body[1])
