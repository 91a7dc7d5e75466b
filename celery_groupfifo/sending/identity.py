"""Identities of calls: a call is a duplicate of an earlier one with the same identity; the options `group_dedup_…`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple

from celery_groupfifo.errors import MissingGroupKey
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Dedup
from celery_groupfifo.sending.grouping import DEDUP, KeySpec, checked_key, key_spec, made_key
from celery_groupfifo.sending.options import policy_of
from celery_groupfifo.settings import Settings

FOR = "group_dedup_for"


class Dedupe(NamedTuple):
    """The maker of the identities of a task's calls.

    Attributes:
        spec: Makes the dedup key of a call; None: its id counts.
        given: The dedup key itself, with a call; None: it is made.
        after: Milliseconds for which it counts after the end.
    """

    spec: KeySpec | None
    given: object
    after: int

    def identity(self, task: Any, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], task_id: str) -> Dedup:
        """Return the identity of one call.

        Args:
            task: None where its code is not loaded.
            name: Of the task.
            args: Of the call.
            kwargs: Of the call.
            task_id: Of the call.

        Raises:
            MissingGroupKey: Its dedup key can't be built from these arguments.
            InvalidGroupKey: The result is no key.
        """
        if self.given is not None:
            return Dedup(quote(checked_key(self.given, name, DEDUP)), self.after)
        if self.spec is None:
            return Dedup(f";{quote(task_id)}", self.after)
        if task is None:
            raise MissingGroupKey(
                f"The dedup key {self.spec!r} of {name} can't be built, as the task's code is not loaded here: pass "
                "group_dedup_key=… with the call."
            )
        return Dedup(quote(made_key(self.spec, task, name, args, kwargs, DEDUP)), self.after)


def dedupe_of(task: Any, said: Mapping[str, Any], on_duplicate: str, settings: Settings) -> Dedupe | None:
    """Return the maker of the identity of a call; None: its id counts alone, while its task is there.

    Args:
        task: None where its code is not loaded.
        said: Our options of the call.
        on_duplicate: The policy that counts for it.
        settings: Of the app.
    """
    given = said.get(DEDUP.option)
    spec: KeySpec | None = None if given is not None or task is None else key_spec(task, DEDUP.option)
    if given is None and spec is None:
        spec = settings.dedup_key
    is_latest = on_duplicate == "keep_latest"
    seconds = None if is_latest else policy_of(task, said, FOR, settings)
    if given is None and spec is None and not seconds and not is_latest:
        return None
    return Dedupe(spec, given, ceil((seconds or 0) * 1000))


def is_awaited(headers: Mapping[str, Any], body: Any) -> bool:
    """Return whether others wait for the result of a message's id: it is a part of a canvas, or a task has sent it.

    Args:
        headers: Of the message.
        body: Its arguments, and what goes on after it.
    """
    embed = body[2] if isinstance(body, (tuple, list)) and len(body) > 2 else {}
    goes_on = bool(embed.get("chain") or embed.get("chord"))
    return goes_on or bool(headers.get("group")) or headers.get("root_id") != headers.get("id")
