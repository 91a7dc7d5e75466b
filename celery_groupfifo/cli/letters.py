"""The commands about dead letters: list them, park them again, discard them."""

from __future__ import annotations

import re
from typing import Any

import click

from celery_groupfifo.cli.act import tell
from celery_groupfifo.cli.output import as_json, say, table, when
from celery_groupfifo.cli.root import BY, REASON, YES, argument, command, confirm, limit, option
from celery_groupfifo.errors import UnknownTask
from celery_groupfifo.groups import End, Groups, verbs
from celery_groupfifo.groups.view import CAUSES, count

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def _seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Read an age: a number of seconds, or a number with a unit."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no age: write 90s, 15m, 12h or 7d.", ctx, param)
    return float(found[1]) * UNITS[found[2]]


SELECTION = (
    option("--task", help="Only those of the task with this name."),
    option("--cause", type=click.Choice(CAUSES), help="Only those with this cause."),
    option("--search", default="", help="Only those with this text in id, key, task, arguments or error."),
    option(
        "--older-than",
        callback=_seconds,
        metavar="AGE",
        help="Only those set aside so long ago, or before: 90s, 15m, 12h, 7d.",
    ),
)
GROUP = option("--group", "key", help="Only those of this group.")
ALL = option("--all", "all_", is_flag=True, help="All dead letters.")
LETTER = argument("id", "The id of a task: its dead letters.", required=False)


def dead_letters(
    groups: Groups, key: str | None, limit: int, cursor: str | None, json_: bool, **selection: Any
) -> None:
    """List dead letters, newest first."""
    page = groups.dead_letters(key, limit, cursor=cursor, **selection)
    if json_:
        return as_json({"dead_letters": list(page), "cursor": page.cursor})
    table(
        ("ID", "KEY", "TASK", "ARGS", "WHEN", "WHY"),
        [(each.id, each.key, each.task or "-", each.args, when(each.when), each.why) for each in page],
    )
    if page.cursor:
        say(f"More: --cursor {page.cursor}", err=True)
    elif not page and cursor is None:
        chosen = key is not None or any(selection.values())
        say("There are no such dead letters." if chosen else "There are no dead letters.", err=True)
    return None


def redrive(
    groups: Groups, id: str | None, to: End, by: str, all_: bool, yes: bool, json_: bool, **selection: Any
) -> int:
    """Park dead letters again.

    The newest one of a task; or those of a selection, or all, in their order.
    """
    _check(id, selection, all_)
    if id is not None:
        return tell(json_, verbs.redrive(groups, id, to, by))
    number = groups.count_dead_letters(**selection)
    if number:
        confirm(f"Park {count(number)}{_words(selection)} again, at the {to}s of their groups?", yes)
    return tell(json_, verbs.redrive_many(groups, selection, to, by))


def discard(
    groups: Groups, id: str | None, reason: str, by: str, all_: bool, yes: bool, json_: bool, **selection: Any
) -> int:
    """Remove dead letters for good.

    Those of a task, those of a selection, or all.
    """
    _check(id, selection, all_)
    if id is not None:
        found = groups.dead_letter(id)
        if found is None:
            raise UnknownTask(f"There is no dead letter of task {id}.")
        named = f"1 task, {found.task}[{id}], a dead letter of group {found.key!r}"
        confirm(f"Discard {named}? This can't be undone.", yes)
        return tell(json_, verbs.discard(groups, {"id": id}, reason, by))
    number = groups.count_dead_letters(**selection)
    if number:
        confirm(f"Discard {count(number, 'dead letter')}{_words(selection)}? This can't be undone.", yes)
    return tell(json_, verbs.discard(groups, {**selection, "all": all_}, reason, by))


def _check(id: str | None, selection: dict[str, Any], all_: bool) -> None:
    """Refuse a call that does not tell which letters are meant."""
    if [id is not None, any(value not in (None, "") for value in selection.values()), all_].count(True) != 1:
        raise click.UsageError("Give one of: the ID of a task, a selection (--group, --task, …), or --all.")


def _words(selection: dict[str, Any]) -> str:
    """Return a selection in words, for a question."""
    key, task, cause = selection["key"], selection["task"], selection["cause"]
    words = [f"of group {key!r}"] if key is not None else []
    words += [f"of task {task}"] if task else []
    words += [f"that are {cause}"] if cause else []
    words += [f"with {selection['search']!r}"] if selection["search"] else []
    words += [f"older than {selection['older_than']:g} s"] if selection["older_than"] is not None else []
    return "".join(f" {word}" for word in words)


COMMANDS = [
    command(
        "dead-letters",
        dead_letters,
        argument("key", "Only those of this group.", required=False),
        *SELECTION,
        limit(100, "The largest number of dead letters."),
        option("--cursor", help="The cursor that the previous page has printed."),
    ),
    command(
        "redrive",
        redrive,
        LETTER,
        GROUP,
        *SELECTION,
        ALL,
        option(
            "--to",
            type=click.Choice(["head", "tail"]),
            default="tail",
            show_default=True,
            help="Where they join their lines.",
        ),
        BY,
        YES,
    ),
    command("discard", discard, LETTER, GROUP, *SELECTION, ALL, REASON, BY, YES),
]
