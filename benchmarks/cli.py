"""The command line: choose rows, run them, show the results."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import environment, groupmq, plot, report
from benchmarks import session as sessions
from benchmarks.bench import Bench
from benchmarks.rows import Row, rows
from celery_groupfifo.testing import rabbitmq

_RESULTS = Path(__file__).parent / "results"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure ordered tasks against plain Celery, in turn, on a server of their own.",
    )
    parser.add_argument("--full", action="store_true", help="all rows and larger backlogs (short: within 3 minutes)")
    parser.add_argument("--only", action="append", metavar="NAME", help="this row, also of --full; may be repeated")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="runs of each arm (default 3)")
    parser.add_argument("--json", type=Path, default=_RESULTS / "latest.json", metavar="FILE", help="where figures go")
    parser.add_argument("--plot", type=Path, default=_RESULTS / "plots", metavar="DIR", help="where charts go (SVG)")
    parser.add_argument("--list", action="store_true", help="name the rows and what they must reach, and end")
    return parser


def _chosen(only: Sequence[str] | None, full: bool) -> list[Row]:
    every = {row.name: row for row in rows(full=True)}
    if not only:
        return rows(full)
    unknown = sorted(set(only) - set(every))
    if unknown:
        raise SystemExit(f"There is no row {', '.join(unknown)}. The rows are: {', '.join(every)}")
    short = {row.name: row for row in rows(full)}
    return [short.get(name, every[name]) for name in every if name in only]


def _display() -> tuple[Callable[[str], None], Callable[[Sequence[report.Line]], None]]:
    """Return functions that show a line and the table: with rich on a terminal that has it."""

    def plain_table(lines: Sequence[report.Line]) -> None:
        print(report.table(lines))

    def plain_line(text: str) -> None:
        print(text, flush=True)

    if not sys.stdout.isatty():
        return plain_line, plain_table
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:  # rich is optional
        return plain_line, plain_table
    console = Console(highlight=False)

    def rich_table(lines: Sequence[report.Line]) -> None:
        shown = Table(*report.HEADINGS)
        for line in lines:
            style = {report.REACHED: "green", report.MISSED: "red"}.get(line.verdict, "yellow")
            shown.add_row(*line.cells()[:-1], f"[{style}]{line.cells()[-1]}[/]")
        console.print(shown)

    return lambda text: console.print(text, style="dim", markup=False), rich_table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks. Returns 1 when a row misses its goal."""
    options = _parser().parse_args(arguments)
    chosen = _chosen(options.only, options.full)
    if options.list:
        for row in chosen:
            print(f"{row.name:14} {row.title} · {row.goal}{' · only with --full' if row.full else ''}")
        return 0
    if not rabbitmq.installed():
        chosen = [row for row in chosen if row.name != "rabbitmq"]
    say, show = _display()
    if groupmq.folder() is None and any(row.name == "server-busy" for row in chosen):
        say(f"The row server-busy has no reference. To compare it with GroupMQ, {groupmq.HOW}.")
    began = time.monotonic()
    with Bench() as bench:
        place = environment.describe(bench.server, bench.client)
        say(environment.in_a_line(place))
        found = sessions.run(bench, chosen, options.repeats, say)
    lines = [report.judge(row, found) for row in chosen]
    show(lines)
    for note in report.order_notes(chosen, found):
        say(note)
    said: dict[str, Any] = {"full": options.full, "only": options.only, "repeats": options.repeats}
    report.write(options.json, place, said, lines, found)
    charts = plot.draw(options.plot, chosen, lines, found)
    say(f"{time.monotonic() - began:.0f} s · figures: {options.json} · {charts} charts: {options.plot}")
    return int(any(line.verdict == report.MISSED for line in lines))
