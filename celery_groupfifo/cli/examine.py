"""The commands that check the stored state and the surroundings of the gate. Any finding is exit code 1."""

from __future__ import annotations

import click

from celery_groupfifo.cli.output import as_json, checks, say
from celery_groupfifo.cli.root import NOTHING, YES, command, confirm, option
from celery_groupfifo.groups import Breach, Check, Groups
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
        say("The stored state has no inconsistency.")
    return NOTHING if breaches else 0


def _print(breaches: list[Breach]) -> None:
    for breach in breaches:
        where = f"group {breach.key!r}" + (f", task {breach.task_id}" if breach.task_id else "")
        say(f"{breach.name}: {where}: {breach.what}")
        if breach.repair:
            say(f"  {'repaired' if breach.repaired else 'repair'}: {breach.repair}")


def doctor(groups: Groups, json_: bool) -> int:
    """Check the server, the broker, the settings and the workers."""
    return _shown(groups.doctor(), json_)


def status(groups: Groups, longer: float, json_: bool) -> int:
    """Say what is wrong now.

    Blocked groups, long holds and waits, dead letters, queues without consumers, and silent workers.
    """
    return _shown(groups.status(longer), json_)


def _shown(found: list[Check], json_: bool) -> int:
    as_json(found) if json_ else checks(found)
    return 0 if all(check.ok for check in found) else NOTHING


COMMANDS = [
    command("verify", verify, option("--repair", is_flag=True, help="Repair the breaches that can be repaired."), YES),
    command("doctor", doctor),
    command(
        "status",
        status,
        option(
            "--longer",
            type=click.FloatRange(0),
            default=900.0,
            show_default=True,
            metavar="SECONDS",
            help="A wait, or a hold, that is longer than this is a finding.",
        ),
    ),
]
