"""The group of commands, and its common parts: errors are sentences, and each command takes --json."""

from __future__ import annotations

from typing import Any

import click
from celery.bin.base import CeleryCommand, CeleryOption
from kombu.exceptions import OperationalError

from celery_groupfifo.cli.output import as_json
from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.groups import Groups
from celery_groupfifo.groups.listing import SORTS, STATES
from celery_groupfifo.settings import PREFIX

#: Exit code for a refusal or an empty result. Wrong usage is click's 2.
NOTHING = 1
NO_APP = "No app is named: celery -A APP groupfifo …, with the module of your Celery app in place of APP."


@click.group(name="groupfifo")
def groupfifo() -> None:
    """Inspect and operate ordered groups.

    Exit codes: 0 fine, 1 refused or nothing found, 2 wrong usage.
    """


class GroupFifoCommand(CeleryCommand):  # type: ignore[misc]
    """A command that prints its errors as a sentence on the error output, and exits with 1."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(option("--json", "json_", is_flag=True, help="Print JSON."))

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
            click.echo(f"Error: {error}", err=True)
            if unnamed:
                click.echo(NO_APP, err=True)
            ctx.exit(NOTHING)


def option(*names: str, **more: Any) -> click.Option:
    """Return an option of a command, listed with the others of this group."""
    return CeleryOption(names, help_group="Groups Options", **more)  # type: ignore[no-any-return]


#: A destructive command asks unless this is given.
YES = option("--yes", is_flag=True, help="Act without asking.")
#: Kept in the audit.
BY = option("--by", default="", help="Operator, for the audit; by default your user and host.")
REASON = option("--reason", default="", help="Reason, for the audit.")
KEY = click.Argument(["key"])
ID = click.Argument(["id"])
STATE = option("--state", type=click.Choice(STATES), help="List only groups in this state.")
SORT = option("--sort", type=click.Choice(SORTS), default="depth", show_default=True, help="The order of the groups.")


def limit(default: int, help: str) -> click.Option:
    """Return the option for the number of rows."""
    return option("--limit", type=click.IntRange(1), default=default, show_default=True, help=help)


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
        click.Abort: The answer was no, or there was nobody to ask.
    """
    if not yes:
        click.confirm(question, abort=True, err=True)
