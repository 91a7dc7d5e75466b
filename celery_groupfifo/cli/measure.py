"""The command that prints or serves metrics. It imports its optional library only when it runs."""

from __future__ import annotations

import click

from celery_groupfifo.cli.output import as_json
from celery_groupfifo.cli.root import NOTHING, command, option
from celery_groupfifo.groups import Groups


def metrics(groups: Groups, listen: str | None, json_: bool) -> int:
    """Print Prometheus metrics, or serve them."""
    try:
        from celery_groupfifo.metrics import command as metrics_command
        from celery_groupfifo.metrics import serve, text
    except ImportError as error:
        raise click.UsageError(
            f"Metrics need the extra: pip install 'celery-groupfifo[prometheus]' ({error})."
        ) from error
    if listen is None:
        said = text(groups.app)
        if json_:
            as_json({"metrics": said})
        else:
            click.echo(said, nl=False)
        return 0 if "groupfifo_up 1.0" in said else NOTHING
    try:
        host, port = metrics_command.address(listen)
    except ValueError as error:
        raise click.UsageError(f"--listen {listen} is not HOST:PORT: {error}.") from error
    try:
        serve(groups.app, host, port)
    except OSError as error:
        click.echo(f"Error: can't listen at {listen}: {error}", err=True)
        return NOTHING
    return 0


COMMANDS = [
    command("metrics", metrics, option("--listen", metavar="HOST:PORT", help="Serve /metrics at this address."))
]
