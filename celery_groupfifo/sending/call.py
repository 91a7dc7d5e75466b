"""The group that a call asks for: its options and its key, checked; for what is sent, and for what runs in place."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from celery import Celery

from celery_groupfifo.errors import InvalidOption, InvalidSetting, MissingGroupKey
from celery_groupfifo.gate.model import INSTALLED, OBSERVED_HEADER, TRAVELLING, Bound
from celery_groupfifo.gate.records import Limits
from celery_groupfifo.printing import escaping
from celery_groupfifo.sending.batch import OPTION as BATCH
from celery_groupfifo.sending.batch import check_batch_call, check_task_batch
from celery_groupfifo.sending.fair import fair_of
from celery_groupfifo.sending.grouping import DEDUP, FAIR, MAPS, ORDER, checked_keys, group_key, is_grouped
from celery_groupfifo.sending.headers import cleaned, has_ours, ours
from celery_groupfifo.sending.identity import dedupe_of
from celery_groupfifo.sending.message import delay_ms
from celery_groupfifo.sending.options import (
    HEADER_PREFIX,
    KEY,
    NAMES,
    PREFIX,
    check_names,
    check_task,
    option_of,
    policy_of,
)
from celery_groupfifo.sending.order import order_of
from celery_groupfifo.sending.parts import holds
from celery_groupfifo.sending.several import check_several
from celery_groupfifo.settings import Settings, check_option, read_settings
from celery_groupfifo.windows import Rate

logger = escaping(logging.getLogger(__name__))

#: Options of a call that are checked when they are used.
_MADE = (KEY, DEDUP.option, FAIR.option, ORDER.option)
#: Marks a task whose options have been checked.
_CHECKED = "_groupfifo_checked"


def take_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Take our options out of a call's options and headers, and return them.

    Args:
        name: Of the task.
        options: Of the call.

    Raises:
        InvalidOption: An option that looks like ours does not exist.
    """
    check_names(options, f"with a call of {name}")
    said = {option: options.pop(option) for option in NAMES.intersection(options)}
    headers = dict(options.get("headers") or ())
    if has_ours(headers):
        given = {
            header.removeprefix(HEADER_PREFIX): value
            for header, value in headers.items()
            if isinstance(header, str) and header.startswith(HEADER_PREFIX + PREFIX)
        }
        check_names(given, f"in a header {HEADER_PREFIX}… of a call of {name}")
        foreign = [each for each in ours(headers) if each.removeprefix(HEADER_PREFIX) not in given]
        foreign = [each for each in foreign if each != OBSERVED_HEADER]  # a run of observe mode has it
        if foreign:
            _tell_left_out(name, tuple(foreign))
        said = {**given, **{option: value for option, value in said.items() if value is not None}}
        options["headers"] = cleaned(headers)
    return said


@lru_cache(maxsize=1000)  # once for each task: it may send on what it was called with, each time
def _tell_left_out(name: str, headers: tuple[str, ...]) -> None:
    options = {each: each.replace(HEADER_PREFIX, HEADER_PREFIX + PREFIX, 1) for each in headers}
    meant = [each for each in options.values() if each.removeprefix(HEADER_PREFIX) in NAMES]
    logger.warning(
        "Headers of a call of %s are left out, as only the gate sets them: %s.%s",
        name,
        ", ".join(headers),
        f" The header for an option is {', '.join(meant)}." if meant else "",
    )


def asks_for_group(task: Any, name: str, said: Mapping[str, Any]) -> bool:
    """Return whether a call may belong to a group, by its options or its task; `key_of` says it for sure."""
    return said.get(KEY) is not None or is_grouped(task) or name in MAPS


def key_of(
    app: Celery, task: Any, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], said: Mapping[str, Any]
) -> str | None:
    """Return the key of a call that may belong to a group, see `group_key`; None: it belongs to none.

    Args:
        app: The app that sends.
        task: None where its code is not loaded.
        name: Of the task.
        args: Of the call.
        kwargs: Of the call.
        said: Our options of the call.

    Raises:
        MissingGroupKey: It needs one, and none can be built.
        InvalidGroupKey: It is no key.
    """
    if said.get(KEY) is not None:
        return checked_keys(said[KEY], name)
    if name in MAPS:
        inner = (kwargs.get("task") or {}).get("task")
        if is_grouped(task_of(app, inner)):
            raise MissingGroupKey(f"{name} over {inner} is one entry of one group: pass group_key=… with the call.")
        return None
    return group_key(task, name, args, kwargs)


def check_plain(name: str, said: Mapping[str, Any]) -> None:
    """Check that the call of a task without a group has no options for one.

    Raises:
        MissingGroupKey: It has.
    """
    useless = sorted(option for option, value in said.items() if value is not None)
    if useless:
        raise MissingGroupKey(f"{name} was sent with {', '.join(useless)}, but belongs to no group.")


