"""The values that settings and options may have: each check returns what is wanted, or None where the value fits."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import inf
from typing import Any

from celery_groupfifo.windows import LONGEST, MOST_STARTS, Breaker, Rate

#: Tickets of one tenant that may wait in a queue.
MOST_WEIGHT = 1000
#: The highest number of a kind without a bound of its own.
_MOST = {int: inf, float: LONGEST}


def number(kind: type[int] | type[float], least: float) -> Callable[[Any], str | None]:
    """Return the check of a number from `least` on; one of seconds, a float, is `LONGEST` at most."""

    def check(value: Any) -> str | None:
        allowed = (int,) if kind is int else (int, float)
        is_number = isinstance(value, allowed) and not isinstance(value, bool)
        if is_number and _MOST[kind] < value < inf:
            return f"a number from {least:g} to {_MOST[kind]:,}"
        fits = is_number and least <= value < inf
        return None if fits else f"{'a whole' if kind is int else 'a'} number from {least:g} on"

    return check


def limit(kind: type[int] | type[float], least: float) -> Callable[[Any], str | None]:
    """Return the check of such a number, or None."""
    check = number(kind, least)

    def check_limit(value: Any) -> str | None:
        wanted = None if value is None else check(value)
        return wanted and f"{wanted}, or None for no limit"

    return check_limit


def breaker(value: Any) -> str | None:
    """Check the definition of a circuit breaker."""
    fits = value is None or (isinstance(value, str) and Breaker.parse(value) is not None)
    wanted = "'failures/window' or 'failures/window/pause', such as '5/60s' or '5/10m/30s' (s, m or h, from 0.1s on)"
    return None if fits else f"{wanted}, or None for no limit"


def rate(value: Any) -> str | None:
    """Check a rate."""
    fits = value is None or (isinstance(value, str) and Rate.parse(value) is not None)
    wanted = "'starts/unit' or 'starts/window', such as '10/s', '100/m' or '3/20s' (s, m or h, from 0.1s on, at most "
    return None if fits else f"{wanted}{MOST_STARTS} starts), or None for no limit"


def weight(value: Any) -> str | None:
    """Check the weight of a tenant."""
    fits = type(value) is int and 1 <= value <= MOST_WEIGHT
    return None if fits else f"a whole number from 1 to {MOST_WEIGHT}"


def key(value: Any) -> str | None:
    """Check the definition of a dedup key or a fair key."""
    fits = value is None or callable(value) or (isinstance(value, (str, tuple)) and bool(value))
    fits = fits and not (isinstance(value, tuple) and not all(isinstance(name, str) for name in value))
    return None if fits else "a template like '{customer_id}', a tuple of parameter names, a callable, or None"


def order(value: Any) -> str | None:
    """Check the definition of an order value."""
    fits = value is None or callable(value)
    fits = fits or (isinstance(value, str) and (value.isidentifier() or ("{" in value and "}" in value)))
    return None if fits else "the name of a parameter, a template like '{message[sent_at]}', a callable, or None"


def choice(*values: object) -> Callable[[Any], str | None]:
    """Return the check of one of some values."""

    def check(value: Any) -> str | None:
        return None if value in values else " or ".join(repr(choice) for choice in values)

    return check


def namespace(value: Any) -> str | None:
    """Check a namespace."""
    fits = isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", value)
    return None if fits else "1 to 64 letters, digits, dots, dashes or underscores"


def url(value: Any) -> str | None:
    """Check the gate's URL."""
    if isinstance(value, (list, tuple)):
        return "one URL: the gate has to be one server. Sentinels, which know the master, are joined by ';'"
    return None if value is None or (isinstance(value, str) and "://" in value) else "a Redis URL"
