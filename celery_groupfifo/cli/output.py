"""The output of the commands: a table or a sentence for people, JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any

import click

from celery_groupfifo.groups.view import Group, plain


def as_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(plain(value), ensure_ascii=False, default=str))


def printable(text: str) -> str:
    """Return a text that is safe on a terminal: one with unprintable characters is escaped."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under a head, each column as wide as its widest cell; print nothing without rows."""
    for line in lines(head, rows):
        click.echo(line)


def lines(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines that `table` prints."""
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    if not cells:
        return []
    widths = [max(len(row[at]) for row in [list(head), *cells]) for at in range(len(head))]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in [head, *cells]]
    return ["  ".join(row).rstrip() for row in padded]


GROUP_HEAD = ("KEY", "STATE", "DEPTH", "AGE", "HEAD", "WORKER", "REASON")


def group_row(group: Group) -> tuple[object, ...]:
    """Return a group as a row."""
    workers = ",".join(run.worker for run in group.running)
    return (group.key, group.state, group.depth, age(group.oldest_age), group.head or "-", workers or "-", group.reason)


def age(seconds: float | None) -> str:
    """Return a span of seconds as one word."""
    if seconds is None:
        return "-"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.1f}{unit}"
    return f"{seconds:.1f}s"


def when(moment: datetime | None) -> str:
    """Return a time as text for people, in UTC."""
    return "-" if moment is None else moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
