"""The commands that check the stored state and the surroundings of the gate. Any finding is exit code 1."""

from __future__ import annotations

import click

from celery_groupfifo.cli.output import as_json, printable
from celery_groupfifo.cli.root import NOTHING, YES, command, confirm, option
from celery_groupfifo.groups import Breach, Groups
from celery_groupfifo.groups.view import count


def verify(groups: Groups, repair: bool, yes: bool, json_: bool) -> int:
    """Check the stored state for inconsistencies."""
    breaches = groups.verify()
    repairable = sum(bool(breach.repair) for breach in breaches)
    if repair and repairable:
        if not json_:
            _print(breaches)
        confirm(f"Repair {count(repairable, 'breach' if repairable == 1 else 'breache')}?", yes)
        breaches = groups.verify(repair=True)
    if json_:
        as_json(breaches)
    elif breaches:
        _print(breaches)
    else:
        click.echo("The stored state has no inconsistency.")
    return NOTHING if breaches else 0


def _print(breaches: list[Breach]) -> None:
    for breach in breaches:
        where = f"group {breach.key!r}" + (f", task {breach.task_id}" if breach.task_id else "")
        click.echo(printable(f"{breach.name}: {where}: {breach.what}"))
        if breach.repair:
            click.echo(f"  {'repaired' if breach.repaired else 'repair'}: {breach.repair}")


def doctor(groups: Groups, json_: bool) -> int:
    """Check the server, the broker, the settings and the workers."""
    checks = groups.doctor()
    findings = [check for check in checks if not check.ok]
    if json_:
        as_json(checks)
        return NOTHING if findings else 0
    for check in checks:
        click.echo(f"{'ok' if check.ok else '!!'}  {check.name}: {check.what}")
        if not check.ok:
            click.echo(f"    why: {check.why}")
            click.echo(f"    remedy: {check.remedy}")
    return NOTHING if findings else 0


COMMANDS = [
    command("verify", verify, option("--repair", is_flag=True, help="Repair the breaches that can be repaired."), YES),
    command("doctor", doctor),
]
