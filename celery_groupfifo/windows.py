"""Numbers of events within a time: the rate of a group, and its circuit breaker."""

from __future__ import annotations

import re
from typing import NamedTuple


class Breaker(NamedTuple):
    """The circuit breaker of a group, see `Settings.break_after`: a number of failures, and times in milliseconds."""

    most: int
    window: int
    pause: int

    def __str__(self) -> str:
        return f"{self.most} final failures within {self.window / 1000:g} s"

    @classmethod
    def parse(cls, text: object) -> Breaker | None:
        """Read `failures/window` or `failures/window/pause`, such as `5/60s`; None when the text is not so."""
        found = re.fullmatch(r"(\d+)/(\d+(?:\.\d+)?)([smh])(?:/(\d+(?:\.\d+)?)([smh]))?", str(text))
        if found is None:
            return None
        window = round(float(found[2]) * _UNITS[found[3]])
        pause = window if found[4] is None else round(float(found[4]) * _UNITS[found[5]])
        fits = int(found[1]) and all(LEAST_WINDOW <= each <= LONGEST * 1000 for each in (window, pause))
        return cls(int(found[1]), window, pause) if fits else None


class Rate(NamedTuple):
    """The rate of a group, see `Settings.rate`: a number of starts within milliseconds."""

    starts: int
    window: int

    def __str__(self) -> str:
        unit = _WORDS.get(self.window)
        return f"{self.starts}/{unit}" if unit else f"{self.starts}/{self.window / 1000:g}s"

    @classmethod
    def parse(cls, text: object) -> Rate | None:
        """Read `starts/unit` or `starts/window`, such as `10/s` or `3/20s`; None when the text is not so."""
        found = re.fullmatch(r"(\d+)/(\d+(?:\.\d+)?)?([smh])", str(text))
        if found is None:
            return None
        rate = cls(int(found[1]), round(float(found[2] or 1) * _UNITS[found[3]]))
        return rate if 1 <= rate.starts <= MOST_STARTS and LEAST_WINDOW <= rate.window <= LONGEST * 1000 else None


#: Seconds (95 years) of any span: the gate keeps its times in ranges of numbers, and Celery can't write later times.
LONGEST = 3_000_000_000
#: Starts that a rate may count: the gate keeps the time of each. A higher rate has the same in less time.
MOST_STARTS, LEAST_WINDOW = 1000, 100
#: Milliseconds.
_UNITS = {"s": 1000, "m": 60_000, "h": 3_600_000}
_WORDS = {window: unit for unit, window in _UNITS.items()}
#: Stands for no circuit breaker in the arguments of a script.
NO_BREAKER = Breaker(0, 0, 0)
