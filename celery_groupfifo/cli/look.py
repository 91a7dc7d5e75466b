"""The commands that read."""

from __future__ import annotations

import click

from celery_groupfifo.cli.output import GROUP_HEAD, age, as_json, group_row, printable, table, when
from celery_groupfifo.cli.root import ID, KEY, NOTHING, SORT, STATE, command, limit, option
from celery_groupfifo.errors import UnknownGroup
from celery_groupfifo.groups import Groups
from celery_groupfifo.groups.view import count


def list_(groups: Groups, state: str | None, sort: str, limit: int, cursor: str | None, json_: bool) -> None:
    """List groups, the deepest first."""
    page = groups.list(state, sort, limit, cursor)
    if json_:
        return as_json({"groups": list(page), "cursor": page.cursor})
    table(GROUP_HEAD, map(group_row, page))
    if page.cursor:
        click.echo(f"More: --cursor {page.cursor}", err=True)
    elif not page and cursor is None:
        click.echo("No group" + (f" is {state}." if state else " holds a task."), err=True)
    return None


def show(groups: Groups, key: str, limit: int, offset: int, json_: bool) -> None:
    """Show one group: its running task, and the tasks in line."""
    group, tasks = groups.get(key), groups.tasks(key, limit, offset)
    if json_:
        return as_json({"group": group, "tasks": tasks})
    said = {
        "key": printable(group.key),
        "state": group.state,
        "depth": group.depth,
        "head": group.head or "-",
        "oldest": age(group.oldest_age),
        "reason": printable(group.reason),
        "by": printable(group.by),
        "since": when(group.since) if group.since else "",
        "due": when(group.due) if group.due else "",
        "last error": printable(group.last_error or ""),
    }
    for name, value in said.items():
        if value != "":
            click.echo(f"{name + ':':<12}{value}")
    for run in group.running:
        click.echo(
            f"{'running:':<12}{printable(run.task)}[{run.task_id}] on {run.worker} since {when(run.since)}, "
            f"fence {run.fence}, lease {run.lease_left:.1f}s"
        )
    if tasks:
        click.echo()
    table(
        ("PLACE", "ID", "TASK", "ARGS", "PARKED", "RETRIES"),
        [(task.place, task.task_id, task.task, task.args, when(task.parked_at), task.retries) for task in tasks],
    )
    return None


def explain(groups: Groups, key: str, no_workers: bool, json_: bool) -> int:
    """Explain in one sentence why a group moves or does not, and when it moves next."""
    sentence = groups.explain(key, ask_workers=not no_workers)
    try:
        state = groups.get(key).state
    except UnknownGroup:
        state = "empty"
    if json_:
        as_json({"key": key, "state": state, "sentence": sentence})
    else:
        click.echo(printable(sentence))
    return NOTHING if state == "empty" else 0


def find(groups: Groups, id: str, json_: bool) -> int:
    """Show the group, the state and the place of a task."""
    found = groups.find(id)
    if json_:
        as_json({"found": found})
        return 0 if found else NOTHING
    if found is None:
        click.echo(f"Task {printable(id)} is not at the gate: it has ended, or was never sent.", err=True)
        return NOTHING
    text = f"Task {printable(found.task)}[{printable(found.task_id)}] of group {found.key!r} is {found.state}"
    if found.place is not None:
        text += f", with {count(found.place)} before it in line"
    if found.running is not None:
        text += f" on {found.running.worker} since {when(found.running.since)} under fence {found.running.fence}"
    if found.due is not None:
        text += f", due {when(found.due)}"
    click.echo(f"{text}; parked {when(found.parked_at)}.")
    return 0


def stats(groups: Groups, json_: bool) -> None:
    """Count the tasks and groups at the gate, and the totals so far."""
    said = groups.stats()
    if json_:
        return as_json(said)
    totals, deepest = said.pop("totals"), said.pop("deepest")
    for name, value in said.items():
        click.echo(f"{name.replace('_', ' ') + ':':<15}{value}")
    if deepest:
        click.echo(f"{'deepest:':<15}{printable(deepest['key'])} ({count(deepest['depth'])})")
    for name, value in sorted(totals.items()):
        click.echo(f"{name.replace('_', ' ') + ' so far:':<28}{value}")
    return None


def dead_letters(groups: Groups, key: str | None, limit: int, json_: bool) -> None:
    """List dead letters, newest first."""
    letters = groups.dead_letters(key, limit)
    if json_:
        return as_json(letters)
    table(
        ("ID", "KEY", "TASK", "ARGS", "WHEN", "WHY"),
        [(each.id, each.key, each.task or "-", each.args, when(each.when), each.exception) for each in letters],
    )
    if not letters:
        click.echo("There are no dead letters.", err=True)
    return None


COMMANDS = [
    command(
        "list",
        list_,
        STATE,
        SORT,
        limit(100, "The largest number of groups."),
        option("--cursor", help="The cursor that the previous page has printed."),
    ),
    command(
        "show",
        show,
        KEY,
        limit(20, "The largest number of tasks in line."),
        option("--offset", type=click.IntRange(0), default=0, help="The first place in line, from 0."),
    ),
    command("explain", explain, KEY, option("--no-workers", is_flag=True, help="Do not ask the workers.")),
    command("find", find, ID),
    command("stats", stats),
    command(
        "dead-letters",
        dead_letters,
        click.Argument(["key"], required=False),
        limit(100, "The largest number of dead letters."),
    ),
]
