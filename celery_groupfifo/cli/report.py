"""The command that reports what observe mode has counted."""

from __future__ import annotations

from celery_groupfifo.cli.output import as_json, say, table, when
from celery_groupfifo.cli.root import NOTHING, YES, command, confirm, limit, option
from celery_groupfifo.groups import Groups
from celery_groupfifo.groups.report import Example, Observed, Report
from celery_groupfifo.groups.view import count

#: What an example has done, by its kind.
_SAID = {
    "overlaps": "started while {} was running",
    "overtaken": "started after {}, which was sent later",
    "late_retries": "ran again after {}, which was sent later",
}


def report(groups: Groups, limit: int, reset: bool, yes: bool, json_: bool) -> int:
    """Report how often order and exclusion were broken.

    With groupfifo_mode = "observe" tasks run as in plain Celery, and the gate counts. --reset removes all counts.
    """
    found = groups.report(limit)
    if reset:
        confirm(f"Remove the counts of {count(found.observed_groups, 'group')}?", yes)
        groups.reset_report()
        if json_:
            as_json({"done": True, "groups": found.observed_groups})
        else:
            say(f"The counts of {count(found.observed_groups, 'group')} were removed.")
        return 0
    if json_:
        as_json(found)
    elif found.since is None:
        say("Nothing was observed: no task of a group has run with groupfifo_mode = 'observe'.", err=True)
    else:
        _print(found)
    return NOTHING if found.since is None else 0


def _print(found: Report) -> None:
    say(f"Since {when(found.since)}, in {count(found.observed_groups, 'group')}:")
    for name, said in (
        ("runs", "runs started"),
        ("overlaps", "started while another task of their group was running"),
        ("overtaken", "started after a task that was sent later"),
        ("late_retries", "were retries that ran after a task that was sent later"),
        ("not_counted", "were not counted, or not fully"),
    ):
        say(f"{getattr(found, name):>8}  {said}")
    say(f"{found.broken_groups:>8}  groups had their order or exclusion broken")
    broken = [group for group in found.groups if group.breaches]
    if broken:
        say()
    table(
        ("KEY", "RUNS", "OVERLAPS", "OVERTAKEN", "LATE RETRIES", "NOT COUNTED"),
        [(each.key, each.runs, each.overlaps, each.overtaken, each.late_retries, each.not_counted) for each in broken],
    )
    for group in broken[:3]:
        _print_examples(group)


def _print_examples(group: Observed) -> None:
    say()
    say(f"The last ones of group {group.key!r}:")
    for kind, said in _SAID.items():
        if kind in group.last:
            say(f"  {_sentence(group.last[kind], said)}")


def _sentence(example: Example, said: str) -> str:
    other = f"{example.other_task}[{example.other_id}]"
    return f"{when(example.when)}: {example.task}[{example.task_id}] {said.format(other)}."


COMMANDS = [
    command(
        "report",
        report,
        limit(100, "The largest number of groups, those with the most breaches first."),
        option("--reset", is_flag=True, help="Remove all counts."),
        YES,
    )
]
