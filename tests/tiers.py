"""Which tests run when: `make test-fast`, `make test`, `make test-all`.

- fast: no worker processes, within 40 seconds. While one writes code.
- main: with the fast ones, within six minutes on two cores: each promise once. Before a commit; the README names it.
- rest: more seeds, pools, versions of a case, and what takes long. Before a merge; CI runs all three.
"""

from __future__ import annotations

from enum import Enum


class Tier(Enum):
    """One of the three; each test belongs to one."""

    FAST = "fast"
    MAIN = "main"
    REST = "rest"


#: What `--tier` takes.
TIERS = {
    "fast": frozenset({Tier.FAST}),
    "main": frozenset({Tier.FAST, Tier.MAIN}),
    "rest": frozenset({Tier.REST}),
}

#: Beginnings of test ids; the longest that fits counts.
PLACES: dict[str, Tier] = {}


def tier_of(test: str) -> Tier:
    """Return the tier of a test id."""
    fitting = [place for place in PLACES if test.startswith(place)]
    return PLACES[max(fitting, key=len)] if fitting else Tier.MAIN
