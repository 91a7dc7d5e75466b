"""The tenant of a call, and its weight: the options `group_fair_key` and `group_fair_weight`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from celery_groupfifo.errors import MissingGroupKey
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.records import Fair
from celery_groupfifo.sending.grouping import FAIR, checked_key, key_spec, made_key
from celery_groupfifo.sending.options import policy_of
from celery_groupfifo.settings import Settings

WEIGHT = "group_fair_weight"


def fair_of(
    task: Any, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], said: Mapping[str, Any], settings: Settings
) -> str:
    """Return the tenant of a call and its weight, as the gate stores them; empty: it has none.

    Args:
        task: None where its code is not loaded.
        name: Of the task.
        args: Of the call.
        kwargs: Of the call.
        said: Our options of the call.
        settings: Of the app.

    Raises:
        MissingGroupKey: Its fair key can't be built from these arguments.
        InvalidGroupKey: The result is no key.
    """
    given = said.get(FAIR.option)
    spec = None if given is not None or task is None else key_spec(task, FAIR.option)
    spec = settings.fair_key if spec is None else spec
    if given is not None:
        key = checked_key(given, name, FAIR)
    elif spec is None:
        return ""
    elif task is None:
        raise MissingGroupKey(
            f"The fair key {spec!r} of {name} can't be built, as the task's code is not loaded here: pass "
            "group_fair_key=… with the call."
        )
    else:
        key = made_key(spec, task, name, args, kwargs, FAIR)
    return Fair(policy_of(task, said, WEIGHT, settings), quote(key)).text()
