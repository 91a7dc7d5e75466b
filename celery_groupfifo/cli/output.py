"""The output of the commands: a table or a sentence for people, JSON for scripts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any

import click

from celery_groupfifo.groups.view import Check, Group, plain
from celery_groupfifo.printing import printable

#: JSON leaves these as they are, and a terminal may obey them.
_CONTROL = re.compile(r"[^\x00-\x7e]")


def say(line: str = "", err: bool = False) -> None:
    """Print a line, whose control characters are escaped."""
    click.echo(printable(line), err=err)


def as_json(value: Any) -> None:
    """Print a value as JSON, whose control characters are escaped."""
    text = json.dumps(plain(value), ensure_ascii=False, default=str)
    click.echo(_CONTROL.sub(lambda each: each[0] if each[0].isprintable() else json.dumps(each[0])[1:-1], text))


def checks(found: Iterable[Check]) -> None:
    """Print checks: what each has found, why it matters, and what to do."""
    for check in found:
        say(f"{'ok' if check.ok else '!!'}  {check.name}: {check.what}")
        if not check.ok:
            say(f"    why: {check.why}")
            say(f"    remedy: {check.remedy}")


def called(args: str, kwargs: str) -> str:
    """Return the arguments of a task in words; empty when it has none."""
    return ", ".join(said for said, none in ((args, "()"), (kwargs, "{}")) if said not in ("", none))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under a head, each column as wide as its widest cell; print nothing without rows."""
    for line in lines(head, rows):
        say(line)


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
    workers = ",".join(dict.fromkeys(run.worker for run in group.running))  # a batch has many runs on one
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
