"""The command `watch`: a list of groups, printed again and again until it is interrupted."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from celery_groupfifo.cli.output import GROUP_HEAD, as_json, group_row, lines
from celery_groupfifo.cli.root import SORT, STATE, command, limit, option
from celery_groupfifo.errors import GateUnavailable
from celery_groupfifo.groups import Groups
from celery_groupfifo.groups.view import count


def watch(
    groups: Groups, state: str | None, sort: str, limit: int, interval: float, times: int | None, json_: bool
) -> None:
    """Show the groups again and again: live on a terminal, else as lines."""
    done = 0
    with _screen(json_) as put:
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


def _snapshot(groups: Groups, state: str | None, sort: str, limit: int) -> dict[str, Any]:
    return {"stats": groups.stats(), "groups": list(groups.list(state, sort, limit))}


def _summary(snapshot: dict[str, Any]) -> str:
    if "error" in snapshot:
        return str(snapshot["error"])
    said = snapshot["stats"]
    groups, runs = count(said["groups"], "group"), count(said["totals"].get("runs_finished", 0), "run")
    return (
        f"{time.strftime('%H:%M:%S')}  {groups}, {said['paused_groups']} paused; {count(said['depth'])}: "
        f"{said['parked']} parked, {said['waiting']} waiting, {said['running']} running, {said['held']} held; "
        f"{count(said['dead_letters'], 'dead letter')}; {runs} finished so far"
    )


@contextmanager
def _screen(json_: bool) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yield a function that shows a snapshot."""
    if json_:
        yield as_json
        return
    if sys.stdout.isatty():
        try:
            from rich.live import Live
            from rich.text import Text
        except ImportError:  # rich is optional
            pass
        else:
            with Live(auto_refresh=False) as live:
                yield lambda snapshot: live.update(Text("\n".join(_page(snapshot))), refresh=True)
            return
    yield lambda snapshot: click.echo("\n".join(_page(snapshot)))


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
            default=1.0,
            show_default=True,
            help="Seconds between two readings.",
        ),
        option("--times", type=click.IntRange(1), help="Number of readings; by default until it is interrupted."),
    )
]
