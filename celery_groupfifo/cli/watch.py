"""The command `watch`: a list of groups, shown again and again until it is interrupted."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

import click

from celery_groupfifo.cli.output import GROUP_HEAD, as_json, group_row, lines, say
from celery_groupfifo.cli.root import SORT, STATE, command, limit, option
from celery_groupfifo.errors import GateUnavailable
from celery_groupfifo.groups import Groups, Sort, State, Stats
from celery_groupfifo.groups.view import count
from celery_groupfifo.printing import printable

#: For a terminal: clear all of it, go to its first line, clear the rest of a line, and all below.
CLEAR, HOME, REST, BELOW = "\x1b[2J", "\x1b[H", "\x1b[K", "\x1b[J"


def watch(
    groups: Groups, state: State | None, sort: Sort, limit: int, interval: float, times: int | None, json_: bool
) -> None:
    """Show the groups again and again.

    On a terminal each reading takes the place of the one before; elsewhere they are lines.
    """
    done, put = 0, _screen(json_)
    try:
        while True:
            try:
                put(_snapshot(groups, state, sort, limit))
            except GateUnavailable as error:
                if not done:
                    raise
                put({"error": str(error), "stats": {}, "groups": []})
            done += 1
            if done == times:
                return
            time.sleep(interval)
    except KeyboardInterrupt:
        return


def _snapshot(groups: Groups, state: State | None, sort: Sort, limit: int) -> dict[str, Any]:
    return {"stats": groups.stats(), "groups": list(groups.list(state, sort, limit))}


def _summary(snapshot: dict[str, Any]) -> str:
    if "error" in snapshot:
        return printable(str(snapshot["error"]))
    said: Stats = snapshot["stats"]
    groups, runs = count(said.groups, "group"), count(said.totals.runs_finished, "run")
    return (
        f"{time.strftime('%H:%M:%S')}  {groups}, {said.paused_groups} paused, {said.blocked_groups} blocked; "
        f"{count(said.depth)}: {said.parked} parked, {said.waiting} waiting, {said.running} running, {said.held} held; "
        f"{count(said.dead_letters, 'dead letter')}; {runs} finished so far"
    )


def _screen(json_: bool) -> Callable[[dict[str, Any]], None]:
    """Return a function that shows a snapshot."""
    if json_:
        return as_json
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        click.echo(CLEAR, nl=False)
        return lambda snapshot: click.echo(_drawn(_page(snapshot), shutil.get_terminal_size()), nl=False)
    return _print


def _print(snapshot: dict[str, Any]) -> None:
    for line in _page(snapshot):
        say(line)


def _drawn(page: list[str], size: os.terminal_size) -> str:
    """Return a page for a terminal of a size, over the one before: nothing scrolls."""
    shown = [line[: size.columns] for line in page[: size.lines - 1]]
    return HOME + "".join(f"{line}{REST}\n" for line in shown) + BELOW


def _page(snapshot: dict[str, Any]) -> list[str]:
    return [_summary(snapshot), *lines(GROUP_HEAD, map(group_row, snapshot["groups"]))]


COMMANDS = [
    command(
        "watch",
        watch,
        STATE,
        SORT,
        limit(20, "The largest number of groups."),
        option(
            "--interval",
            type=click.FloatRange(0.1),
            metavar="SECONDS",
            default=1.0,
            show_default=True,
            help="Seconds between two readings.",
        ),
        option(
            "--times",
            type=click.IntRange(1),
            metavar="N",
            help="Number of readings; by default until it is interrupted.",
        ),
    )
]
