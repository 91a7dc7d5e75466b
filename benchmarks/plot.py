"""The bar charts, one per row, as SVG: written without a library, so that none has to be installed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from statistics import median

from benchmarks.report import Line
from benchmarks.rows import Row
from benchmarks.session import Results

_WIDTH, _LEFT, _TOP, _BAR, _GAP, _RIGHT = 720, 130, 64, 30, 14, 110
_COLOURS = {"plain": "#9aa0a6", "recipe": "#d98e5f", "patient recipe": "#d98e5f"}
_OWN_COLOUR = "#3b78c3"


def draw(directory: Path, rows: Sequence[Row], lines: Sequence[Line], found: Results) -> int:
    """Draw each row that has figures: a bar per arm (its median), a dot per run.

    Returns:
        The number of files that were written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    drawn = 0
    for row, line in zip(rows, lines, strict=True):
        values = _values(row, found)
        if values:
            (directory / f"{row.name}.svg").write_text(_chart(row, line, values), encoding="utf-8")
            drawn += 1
    return drawn


def _values(row: Row, found: Results) -> dict[str, list[float]]:
    samples = found.samples.get(row.scenario.name, {})
    by_arm = {arm: [each[row.metric] for each in runs if row.metric in each] for arm, runs in samples.items()}
    return {arm: values for arm, values in by_arm.items() if values}


def _chart(row: Row, line: Line, values: dict[str, list[float]]) -> str:
    most = max(max(each) for each in values.values()) or 1.0
    scale = (_WIDTH - _LEFT - _RIGHT) / most
    height = _TOP + len(values) * (_BAR + _GAP) + 10
    subtitle = " · ".join(line.cells()[3:])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(16, 26, row.title, 16),
        _text(16, 46, f"{row.unit or row.metric} · {subtitle}", 12, "#5f6368"),
    ]
    for number, (arm, runs) in enumerate(values.items()):
        top, middle = _TOP + number * (_BAR + _GAP), median(runs)
        colour = _COLOURS.get(arm, _OWN_COLOUR)
        parts.append(_text(_LEFT - 10, top + _BAR * 0.65, arm, 13, anchor="end"))
        parts.append(f'<rect x="{_LEFT}" y="{top}" width="{middle * scale:.1f}" height="{_BAR}" fill="{colour}"/>')
        dots = (
            f'<circle cx="{_LEFT + each * scale:.1f}" cy="{top + _BAR / 2}" r="3" fill="#202124"/>' for each in runs
        )
        parts += dots
        parts.append(_text(_LEFT + max(runs) * scale + 10, top + _BAR * 0.65, f"{middle:,.4g}", 13))
    return "\n".join([*parts, "</svg>", ""])


def _text(x: float, y: float, text: str, size: int, colour: str = "#202124", anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}" text-anchor="{anchor}">{escape(text)}</text>'
