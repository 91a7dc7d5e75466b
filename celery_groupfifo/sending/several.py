"""The calls with several keys: which options and groups they can have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from celery import Celery

from celery_groupfifo.errors import InvalidGroupKey, InvalidOption
from celery_groupfifo.gate.keys import Keyspace, quote
from celery_groupfifo.gate.model import KEYS_HEADER
from celery_groupfifo.sending.batch import OPTION as BATCH
from celery_groupfifo.sending.batch import size_of
from celery_groupfifo.sending.context import Continuation
from celery_groupfifo.sending.grouping import DEDUP, FAIR, ORDER, SeveralKeys, key_spec, keys_of
from celery_groupfifo.sending.identity import FOR
from celery_groupfifo.sending.message import delay_ms
from celery_groupfifo.sending.options import policy_of
from celery_groupfifo.sending.parts import OPTION as HOLD
from celery_groupfifo.settings import Settings

_ONE_KEY = "send it with one key"


def check_several(
    app: Celery, task: Any, name: str, key: str, said: Mapping[str, Any], times: Mapping[str, Any], settings: Settings
) -> None:
    """Check that a call with several keys has no option that works with one only, and that one step can reach all.

    Args:
        app: The app that sends.
        task: None where its code is not loaded.
        name: Of the task.
        key: Its key, see `group_key`; of a call with one, nothing is checked.
        said: Our options of the call.
        times: The call's `countdown` and `eta`, if any: its other options, or the headers of its message.
        settings: Of the app.

    Raises:
        InvalidOption: It has such an option; the message says what to do.
        InvalidGroupKey: Its groups are in different partitions.
    """
    if not isinstance(key, SeveralKeys):
        return
    shown = f"{name} was sent with the group keys {list(keys_of(key))!r}"
    for option, value, remedy in _refused(app, task, said, times, settings):
        raise InvalidOption(f"{shown}, and {option}={value!r} works with one key only: {remedy}.")
    numbers = {settings.partitions, settings.partitions_before or settings.partitions}  # while it grows, both hold
    spaces = [Keyspace("", settings.namespace, number) for number in numbers]  # a call that runs in place has no gate
    if any(len({space.of_group(quote(each)).tag for each in keys_of(key)}) > 1 for space in spaces):
        raise InvalidGroupKey(
            f"{shown}, which are in different partitions of the gate, and one atomic step can't span these: use keys "
            "of one partition, or groupfifo_partitions = 1."
        )


def _refused(
    app: Celery, task: Any, said: Mapping[str, Any], times: Mapping[str, Any], settings: Settings
) -> Iterator[tuple[str, Any, str]]:
    """Yield the options that do not work, their values, and what to do."""

    def value_of(option: str) -> Any:
        return policy_of(task, said, option, settings)

    if (value := value_of("group_on_duplicate")) in ("replace", "keep_latest"):
        yield "group_on_duplicate", value, "use 'return_existing' or 'raise'"
    dedup = said.get(DEDUP.option) or (task and key_spec(task, DEDUP.option)) or settings.dedup_key
    if dedup is not None:
        yield DEDUP.option, dedup, f"{_ONE_KEY}, or give equal calls the same task_id"
    if (value := value_of(FOR)) is not None:
        yield FOR, value, _ONE_KEY
    if (value := value_of("group_concurrency")) != 1:
        yield "group_concurrency", value, f"use 1, or {_ONE_KEY}"
    if (value := value_of("group_rate")) is not None:
        yield "group_rate", value, _ONE_KEY
    if task is not None and (value := size_of(task)):
        yield BATCH, value, f"leave it out, or {_ONE_KEY}"
    if (value := value_of(HOLD)) == "chain":
        yield HOLD, value, f"use 'task', or {_ONE_KEY}"
    if (value := said.get(ORDER.option) or (task and key_spec(task, ORDER.option)) or settings.order_by) is not None:
        yield ORDER.option, value, _ONE_KEY
    if (value := said.get(FAIR.option) or (task and key_spec(task, FAIR.option)) or settings.fair_key) is not None:
        yield FAIR.option, value, _ONE_KEY
    if (value := value_of("group_on_retry")) == "release":
        yield "group_on_retry", value, "use 'hold': a retry keeps all of its places"
    if value_of("group_max_depth") is not None and (value := value_of("group_overflow")) == "drop_oldest":
        yield "group_overflow", value, "use 'raise' or 'drop_new'"
    countdown, eta = times.get("countdown"), times.get("eta")
    is_timed = countdown > 0 if countdown is not None else delay_ms(app, eta) > 0
    if is_timed and (value := value_of("group_eta")) == "at_due":
        yield "group_eta", value, "use 'reserve': the task takes its places now, and its groups wait for the ETA"


def keys_header(keys: tuple[str, ...]) -> dict[str, list[str]]:
    """Return the header with the keys of a task that has several."""
    return {KEYS_HEADER: list(keys)} if len(keys) > 1 else {}


def other_key(run: Continuation, key: str | None, name: str) -> str | None:
    """Return the key of a task that replaces a run, when it has other ones than the run; else None.

    Args:
        run: The run.
        key: Of the task, see `group_key`; None: it has none.
        name: Of the task.

    Raises:
        InvalidOption: It has, and one of the two has several: then it can have no place.
    """
    own, new = run.keys, keys_of(key or "")
    if key is None or set(own) == set(new):
        return None
    if len(own) > 1 or len(new) > 1:
        raise InvalidOption(
            f"{name} with the group keys {list(new)!r} can't replace a run with {list(own)!r}: where one of them has "
            "several, both need the same ones. Send it as a task of its own."
        )
    return key
