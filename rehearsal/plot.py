"""The curves over the day, as SVG: written without a library, so that none has to be installed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 760, 260, 80, 24, 64, 40
_COLOURS = ("#3b78c3", "#d98e5f", "#5f9e6e")
_GREY, _BLACK = "#5f6368", "#202124"
#: Lines across a chart; hours between two marks below it, and marks at most.
_STEPS = 4
_HOURS, _MARKS = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 6, 12, 24), 10


class Curve(NamedTuple):
    """One curve: a name for people, and the figure of a sample."""

    title: str
    figure: str
    scale: float = 1.0


class Chart(NamedTuple):
    """One chart: its file, its title, its unit, and its curves."""

    name: str
    title: str
    unit: str
    curves: tuple[Curve, ...]


CHARTS = (
    Chart("time", "Time in a call of a script", "µs", (Curve("mean", "mean_us"), Curve("half of the calls", "p50_us"))),
    Chart("slowest", "Time in a call, 99 of 100 take no longer", "µs", (Curve("p99", "p99_us"),)),
    Chart("memory", "Memory of the server", "MB", (Curve("used_memory", "memory", 1e-6),)),
    Chart("depth", "At the gate", "", (Curve("tasks", "tasks"), Curve("groups with tasks", "groups"))),
    Chart(
        "load",
        "Slots and tickets",
        "",
        (Curve("busy slots", "busy"), Curve("tickets in the list", "queued"), Curve("workers", "workers")),
    ),
)


def draw(directory: Path, said: dict[str, Any]) -> list[Path]:
    """Draw the curves of a rehearsal.

    Args:
        directory: Of the files.
        said: The figures, as report.py writes them.

    Returns:
        The files.
    """
    directory.mkdir(parents=True, exist_ok=True)
    drawn = []
    for chart in CHARTS:
        path = directory / f"rehearsal-{chart.name}.svg"
        path.write_text(_chart(chart, said), encoding="utf-8")
        drawn.append(path)
    return drawn


def _subtitle(said: dict[str, Any]) -> str:
    plan, place = said["plan"], said["environment"]
    return (
        f"{plan['workers']:,} workers, {plan['groups']:,} groups, {said['counts']['accepted']:,} tasks, seed "
        f"{plan['seed']} · {place['server']} · {place['when'][:10]}"
    )


def _chart(chart: Chart, said: dict[str, Any]) -> str:
    samples: Sequence[dict[str, float]] = said["samples"]
    last = max((each["hours"] for each in samples), default=0) or 1.0
    values = {curve: [each[curve.figure] * curve.scale for each in samples] for curve in chart.curves}
    most = _rounded(max((max(each, default=0.0) for each in values.values()), default=0.0))
    across, up = (_WIDTH - _LEFT - _RIGHT) / last, (_HEIGHT - _TOP - _BOTTOM) / most
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        _text(16, 24, f"{chart.title}{f', {chart.unit}' if chart.unit else ''}", 15),
        _text(16, 42, _subtitle(said), 11, _GREY),
    ]
    for step in range(_STEPS + 1):
        y = _HEIGHT - _BOTTOM - step * (_HEIGHT - _TOP - _BOTTOM) / _STEPS
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" stroke="#e8eaed"/>')
        parts.append(_text(_LEFT - 8, y + 4, f"{most * step / _STEPS:,.5g}", 11, _GREY, "end"))
    hours = next(each for each in _HOURS if last / each <= _MARKS or each == _HOURS[-1])
    for mark in range(int(last / hours) + 1):
        parts.append(_text(_LEFT + mark * hours * across, _HEIGHT - 22, f"{mark * hours:g} h", 11, _GREY, "middle"))
    for number, (curve, heights) in enumerate(values.items()):
        points = " ".join(
            f"{_LEFT + each['hours'] * across:.1f},{_HEIGHT - _BOTTOM - height * up:.1f}"
            for each, height in zip(samples, heights, strict=True)
        )
        colour = _COLOURS[number]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(_text(_LEFT + 8 + 150 * number, _HEIGHT - 6, curve.title, 12, colour))
    return "\n".join([*parts, "</svg>", ""])


def _rounded(value: float) -> float:
    """Return a round number that is not below a value."""
    step = 1.0
    while step < value:
        step *= 10
    return next((step * part for part in (0.2, 0.4, 0.6, 0.8) if step * part >= value), step)


def _text(x: float, y: float, text: str, size: int, colour: str = _BLACK, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}">{escape(text)}</text>'
    )
