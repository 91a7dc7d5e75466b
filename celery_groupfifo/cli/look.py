"""The commands that read."""

from __future__ import annotations

from dataclasses import asdict

import click

from celery_groupfifo.cli.output import GROUP_HEAD, age, as_json, called, group_row, say, table, when
from celery_groupfifo.cli.root import ID, KEY, NOTHING, SORT, STATE, argument, command, limit, option
from celery_groupfifo.errors import UnknownGroup
from celery_groupfifo.groups import Groups, Sort, State
from celery_groupfifo.groups.view import DeadLetter, Found, Group, Worker, count

NO_WORKERS = option("--no-workers", is_flag=True, help="Do not ask the workers.")


def list_(groups: Groups, state: State | None, sort: Sort, limit: int, cursor: str | None, json_: bool) -> None:
    """List the groups that hold tasks."""
    page = groups.list(state, sort, limit, cursor)
    if json_:
        return as_json({"groups": list(page), "cursor": page.cursor})
    table(GROUP_HEAD, map(group_row, page))
    if page.cursor:
        say(f"More: --cursor {page.cursor}", err=True)
    elif not page and cursor is None:
        say("No group" + (f" is {state}." if state else " holds a task."), err=True)
    return None


def show(groups: Groups, key: str, limit: int, offset: int, json_: bool) -> None:
    """Show one group: its running task, and the tasks in line."""
    group, tasks = groups.get(key), groups.tasks(key, limit, offset)
    head = groups.find(group.head) if group.head and not group.running and not json_ else None
    if json_:
        return as_json({"group": group, "tasks": tasks})
    said = {
        "key": group.key,
        "state": group.state,
        "depth": group.depth,
        "head": f"{head.task}[{head.task_id}]" if head else group.head or "-",
        "arguments": called(head.args, head.kwargs) if head else "",
        "dedup key": head.dedup_key or "" if head else "",
        "oldest": age(group.oldest_age),
        "reason": group.reason,
        "by": group.by,
        "since": when(group.since) if group.since else "",
        "due": when(group.due) if group.due else "",
        "blocked": f"until {when(group.blocked_until)}" if group.blocked_until else "",
        "limits": _limits(group),
        "last error": group.last_error if group.last_error not in (None, group.reason) else "",
    }
    for name, value in said.items():
        if value != "":
            say(f"{name + ':':<12}{value}")
    for run in group.running:
        say(
            f"{'running:':<12}{run.task}[{run.task_id}] on {run.worker} since {when(run.since)}, "
            f"fence {run.fence}, lease {run.lease_left:.1f}s"
        )
    _print_traceback(head)
    if tasks:
        say()
    table(
        ("PLACE", "ID", "TASK", "ARGS", "PARKED", "RETRIES"),
        [(task.place, task.task_id, task.task, task.args, when(task.parked_at), task.retries) for task in tasks],
    )
    return None


def _limits(group: Group) -> str:
    limit = group.limit
    if limit is None:
        return ""
    return f"{limit}, by {limit.by}" + (f", until {when(limit.until)}" if limit.until else "")


def explain(groups: Groups, key: str, no_workers: bool, json_: bool) -> int:
    """Explain why a group moves or does not.

    One sentence, with the time when it moves next. It asks the workers, for up to two seconds.
    """
    sentence = groups.explain(key, ask_workers=not no_workers)
    try:
        state: str = groups.get(key).state
    except UnknownGroup:
        state = "empty"
    if json_:
        as_json({"key": key, "state": state, "sentence": sentence})
    else:
        say(sentence)
    return NOTHING if state == "empty" else 0


