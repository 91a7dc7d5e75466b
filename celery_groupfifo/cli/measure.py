"""The command that prints or serves metrics. It imports its optional library only when it runs."""

from __future__ import annotations

import click

from celery_groupfifo.cli.output import as_json
from celery_groupfifo.cli.root import command, option
from celery_groupfifo.groups import Groups


def metrics(groups: Groups, listen: str | None, json_: bool) -> int:
    """Print Prometheus metrics, or serve them."""
    try:
        from celery_groupfifo.metrics import command as metrics_command
        from celery_groupfifo.metrics import text
    except ImportError as error:  # prometheus_client is optional
        raise click.UsageError(
            f"Metrics need the extra: pip install 'celery-groupfifo[prometheus]' ({error})."
        ) from error
    if json_ and listen is None:
        said = text(groups.app)
        as_json({"metrics": said})
        return metrics_command.exit_code(said)
    try:
        at = None if listen is None else metrics_command.address(listen)
    except ValueError as error:
        raise click.UsageError(f"--listen {listen} is not HOST:PORT: {error}.") from error
    return metrics_command.run(groups.app, at)


COMMANDS = [
    command("metrics", metrics, option("--listen", metavar="HOST:PORT", help="Serve /metrics at this address."))
]
