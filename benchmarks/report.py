"""The report: verdicts from runs, the table, and the file with all figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.goals import NONE
from benchmarks.rows import Row
from benchmarks.session import Results

REACHED, MISSED, UNKNOWN, TOLD = "reached", "missed", "not measured", "for information"
HEADINGS = ("row", "reference", "grouped", "ratio", "must reach", "verdict")


@dataclass(frozen=True)
class Line:
    """A row and its result.

    Attributes:
        name: Of the row.
        title: For people.
        unit: Of the figures.
        reference: The reference's median; None: there is none.
        value: The median of the judged arm.
        ratio: Of the two.
        goal: The bound to reach.
        aim: The wished value.
        verdict: REACHED, MISSED or UNKNOWN; TOLD without a goal.
        why: The obstacle, when it is unknown.
    """

    name: str
    title: str
    unit: str
    reference: float | None
    value: float | None
    ratio: float | None
    goal: str
    aim: str
    verdict: str
    why: str = ""

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        ratio = "-" if self.ratio is None else f"{self.ratio:.2f}x"
        figures = (_shown(self.reference), f"{_shown(self.value)} {self.unit}".strip())
        return (self.title, *figures, ratio, self.goal, self.verdict if not self.why else f"{self.verdict}: {self.why}")


def judge(row: Row, results: Results) -> Line:
    """Return the result of a row."""
    figure_of = results.lowest if row.best else results.middle
    value = figure_of(row.scenario, row.arm, row.metric)
    reference = results.middle(row.scenario, row.reference, row.metric) if row.reference else None
    ratio = results.ratio(row.scenario, row.arm, row.reference, row.metric) if row.reference else None
    figure = value if row.goal.absolute else ratio
    if row.goal.beyond:
        figure = None if value is None or reference is None else value - reference
    if figure is None:
        verdict, why = UNKNOWN, results.failures.get(row.scenario.name, "this system does not tell")
    elif row.goal is NONE:
        verdict, why = TOLD, ""
    else:
        verdict, why = (REACHED if row.goal.reached(figure) else MISSED), ""
    return Line(row.name, row.title, row.unit, reference, value, ratio, str(row.goal), row.aim, verdict, why)


def order_notes(rows: Sequence[Row], results: Results) -> list[str]:
    """Return a sentence on breaches of the order for each scenario whose tasks recorded their runs."""
    notes = []
    for name in dict.fromkeys(row.scenario.name for row in rows):
        counted = [
            f"{arm} {sum(int(each['violations']) for each in runs):,}"
            for arm, runs in results.samples.get(name, {}).items()
            if runs and "violations" in runs[0]
        ]
        if counted:
            notes.append(f"starts out of turn, all runs, {name}: {' · '.join(counted)}")
    return notes


def table(lines: Sequence[Line]) -> str:
    """Return the table as text, which is also Markdown."""
    cells = [HEADINGS, *(line.cells() for line in lines)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]

    def joined(row: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([joined(cells[0]), rule, *map(joined, cells[1:])])


def write(
    path: Path, environment: dict[str, Any], options: dict[str, Any], lines: Sequence[Line], found: Results
) -> None:
    """Write environment, options, results and every single run to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    everything = {
        "environment": environment,
        "options": options,
        "rows": [asdict(line) for line in lines],
        "runs": found.samples,
        "failures": found.failures,
    }
    path.write_text(json.dumps(everything, indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8")


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