def checked_headers(task: Any, said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headers for options of a call, which differ from the task's and travel with the message.

    Raises:
        InvalidOption: An option of the call or the task does not work.
    """
    for option, value in said.items():
        if option not in _MADE and value is not None:
            check_option(option, value)
    if task is not None and _CHECKED not in task.__dict__:
        check_task(task)
        if (size := option_of(task, BATCH)) is not None:
            check_task_batch(task, size)
        task.__dict__[_CHECKED] = True
    return {header: said[option] for option, header in TRAVELLING.items() if said.get(option) is not None}


def bound_of(task: Any, said: Mapping[str, Any], settings: Settings) -> Bound | None:
    """Return the bound of the group's depth that counts for a call; None: there is none. See `policy_of`."""
    most = policy_of(task, said, "group_max_depth", settings)
    if most is None:
        return None
    overflow, timeout = (policy_of(task, said, f"group_{name}", settings) for name in ("overflow", "overflow_timeout"))
    return Bound(most, overflow, timeout)


def limits_of(task: Any, said: Mapping[str, Any], settings: Settings) -> str:
    """Return the limits of its group that count for a call, as the gate stores them; see `policy_of`.

    Raises:
        InvalidOption: They do not go with batches.
    """
    check_batch_call(task, said, settings)
    rate, concurrency = (policy_of(task, said, option, settings) for option in ("group_rate", "group_concurrency"))
    if rate is None and concurrency == 1:
        return ""
    return Limits(Rate.parse(rate), concurrency if concurrency > 1 else None).text()


def check_eta(
    app: Celery,
    task: Any,
    name: str,
    said: Mapping[str, Any],
    times: Mapping[str, Any],
    settings: Settings | None = None,
) -> None:
    """Check that a call has no ETA in the future where its policy refuses one, or where it has an order value.

    Args:
        app: The app that sends.
        task: None where its code is not loaded.
        name: Of the task.
        said: Our options of the call.
        times: The call's `countdown` and `eta`, if any: its other options, or the headers of its message.
        settings: Of the app; None: they are read when a time is given.

    Raises:
        InvalidOption: It has.
    """
    countdown, eta = times.get("countdown"), times.get("eta")
    if countdown is None and not eta:
        return
    settings = settings or read_settings(app.conf)
    rejects = policy_of(task, said, "group_eta", settings) == "reject"
    if not (rejects or order_of(task, name, said, settings)):
        return
    if (countdown > 0) if countdown is not None else delay_ms(app, eta) > 0:
        shown = f"countdown={countdown!r}" if countdown is not None else f"eta={str(eta)!r}"
        if rejects:
            why, way = "its group_eta is 'reject'", "send it when it is due, or with group_eta='at_due'."
        else:
            why, way = "its group_order_by says when it is its turn", "send it when it is due."
        raise InvalidOption(f"{name} was sent with {shown}, and {why}: {way}")


def check_call(
    app: Celery,
    task: Any,
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    said: Mapping[str, Any],
    options: Mapping[str, Any],
) -> str | None:
    """Check a call as its send does, without sending it, and return its key; None: it belongs to no group.

    Args:
        app: The app that sends.
        task: None where its code is not loaded.
        name: Of the task.
        args: Of the call.
        kwargs: Of the call.
        said: Our options of the call.
        options: Celery's options of the call.

    Raises:
        GroupFifoError: The error of the send.
    """
    key = key_of(app, task, name, args, kwargs, said) if asks_for_group(task, name, said) else None
    if key is None:
        check_plain(name, said)
        return None
    checked_headers(task, said)
    settings = read_settings(app.conf)
    check_eta(app, task, name, said, options, settings)
    holds(task, name, said, settings)
    check_batch_call(task, said, settings)
    check_several(app, task, name, key, said, options, settings)
    on_duplicate = policy_of(task, said, "group_on_duplicate", settings)
    if (dedupe := dedupe_of(task, said, on_duplicate, settings)) is not None:
        dedupe.identity(task, name, args, kwargs, "")
    if (order := order_of(task, name, said, settings)) is not None:
        order.value(task, name, args, kwargs)
    fair_of(task, name, args, kwargs, said, settings)
    if task is not None:
        check_app(app, name)
    return key


def check_app(app: Celery, name: str) -> None:
    """Check that an app with a task's code uses groups: else its workers never tell the gate of an end.

    Raises:
        InvalidSetting: It does not.
    """
    if not hasattr(app, INSTALLED) and app.autofinalize and not app.finalized:
        app.finalize(auto=True)  # a shared task is not bound before
    if not hasattr(app, INSTALLED):
        raise InvalidSetting(
            f"{name} is sent to a group, but the app {app.main or ''!r} does not use groups. Base a task on "
            "GroupFifoTask, or call GroupFifo(app) where the app is made: its workers need that, too."
        )


def task_of(app: Celery, name: str | None) -> Any:
    """Return the task of a name; None when its code is not loaded here."""
    tasks = app._tasks
    if name not in tasks and app._pending and app.autofinalize and not app.finalized:
        app.finalize(auto=True)  # the task may be declared and not made yet
    return tasks.get(name)
