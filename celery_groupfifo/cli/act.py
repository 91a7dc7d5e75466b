"""The commands that change a group. Destructive ones say how many tasks they touch, and ask."""

from __future__ import annotations

import click

from celery_groupfifo.cli.output import as_json, count, printable
from celery_groupfifo.cli.root import BY, KEY, NOTHING, REASON, YES, command, confirm, option
from celery_groupfifo.errors import UnknownGroup, UnknownTask
from celery_groupfifo.groups import Groups

ID = click.Argument(["id"])
EXPECTED = option("--expected", help="Id of the head that you mean; by default the present head.")


def _done(json_: bool, sentence: str, code: int = 0, **said: object) -> int:
    if json_:
        as_json({"done": code == 0, **said, "sentence": sentence})
    else:
        click.echo(printable(sentence), err=code != 0)
    return code


def pause(groups: Groups, key: str, reason: str, by: str, json_: bool) -> int:
    """Stop a group: none of its tasks starts until it is resumed."""
    new = groups.pause(key, reason, by)
    state = "is paused" if new else "was paused already; who and why are the new ones"
    return _done(json_, f"Group {key!r} {state}.", key=key)


def resume(groups: Groups, key: str, by: str, json_: bool) -> int:
    """Resume a paused or draining group."""
    if groups.resume(key, by):
        return _done(json_, f"Group {key!r} goes on.", key=key)
    return _done(json_, f"Group {key!r} was neither paused nor draining: nothing was done.", NOTHING, key=key)


def drain(groups: Groups, key: str, reason: str, by: str, json_: bool) -> int:
    """Refuse new tasks of a group, and finish its present ones."""
    if groups.drain(key, reason, by):
        return _done(json_, f"Group {key!r} is draining.", key=key)
    return _done(json_, f"Group {key!r} is empty: there is nothing to drain.", NOTHING, key=key)


def purge(groups: Groups, key: str, reason: str, by: str, yes: bool, json_: bool) -> int:
    """Revoke every task of a group that does not run."""
    group = groups.get(key)
    not_running = group.depth - len(group.running)
    confirm(f"Revoke {count(not_running)} of group {printable(key)!r}? What runs is left.", yes)
    gone = groups.purge(key, reason, by)
    return _done(json_, f"{count(gone)} of group {key!r} were revoked.", 0 if gone else NOTHING, key=key, count=gone)


def _head(groups: Groups, key: str, expected: str | None, verb: str, yes: bool) -> str:
    """Return the id of the head to act on, once the user has agreed."""
    group = groups.get(key)
    head = expected or group.head
    if head is None:
        raise UnknownGroup(f"Group {key!r} has no head: each of its tasks waits until its ETA.")
    found = groups.find(head)
    name = f"{found.task}[{head}]" if found else head
    rest = count(max(group.depth - 1, 0))
    confirm(f"{verb} 1 task, {printable(name)}, the head of group {printable(key)!r}? {rest} behind it go on.", yes)
    return head


def skip(groups: Groups, key: str, expected: str | None, reason: str, by: str, yes: bool, json_: bool) -> int:
    """Revoke the head of a group, unless it runs. The next task starts."""
    head = _head(groups, key, expected, "Revoke", yes)
    groups.skip(key, head, reason, by)
    return _done(json_, f"Task {head} of group {key!r} was revoked; the next one goes on.", key=key, task_id=head)


def drop(groups: Groups, key: str, expected: str | None, reason: str, by: str, yes: bool, json_: bool) -> int:
    """Make the head of a group a dead letter, unless it runs. The next task starts."""
    head = _head(groups, key, expected, "Set aside", yes)
    groups.drop(key, head, reason, by)
    return _done(json_, f"Task {head} of group {key!r} is a dead letter; the next one goes on.", key=key, task_id=head)


def retry(groups: Groups, key: str, by: str, json_: bool) -> int:
    """Release a held or blocked head now."""
    groups.retry(key, by)
    return _done(json_, f"The head of group {key!r} was released.", key=key)


def revoke(groups: Groups, id: str, by: str, yes: bool, json_: bool) -> int:
    """Revoke a task that does not run yet."""
    found = groups.find(id)
    if found is None:
        raise UnknownTask(f"Task {id} is not at the gate: it has ended, or was never sent.")
    confirm(f"Revoke 1 task, {printable(found.task)}[{printable(id)}] of group {printable(found.key)!r}?", yes)
    if groups.revoke(id, by):
        return _done(json_, f"Task {id} of group {found.key!r} was revoked.", task_id=id, key=found.key)
    sentence = f"Task {id} of group {found.key!r} runs: end it with celery control revoke, or terminate."
    return _done(json_, sentence, NOTHING, task_id=id, key=found.key)


def move(groups: Groups, old: str, new: str, reason: str, by: str, yes: bool, json_: bool) -> int:
    """Move the parked tasks of one group to the tail of another."""
    group = groups.get(old)
    parked = group.depth - (1 if group.head else 0)
    confirm(
        f"Move up to {count(parked)} from group {printable(old)!r} to {printable(new)!r}? What is under way stays.", yes
    )
    moved = groups.move(old, new, reason, by)
    sentence = f"{count(moved)} of group {old!r} joined group {new!r}."
    return _done(json_, sentence, 0 if moved else NOTHING, key=old, to=new, count=moved)


def redrive(groups: Groups, id: str, to: str, by: str, json_: bool) -> int:
    """Park a dead letter again."""
    key = groups.redrive(id, to, by)
    return _done(json_, f"Task {id} is at the {to} of group {key!r}.", task_id=id, key=key, to=to)


COMMANDS = [
    command("pause", pause, KEY, REASON, BY),
    command("resume", resume, KEY, BY),
    command("drain", drain, KEY, REASON, BY),
    command("purge", purge, KEY, REASON, BY, YES),
    command("skip", skip, KEY, EXPECTED, REASON, BY, YES),
    command("drop", drop, KEY, EXPECTED, REASON, BY, YES),
    command("retry", retry, KEY, BY),
    command("revoke", revoke, ID, BY, YES),
    command("move", move, click.Argument(["old"]), click.Argument(["new"]), REASON, BY, YES),
    command(
        "redrive",
        redrive,
        ID,
        option(
            "--to",
            type=click.Choice(["head", "tail"]),
            default="tail",
            show_default=True,
            help="Where it joins the line.",
        ),
        BY,
    ),
]
