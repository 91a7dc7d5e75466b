"""The revocation of tasks that wait at the gate: durable, at once, and with no worker running."""

from __future__ import annotations

import logging
import socket
from base64 import b64decode
from collections.abc import Sequence
from typing import Any

from celery import Celery, signals
from celery.app.control import Control
from celery.app.task import Context
from kombu.message import Message
from kombu.utils.functional import maybe_list
from kombu.utils.json import loads

from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.gate.model import INSTALLED
from celery_groupfifo.printing import escaping
from celery_groupfifo.sending.headers import cleaned
from celery_groupfifo.sending.observe import observes
from celery_groupfifo.signals import EVENT_GROUP

logger = escaping(logging.getLogger(__name__))

#: The event for tasks that were taken out of the gate; its field `uuids` has their ids.
REVOKED = f"{EVENT_GROUP}-revoked"
#: Seconds to wait for a connection to the broker for an event.
MONITOR_PATIENCE = 1.0


def revoke_parked(app: Celery, task_id: str, note: str = "") -> bool:
    """Take a task out of the gate, if it waits there, make its state REVOKED, and tell monitors.

    Args:
        app: The app of the gate.
        task_id: Of the task.
        note: For the audit; empty: no entry.

    Returns:
        False when it is not parked, or runs.

    Raises:
        GateUnavailable: The gate's Redis can't be reached.
    """
    raw = gate_of(app).revoke(task_id, note)
    if raw is not None:
        tell_revoked(app, [(task_id, raw)])
    return raw is not None


def tell_revoked(app: Celery, gone: Sequence[tuple[str, bytes]], producer: Any = None, reason: str = "revoked") -> None:
    """Store the state REVOKED of tasks that were taken out of the gate, send signals, and tell monitors.

    Args:
        app: The app whose backend has their results.
        gone: Id and message, without tickets, of each.
        producer: For the event; None: one of the app's pool.
        reason: That the results give.

    Raises:
        GroupFifoError: The result backend can't be told.
    """
    for number, (task_id, raw) in enumerate(gone):
        try:
            mark(app, task_id, raw, reason)
        except Exception as error:  # any backend may raise anything
            raise GroupFifoError(
                f"{len(gone)} tasks were taken out of the gate, but the result backend does not know of "
                f"{len(gone) - number} of them, from {task_id} on: their state stays as it was. ({error!r})"
            ) from error
    tell_monitors(app, [task_id for task_id, _ in gone], producer)


def tell_monitors(app: Celery, task_ids: Sequence[str], held: Any = None) -> None:
    """Send one event `groupfifo-revoked` with the ids, at most once and without waiting.

    Results are the reliable source. All processes of a host send it under one name, so that monitors that count by name
    don't count processes.
    """
    if not task_ids:
        return
    try:
        with app.producer_or_acquire(held) as producer:
            producer.connection.ensure_connection(max_retries=1, timeout=MONITOR_PATIENCE)
            name = f"{EVENT_GROUP}@{socket.gethostname()}"
            dispatcher = app.events.Dispatcher(enabled=False, hostname=name, buffer_while_offline=False)
            dispatcher.publish(REVOKED, {"uuids": list(task_ids)}, producer, retry=False)
    except Exception as error:  # a monitor that can't be told must not stop an operator
        logger.debug("The event for %d revoked tasks was not sent: %r", len(task_ids), error)


def mark(app: Celery, task_id: str, raw: bytes, reason: str = "revoked") -> None:
    """Store the state REVOKED of a task, and send the signal.

    Args:
        app: The app whose backend has its result.
        task_id: Of the task.
        raw: Its message, without tickets.
        reason: That the result gives.
    """
    request = request_of(raw, task_id)
    task = app.tasks.get(request.task) if request.get("task") else None
    backend = task.backend if task is not None else app.backend
    # With the request, so that Celery can tell the chord that the task belongs to.
    backend.mark_as_revoked(task_id, reason, request=request, store_result=not request.ignore_result)
    signals.task_revoked.send(sender=task or app, request=request, terminated=False, signum=None, expired=False)


def request_of(raw: bytes, task_id: str) -> Context:
    """Return the request that a worker would make of a parked message."""
    try:
        return read_request(raw)
    except Exception:  # a stored message may be broken in any way, and the others are to be told
        logger.exception(
            "The message of task %s can't be read: its chord and error callbacks do not learn of the revoke.",
            task_id,
        )
        return Context(id=task_id, task=None)


def read_request(raw: bytes) -> Context:
    """Return the request that a worker would make of a parked message.

    Raises:
        Exception: Nobody can read it.
    """
    payload = loads(raw)
    headers = dict(payload["headers"])
    body = Message(
        body=_body(payload),
        content_type=payload["content-type"],
        content_encoding=payload["content-encoding"],
        headers=headers,
        accept=[payload["content-type"]],
    ).decode()
    args, kwargs, embed = body
    return Context(cleaned(headers), args=args, kwargs=kwargs, **embed)


def _body(payload: dict[str, Any]) -> Any:
    body = payload["body"]
    return b64decode(body) if payload["properties"].get("body_encoding") == "base64" else body


def hook() -> None:
    """Let `app.control.revoke` ask the gate before it tells the workers."""
    tell_workers = Control.revoke
    if getattr(tell_workers, "groupfifo", False):
        return

    def revoke(self: Control, task_id: Any, *args: Any, **kwargs: Any) -> Any:
        failed: GroupFifoError | None = None
        if getattr(self.app, INSTALLED, False) and not observes(self.app):
            gone = []
            for each in maybe_list(task_id) or []:
                try:
                    raw = gate_of(self.app).revoke(each)
                except GroupFifoError as error:
                    failed = error
                    continue
                if raw is not None:
                    mark(self.app, each, raw)
                    gone.append(each)
            tell_monitors(self.app, gone)
        reply = tell_workers(self, task_id, *args, **kwargs)
        if failed is not None:
            raise failed
        return reply

    revoke.groupfifo = True  # type: ignore[attr-defined]
    Control.revoke = revoke
