"""The goals of the rows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """A bound.

    Attributes:
        least: The figure must not be below; None: it may.
        most: The figure must not be above; None: it may.
        absolute: True for a bound of the measured value itself, False for its ratio to the reference's.
        unit: Of an absolute bound, or of one of the difference.
        beyond: True for a bound of how far the value is above the reference's.
    """

    least: float | None = None
    most: float | None = None
    absolute: bool = False
    unit: str = ""
    beyond: bool = False

    def reached(self, figure: float) -> bool:
        """Return whether a figure is within the bound."""
        return (self.least is None or figure >= self.least) and (self.most is None or figure <= self.most)

    def __str__(self) -> str:
        if self.least is None and self.most is None:
            return "-"
        sign, bound = ("≥", self.least) if self.least is not None else ("≤", self.most)
        if self.beyond:
            return f"{sign} {bound:g} {self.unit} more"
        return f"{sign} {bound:g}{f' {self.unit}'.rstrip() if self.absolute else 'x'}"


#: No goal: the row is for information.
NONE = Goal()


def at_least(ratio: float) -> Goal:
    """Return the goal of a ratio to the reference of this or more."""
    return Goal(least=ratio)


def at_most(ratio: float) -> Goal:
    """Return the goal of a ratio to the reference of this or less."""
    return Goal(most=ratio)


def more_at_most(bound: float, unit: str) -> Goal:
    """Return the goal of a value that is above the reference's by this or less."""
    return Goal(most=bound, unit=unit, beyond=True)


def value_at_least(bound: float, unit: str = "") -> Goal:
    """Return the goal of a value of this or more."""
    return Goal(least=bound, absolute=True, unit=unit)


def value_at_most(bound: float, unit: str = "") -> Goal:
    """Return the goal of a value of this or less."""
    return Goal(most=bound, absolute=True, unit=unit)
