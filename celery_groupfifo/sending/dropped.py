"""The end of tasks that never start, as other sends cost them their places: they become REVOKED."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from celery import Celery

from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.gate.model import Entry
from celery_groupfifo.printing import escaping
from celery_groupfifo.sending.revoke import tell_revoked

logger = escaping(logging.getLogger(__name__))


def tell_dropped(app: Celery, entries: Iterable[Entry], producer: Any = None) -> None:
    """Store the state REVOKED of tasks that were dropped by the parks of entries, and tell signals and monitors.

    An error of the result backend is logged only: the entries themselves are parked, and must not be sent again.

    Args:
        app: The app whose backend has their results.
        entries: Sent by now.
        producer: The one that the caller holds; None: it holds none.
    """
    by_reason: dict[str, list[tuple[str, bytes]]] = {}
    for entry in entries:
        if entry.dropped is not None:
            by_reason.setdefault(entry.reason, []).append(entry.dropped)
    for reason, dropped in by_reason.items():
        try:
            tell_revoked(app, dropped, producer, reason)
        except GroupFifoError as error:
            logger.error("Tasks were dropped: %s. %s", reason, error)
