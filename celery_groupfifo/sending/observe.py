"""The sends of observe mode (`groupfifo_mode="observe"`): in plain Celery's way, with a place in the group to compare.

The gate only counts here. It never fails a send or a run, and delays them by `PATIENCE` at most, once per `QUIET`: so
it is asked with a short time-out, and not at all for a while after it has not answered.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from celery import Celery

from celery_groupfifo.errors import InvalidGroupKey, MissingGroupKey
from celery_groupfifo.gate.clock import now
from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import OBSERVED_HEADER
from celery_groupfifo.gate.observations import TIMED, UNKNOWN, Observations, Sent
from celery_groupfifo.printing import escaping
from celery_groupfifo.sending.call import checked_headers, key_of
from celery_groupfifo.sending.options import policy_of
from celery_groupfifo.settings import Settings, read_settings

logger = escaping(logging.getLogger(__name__))

T = TypeVar("T")

#: Seconds to wait for an answer of the gate.
PATIENCE = 0.25
#: Seconds in which it is not asked after it has not answered.
QUIET = 10.0

_SETTINGS, _OBSERVER = "_groupfifo_settings", "_groupfifo_observer"


class Observer:
    """The observer of an app in one process.

    Args:
        app: The app.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._quiet_until = 0.0
        #: Starts of runs that could not be told.
        self.missed = 0

    def tell(self, call: Callable[[Observations], T]) -> T | None:
        """Tell the gate something.

        Args:
            call: Called with the observations at the gate.

        Returns:
            Its result; None when the gate was not asked, or has not answered.
        """
        if now() < self._quiet_until:
            return None
        try:
            gate = gate_of(self._app, "groupfifo-observe", timeout=PATIENCE, patient=False)
            return call(Observations(gate.store, gate.keyspace))
        except Exception as error:  # whatever it is, the user's task must not notice
            self._quiet_until = now() + QUIET
            logger.warning("The gate does not count for %g s (groupfifo_mode is 'observe'): %s", QUIET, error)
            return None


def observer_of(app: Celery) -> Observer:
    """Return the observer of an app in this process."""
    known: tuple[int, Observer] | None = app.__dict__.get(_OBSERVER)
    if known is None or known[0] != os.getpid():
        known = app.__dict__[_OBSERVER] = (os.getpid(), Observer(app))
    return known[1]


def settings_of(app: Celery) -> Settings:
    """Return the settings of an app, read once; they need no gate.

    Raises:
        InvalidSetting: A setting is wrong.
    """
    known: Settings | None = app.__dict__.get(_SETTINGS)
    if known is None:
        known = app.__dict__[_SETTINGS] = read_settings(app.conf)
    return known


def observes(app: Celery) -> bool:
    """Return whether an app only observes its groups; see `settings_of`."""
    return settings_of(app).observes


def header_of(
    app: Celery, task: Any, name: str, call: tuple[Any, Any], said: Mapping[str, Any], headers: Mapping[str, Any]
) -> str | None:
    """Return the header of a task that is sent; None when it belongs to no group, or no key can be made.

    Args:
        app: The app that sends.
        task: None where its code is not loaded.
        name: Of the task.
        call: Its arguments.
        said: Our options of the call.
        headers: Of the message.

    Raises:
        InvalidOption: An option does not work.
    """
    checked_headers(task, said)
    try:
        key = key_of(app, task, name, *call, said)
    except (MissingGroupKey, InvalidGroupKey) as error:
        _tell_refused(name, type(error), str(error))
        return None
    if key is None:
        return None
    group = quote(key)
    most = policy_of(task, said, "group_concurrency", settings_of(app))
    if headers.get("eta"):
        return str(Sent(TIMED, most, group))
    place = observer_of(app).tell(lambda observations: observations.draw(group, headers["id"]))
    return str(Sent(place or UNKNOWN, most, group))


_refused: set[tuple[str, type]] = set()


def _tell_refused(name: str, kind: type, why: str) -> None:
    """Log the first call of each task whose key can't be made."""
    if (name, kind) not in _refused:
        _refused.add((name, kind))
        logger.warning(
            "A call is not observed, and would raise %s with groupfifo_mode='order': %s Further calls of this task are "
            "not logged.",
            kind.__name__,
            why,
        )


def carried(options: Mapping[str, Any], headers: Mapping[str, Any]) -> str | None:
    """Return the header that a retry brings from its run; None for any other message."""
    if not headers.get("retries"):
        return None
    said = (options.get("headers") or {}).get(OBSERVED_HEADER)
    return said if Sent.parse(said) else None
