"""Outcomes of the tests of a part, and the gate's share in them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.compatibility.celery_suite.parts import Part

#: An outcome that stands further to the right is kept: setup, call and teardown of a test each have one.
ORDER = ("passed", "xpassed", "xfailed", "skipped", "failed", "error")
FINE = frozenset({"passed", "xpassed", "xfailed", "skipped"})
UNFINISHED = "unfinished"


@dataclass
class Outcomes:
    """Outcomes of the tests of a part.

    Attributes:
        tests: Test id to outcome; one that began and never ended is "unfinished".
        why: Test id to the last line of its failure.
        reruns: How often tests were repeated by their own wish.
        left: What the gate held at the end; None: nobody came to look.
        parked: How many entries passed the gate.
        seconds: Of the whole process.
        complaint: What is wrong with the whole, if anything is.
    """

    tests: dict[str, str] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    reruns: int = 0
    left: dict[str, list[str]] | None = None
    parked: int = 0
    seconds: float = 0.0
    complaint: str = ""

    @classmethod
    def read(cls, lines: Path) -> Outcomes:
        """From what hooks.py wrote, however far it came."""
        outcomes = cls()
        for line in map(json.loads, lines.read_text().splitlines()):
            if "left" in line:
                outcomes.left = line["left"]
            else:
                outcomes._add(line["test"].removeprefix("t/integration/"), line["outcome"], line.get("why", ""))
        return outcomes

    def _add(self, test: str, outcome: str, why: str) -> None:
        before = self.tests.get(test, UNFINISHED)
        if outcome == "rerun":
            self.reruns += 1
            self.tests[test] = UNFINISHED
        elif outcome == "begun":
            self.tests.setdefault(test, UNFINISHED)
        elif before == UNFINISHED or ORDER.index(outcome) > ORDER.index(before):
            self.tests[test], self.why[test] = outcome, why

    @property
    def unwell(self) -> list[str]:
        """Tests that did not end as they should."""
        return [test for test, outcome in self.tests.items() if outcome not in FINE]

    def __str__(self) -> str:
        counts = Counter(self.tests.values())
        words = [f"{counts[outcome]} {outcome}" for outcome in (*ORDER, UNFINISHED) if counts[outcome]]
        if self.reruns:
            words.append(f"{self.reruns} reruns")
        return ", ".join(words) or "nothing ran"


@dataclass
class Comparison:
    """A part through the gate, and without it where that was needed."""

    part: Part
    gated: Outcomes
    plain: Outcomes | None = None

    @property
    def complaints(self) -> list[str]:
        """Return what the gate is to blame for; empty: nothing."""
        plain, gated, found = self.plain or Outcomes(), self.gated, []
        if gated.complaint and not plain.complaint:
            found.append(gated.complaint)
        for test in gated.unwell:
            if plain.tests.get(test) in FINE:
                why = gated.why.get(test, "")
                found.append(f"{test}: {gated.tests[test]}, without the gate {plain.tests[test]}. {why}")
        found += [f"{test}: did not run" for test in plain.tests if test not in gated.tests]
        found += [f"{len(held)} left in {key}: {', '.join(held[:5])}" for key, held in (gated.left or {}).items()]
        return found
