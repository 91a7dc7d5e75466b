"""Order values of calls: those of a group that wait at the same time run in the order of these; `group_order_by`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation, localcontext
from math import ceil
from typing import Any, NamedTuple

from celery.utils.time import maybe_iso8601, maybe_make_aware

from celery_groupfifo.errors import InvalidOption, MissingGroupKey
from celery_groupfifo.sending.grouping import ORDER, argument_of, key_spec, made_value
from celery_groupfifo.sending.options import policy_of
from celery_groupfifo.settings import OrderBy, Settings

WINDOW = "group_reorder_window"
#: Digits that a value may have before its point, and behind it.
MOST_DIGITS = 40

_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d{1,4})?", re.IGNORECASE)
_SECONDS = re.compile(r"(:\d\d)[.,](\d+)")
_COMPLEMENT = str.maketrans("0123456789", "9876543210")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Sorting(NamedTuple):
    """The maker of the order values of a task's calls.

    Attributes:
        spec: Makes the value of a call; None: it is given.
        given: The value, with a call; None: it is made.
        window: Milliseconds that a call waits for those with lower values.
    """

    spec: OrderBy | None
    given: object
    window: int

    def value(self, task: Any, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """Return the value of one call, as the gate compares it.

        Args:
            task: None where its code is not loaded.
            name: Of the task.
            args: Of the call.
            kwargs: Of the call.

        Raises:
            MissingGroupKey: It can't be built from these arguments.
            InvalidOption: It is neither a number nor a time.
        """
        if self.given is not None:
            return sortable(self.given, name)
        if task is None:
            raise MissingGroupKey(
                f"The order value {self.spec!r} of {name} can't be built, as the task's code is not loaded here: pass "
                "group_order_by=… with the call."
            )
        assert self.spec is not None
        if isinstance(self.spec, str) and self.spec.isidentifier():
            made = argument_of(self.spec, task, name, args, kwargs, ORDER)
        else:
            made = made_value(self.spec, task, name, args, kwargs, ORDER)
        return sortable(made, name)


def order_of(task: Any, name: str, said: Mapping[str, Any], settings: Settings) -> Sorting | None:
    """Return the maker of the order value of a call; None: it has none.

    Args:
        task: None where its code is not loaded.
        name: Of the task.
        said: Our options of the call.
        settings: Of the app.

    Raises:
        InvalidOption: It has one, and no window.
    """
    given = said.get(ORDER.option)
    spec: Any = None if given is not None or task is None else key_spec(task, ORDER.option)
    if given is None and spec is None:
        spec = settings.order_by
    if given is None and spec is None:
        return None
    window = policy_of(task, said, WINDOW, settings)
    if window is None:
        raise InvalidOption(
            f"{name} has a {ORDER.option}, and no {WINDOW}: set that to the seconds that a call waits for those with "
            "lower values, with the call, on the task, or as groupfifo_reorder_window."
        )
    return Sorting(spec, given, ceil(window * 1000))


def sortable(value: object, name: str) -> str:
    """Return an order value as digits: of two values the lower one is the lower text.

    That is `1`, the number of digits before the point as two digits, these, and those behind it. Of a value below 0 all
    digits are replaced by what they lack to 9.

    Args:
        value: A number, or a time, or a text of one. A time without a zone is one in UTC.
        name: Of the task.

    Raises:
        InvalidOption: It is no such value, or has too many digits.
    """
    number = _number(value)
    if number is None or not number.is_finite():
        raise InvalidOption(
            f"The order value of {name} is {value!r}: it has to be a number, a datetime, or a text of one of them, as "
            "'17.5' or '2030-01-31T12:00:00Z'."
        )
    if number.adjusted() >= MOST_DIGITS or int(number.as_tuple().exponent) < -10 * MOST_DIGITS:
        digits, rest = "", "?" * (MOST_DIGITS + 1)  # it would be written with very many digits
    else:
        digits, _, rest = f"{number.copy_abs():f}".partition(".")
    digits, rest = digits.lstrip("0"), rest.rstrip("0")
    if len(digits) > MOST_DIGITS or len(rest) > MOST_DIGITS:
        raise InvalidOption(
            f"The order value of {name} is {number:.6g}: it may have {MOST_DIGITS} digits before its point and as many "
            "behind it. Round it."
        )
    if number < 0:
        return "0" + f"{len(digits):02}{digits}{rest:0<{MOST_DIGITS}}".translate(_COMPLEMENT)
    return f"1{len(digits):02}{digits}{rest}"


def shown_value(text: str) -> str:
    """Return an order value as a number in plain digits, given what `sortable` has made of it."""
    below, text = text[:1] == "0", text[1:]
    if below:
        text = text.translate(_COMPLEMENT)
    size = 2 + int(text[:2])
    rest = text[size:].rstrip("0")
    return f"{'-' if below else ''}{text[2:size] or '0'}{'.' if rest else ''}{rest}"


def _number(value: object) -> Decimal | None:
    """Return a value as an exact number; a time as the seconds since 1970."""
    if isinstance(value, bool):
        return None
    if isinstance(value, datetime):
        return _seconds(maybe_make_aware(value))
    if isinstance(value, str):
        return _read(value.strip())
    if isinstance(value, float):
        return Decimal(repr(float(value)))
    if isinstance(value, int):
        return Decimal(int(value))
    return value if isinstance(value, Decimal) else None


def _read(text: str) -> Decimal | None:
    if _NUMBER.fullmatch(text):
        return Decimal(text)
    fraction = _SECONDS.search(text)  # of any length: a datetime has only six digits
    try:
        time = maybe_iso8601(_SECONDS.sub(r"\1", text, count=1))
        if time is None:
            return None
        with localcontext() as context:
            context.prec = 3 * MOST_DIGITS
            return _seconds(maybe_make_aware(time)) + Decimal(f"0.{fraction[2]}" if fraction else 0)
    except (ValueError, OverflowError, InvalidOperation):
        return None


def _seconds(when: datetime) -> Decimal:
    since = (when - _EPOCH) // timedelta(microseconds=1)
    return Decimal(since).scaleb(-6)