def find(groups: Groups, id: str, no_workers: bool, json_: bool) -> int:
    """Show where a task is.

    Its group, its state and its place in line; and why its group moves or does not.
    """
    found = groups.find(id)
    why = groups.explain(found.key, ask_workers=not no_workers) if found else ""
    if json_:
        as_json({"found": found, "sentence": why} if found else {"found": None})
        return 0 if found else NOTHING
    if found is None:
        say(f"Task {id} is not at the gate: it has ended, or was never sent.", err=True)
        return NOTHING
    if found.dead_letter is not None:
        _find_dead(found.dead_letter)
        _print_call(found)
        return 0
    state = "released to its queue, and not begun yet" if found.state == "waiting" else found.state
    text = f"Task {found.task}[{found.task_id}] of group {found.key!r} is {state}"
    if found.place is not None:
        text += f", with {count(found.place)} before it in line"
    if found.running is not None:
        text += f" on {found.running.worker} since {when(found.running.since)} under fence {found.running.fence}"
    if found.due is not None:
        text += f", due {when(found.due)}"
    if found.order_value is not None:
        text += f": until then tasks with a lower order value than its {found.order_value} may come and join before it"
    if found.dedup_key is not None:
        text += f", with the dedup key {found.dedup_key!r}"
    say(f"{text}; parked {when(found.parked_at)}.")
    say(why)
    _print_call(found)
    return 0


def _find_dead(letter: DeadLetter) -> None:
    say(
        f"Task {letter.task}[{letter.id}] of group {letter.key!r} is a dead letter since {when(letter.when)}: "
        f"{letter.why}. `redrive {letter.id}` parks it again, `discard {letter.id}` removes it."
    )


def _print_call(found: Found) -> None:
    if said := called(found.args, found.kwargs):
        say(f"Arguments: {said}")
    _print_traceback(found)


def _print_traceback(found: Found | None) -> None:
    for line in found.traceback.splitlines() if found else ():
        say(line)


def stats(groups: Groups, json_: bool) -> None:
    """Count tasks and groups, now and so far."""
    said = groups.stats()
    if json_:
        return as_json(said)
    counts = asdict(said)
    totals = counts.pop("totals")
    for group, more in ((counts, ":"), (dict(sorted(totals.items())), " so far:")):
        width = max(map(len, group)) + len(more) + 1
        for name, value in group.items():
            say(f"{name.replace('_', ' ') + more:<{width}}{value}")
    return None


def history(groups: Groups, key: str | None, limit: int, json_: bool) -> None:
    """List the actions of operators, newest first.

    Who has done what, when and why; of a group, or of all. The gate keeps the last 1000.
    """
    actions = groups.actions(limit, key)
    if json_:
        return as_json(actions)
    table(
        ("WHEN", "BY", "WHAT", "KEY", "REASON", "MORE"),
        [
            (
                when(each.when),
                each.by,
                each.what,
                each.key or "-",
                each.reason or "-",
                ", ".join(f"{name}={value}" for name, value in each.more.items()),
            )
            for each in actions
        ],
    )
    if not actions:
        say("No operator has acted.", err=True)
    return None


def workers(groups: Groups, json_: bool) -> int:
    """List the workers, and those that are silent.

    Slots, runs, queues and versions. A silent worker has a lease, and has not answered within a second: it is listed
    until its groups have moved on.
    """
    found = groups.workers()
    if json_:
        as_json(found)
    else:
        table(
            ("WORKER", "ANSWERS", "POOL", "SLOTS", "RUNS", "RENEWED", "VERSION", "QUEUES"),
            [
                (
                    each.worker,
                    _answers(each),
                    each.pool or "-",
                    "-" if each.slots is None else each.slots,
                    each.leases,
                    "-" if each.renewed is None else f"{age(each.renewed)} ago",
                    each.version or "-",
                    ",".join(each.queues) or "-",
                )
                for each in found
            ],
        )
        if not found:
            say("No worker answers, and none has a lease.", err=True)
        elif any(each.answers is None for each in found):
            say("The workers could not be asked; these have leases. `status` says what is wrong.", err=True)
    return 0 if found else NOTHING


def _answers(worker: Worker) -> str:
    if worker.answers:
        return "yes" if worker.uses_groups else "knows no groups"
    return "not known" if worker.answers is None else "silent"


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
        option("--offset", type=click.IntRange(0), metavar="N", default=0, help="The first place in line, from 0."),
    ),
    command("explain", explain, KEY, NO_WORKERS),
    command("find", find, ID, NO_WORKERS),
    command("stats", stats),
    command(
        "history",
        history,
        argument("key", "Only those on this group.", required=False),
        limit(100, "The largest number of actions."),
    ),
    command("workers", workers),
]
