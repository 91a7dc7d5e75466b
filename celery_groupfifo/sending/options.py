"""The options of a task and of a call: their names, and the values that a task's class sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from celery_groupfifo.errors import InvalidOption
from celery_groupfifo.gate.model import HEADER
from celery_groupfifo.sending.grouping import is_ordered_class
from celery_groupfifo.settings import OPTIONS, Settings, check_option

KEY = "group_key"
#: May be a callable, as the key may.
_CALLABLE = frozenset({"group_dedup_key", "group_fair_key", "group_order_by"})
#: Options of a task or a call for its group; never a property of the message.
NAMES = frozenset({KEY, *OPTIONS})
#: Belongs to a task alone, as its function has to fit.
OF_TASK = frozenset({"group_batch"})
#: Begins the name of each option; only Celery has other names that begin so.
PREFIX = "group_"
#: Names that begin so must be options: one of a setting or a header has no effect here, and counts as misspelt.
_OURS = (PREFIX, HEADER + "_")
#: Begins the header that gives an option of a call, for callers that can only set headers: `groupfifo_group_key`.
HEADER_PREFIX = HEADER + "_"
_CELERYS = frozenset({"group_id", "group_index"})


def check_names(names: Iterable[str], place: str, known: frozenset[str] = NAMES) -> None:
    """Check that names of options exist.

    Args:
        names: Any names; those that do not look like our options are ignored.
        place: Their place, for the message.
        known: The options that there are in this place.

    Raises:
        InvalidOption: One does not exist; the message names the nearest one.
    """
    for name in names:
        if name.startswith(_OURS) and name not in known and name not in _CELERYS:
            if name in OF_TASK:
                raise InvalidOption(f"{name}, set {place}, is no option of a call: set it on the task.")
            (nearest,) = get_close_matches(name, sorted(known), 1, cutoff=0.0)
            raise InvalidOption(
                f"The option {name}, set {place}, does not exist: the nearest one is {nearest}. "
                f"The options are: {', '.join(sorted(known))}."
            )


def option_of(task: Any, name: str) -> Any:
    """Return a task's value for an option; None when it has none.

    A method or a property of that name belongs to a mixed-in class, and is no value.
    """
    if task is None:
        return None
    for each in (task, *type(task).__mro__):
        value = each.__dict__.get(name)
        if value is not None and _is_value(value):
            return value
    return None


def check_task(task: Any) -> None:
    """Check the options that a task's class sets; of mixed-in classes, only their values.

    Raises:
        InvalidOption: A name that does not exist, a value that does not fit, or code where a value is expected.
    """
    for each in type(task).__mro__:
        if each is type(task) or is_ordered_class(each):
            mine = {name: value for name, value in each.__dict__.items() if name.startswith(_OURS)}
            place = f"on {getattr(task, 'name', None) or each.__name__}"
            check_names((name for name, value in mine.items() if _is_value(value)), place, NAMES | OF_TASK)
            _check_code(mine, place)
    for name in OPTIONS:
        value = option_of(task, name)
        if value is not None:
            check_option(name, value)


def _check_code(said: Mapping[str, Any], place: str) -> None:
    for name in OPTIONS.keys() - _CALLABLE:
        if not _is_value(said.get(name)):
            raise InvalidOption(f"{name} {place} is {said[name]!r}: set it to a value, not to a property or a method.")


def _is_value(value: object) -> bool:
    return not callable(value) and not hasattr(type(value), "__get__")


def policy_of(task: Any, said: Mapping[str, Any], option: str, settings: Settings) -> Any:
    """Return the value of an option that counts for a call: the call's own, else the task's, else the setting's.

    Args:
        task: None where its code is not loaded.
        said: Our options of the call.
        option: Its name, `group_…`.
        settings: Of the app.
    """
    for value in (said.get(option), option_of(task, option)):
        if value is not None:
            return value
    return getattr(settings, OPTIONS[option])
