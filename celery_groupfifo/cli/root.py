"""The group of commands, and its common parts: errors are sentences, and each command takes --json."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from typing import Any

import click
from celery.bin.base import CeleryCommand, CeleryOption
from kombu.exceptions import OperationalError

from celery_groupfifo.cli.output import as_json, say
from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.groups import Groups
from celery_groupfifo.groups.listing import SORTS, STATES
from celery_groupfifo.masks import variable_of
from celery_groupfifo.printing import printable
from celery_groupfifo.settings import PREFIX

#: Exit code for a refusal or an empty result. Wrong usage is click's 2.
NOTHING = 1
NO_APP = "No app is named: celery -A APP groupfifo …, with the module of your Celery app in place of APP."


class _Verbs(click.Group):
    """The group of commands: a misspelt one is an error that names the nearest."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], self.list_commands(ctx), 3, cutoff=0.5)
            if not near:
                raise
            said = f"No such command {args[0]!r}. Did you mean {' or '.join(near)}?"
            raise click.UsageError(said, ctx) from error


@click.group(name="groupfifo", cls=_Verbs)
def groupfifo() -> None:
    """Inspect and operate ordered groups.

    Begin with `status`: it says what is wrong now.

    Exit codes: 0 fine, 1 refused or nothing found, 2 wrong usage. `verify`, `doctor` and `status` exit with 1 on any
    finding.
    """


class Declined(GroupFifoError):
    """A destructive command was not confirmed."""


class GroupFifoCommand(CeleryCommand):  # type: ignore[misc]
    """A command that prints its errors as a sentence on the error output, and exits with 1."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(option("--json", "json_", is_flag=True, help="Print JSON."))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)  # type: ignore[no-any-return]
        except click.UsageError as error:  # it quotes the arguments
            raise click.UsageError(printable(error.format_message()), ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        app = ctx.obj.app
        unnamed = ctx.find_root().params.get("app", app) is None
        if unnamed and not (app.conf.broker_url or app.conf.get(PREFIX + "url")):
            raise click.UsageError(NO_APP, ctx)
        try:
            return super().invoke(ctx)
        except (GroupFifoError, OperationalError) as error:
            if ctx.params.get("json_"):
                as_json({"error": str(error), "kind": type(error).__name__})
            say(f"Error: {error}", err=True)
            if isinstance(error, OperationalError) and (variable := variable_of(_url(app))):
                say(f"The environment variable {variable} names this server.", err=True)
            if unnamed:
                say(NO_APP, err=True)
            ctx.exit(NOTHING)


def _url(app: Any) -> str:
    return str(app.conf.get(PREFIX + "url") or app.conf.broker_url or app.conf.result_backend or "")


def option(*names: str, **more: Any) -> click.Option:
    """Return an option of a command, listed with the others of this group."""
    return CeleryOption(names, help_group="Groups Options", **more)  # type: ignore[no-any-return]


class _Argument(click.Argument):
    """An argument that is listed in the help: not every version of click does that."""

    def __init__(self, name: str, said: str, required: bool, **more: Any) -> None:
        super().__init__([name], required=required, **more)
        self.said, self.help_group = said, "Arguments"

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        name = self.human_readable_name.upper()
        return name if self.required else f"[{name}]", self.said


def argument(name: str, said: str, required: bool = True, **more: Any) -> click.Argument:
    """Return an argument of a command, and say what it is."""
    return _Argument(name, said, required, **more)


#: A destructive command asks unless this is given.
YES = option("--yes", is_flag=True, help="Act without asking; needed with --json and without a terminal.")
#: Kept in the audit.
BY = option("--by", default="", help="Operator, for the audit; by default your user and host.")
REASON = option("--reason", default="", help="Reason, for the audit.")
KEY = argument("key", "The key of a group.")
ID = argument("id", "The id of a task.")
STATE = option("--state", type=click.Choice(STATES), help="List only groups in this state.")
SORT = option("--sort", type=click.Choice(SORTS), default="depth", show_default=True, help="The order of the groups.")


def limit(default: int, help: str) -> click.Option:
    """Return the option for the number of rows."""
    return option("--limit", type=click.IntRange(1), metavar="N", default=default, show_default=True, help=help)


def command(name: str, callback: Any, *params: click.Parameter) -> GroupFifoCommand:
    """Make a command of a function that gets `Groups` and its parameters.

    The function's docstring is the command's help, its first line the short one.

    Args:
        name: Of the command.
        callback: Returns the exit code; None is 0.
        *params: click's parameters of the command.
    """

    def run(**values: Any) -> None:
        ctx = click.get_current_context()
        app = ctx.obj.app
        app.loader.import_default_modules()
        ctx.exit(callback(Groups(app), **values) or 0)

    return GroupFifoCommand(name, callback=run, params=list(params), help=callback.__doc__)


def confirm(question: str, yes: bool) -> None:
    """Ask on the error output, unless `yes` is set.

    Raises:
        Declined: The answer was no, or there was nobody to ask.
    """
    if yes:
        return
    if click.get_current_context().params.get("json_") or not is_terminal():
        raise Declined(f"{question} Nothing was done: nobody can be asked here. --yes says yes.")
    try:
        agreed = click.confirm(printable(question), err=True)
    except click.Abort:
        say(err=True)
        agreed = False
    if not agreed:
        raise Declined("Nothing was done. --yes acts without asking.")


def is_terminal() -> bool:
    """Return whether a person may answer."""
    return sys.stdin.isatty()
