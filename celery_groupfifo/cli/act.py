"""The commands that change a group. Destructive ones say how many tasks they touch, and ask."""

from __future__ import annotations

from collections.abc import Callable

import click

from celery_groupfifo.cli.output import as_json, called, say
from celery_groupfifo.cli.root import (
    BY,
    ID,
    KEY,
    NOTHING,
    REASON,
    YES,
    GroupFifoCommand,
    argument,
    command,
    confirm,
    option,
)
from celery_groupfifo.errors import UnknownGroup, UnknownTask, WrongState
from celery_groupfifo.gate.growth import grow_partitions
from celery_groupfifo.gate.partitions import change_partitions
from celery_groupfifo.groups import Groups, verbs
from celery_groupfifo.groups.verbs import Order, Outcome, Verb, ended
from celery_groupfifo.groups.view import Found, Group, count

EXPECTED = option(
    "--expected", default="", metavar="ID", help="Id of the head that you mean; by default the present head."
)


#: Of partitions.
NUMBER = argument("number", "How many, from 1.", type=click.IntRange(1))


def tell(json_: bool, outcome: Outcome) -> int:
    """Print an outcome; return the exit code."""
    if json_:
        as_json({"done": outcome.done, **outcome.values, "sentence": outcome.sentence})
    else:
        say(outcome.sentence, err=not outcome.done)
    return 0 if outcome.done else NOTHING


# -- verbs on one group ------------------------------------------------------


def _command(name: str, verb: Verb) -> GroupFifoCommand:
    params = [
        KEY,
        *([EXPECTED] if verb.on_head else []),
        *([REASON] if verb.reasoned else []),
        BY,
        *([YES] if verb.destroys else []),
    ]
    return command(name, _callback(verb), *params)


def _callback(verb: Verb) -> Callable[..., int]:
    def callback(groups: Groups, json_: bool, yes: bool = False, **order: str) -> int:
        agreed = _agreed(groups, verb, Order(**order), yes) if verb.destroys else Order(**order)
        return tell(json_, verb.run(groups, agreed))

    callback.__doc__ = verb.does
    return callback


def _agreed(groups: Groups, verb: Verb, order: Order, yes: bool) -> Order:
    """Return the order, with the head that it is about, once the user has agreed."""
    group, head = groups.get(order.key), ""
    if verb.on_head:
        order = order._replace(expected=order.expected or _head(group))
        found = groups.find(order.expected)
        head = _named(found) if found else order.expected
    not_running = group.depth - len(group.running)
    numbers = {"depth": group.depth, "not_running": not_running, "behind": max(not_running - 1, 0)}
    words = {name: count(number) for name, number in numbers.items()}
    confirm(verb.asks.format(key=repr(group.key), head=head, **words), yes)
    return order


def _named(found: Found) -> str:
    """Return a task with its arguments, for a question."""
    said = called(found.args, found.kwargs)
    return f"{found.task}[{found.task_id}]" + (f" with {said}" if said else "")


def _head(group: Group) -> str:
    if group.head is None:
        raise UnknownGroup(f"Group {group.key!r} has no head: each of its tasks waits until its ETA.")
    return group.head


# -- other verbs -------------------------------------------------------------


def revoke(groups: Groups, id: str, by: str, yes: bool, json_: bool) -> int:
    """Revoke a task that does not run yet."""
    found = groups.find(id)
    if found is None:
        raise UnknownTask(f"Task {id} is not at the gate: it has ended, or was never sent.")
    confirm(f"Revoke 1 task, {_named(found)} of group {found.key!r}?", yes)
    done = groups.revoke(id, by)
    state = "was revoked" if done else _why_not(found)
    return tell(json_, Outcome(done, f"Task {id} of group {found.key!r} {state}.", {"task_id": id, "key": found.key}))


def _why_not(found: Found) -> str:
    if found.state == "blocked":
        return f"has failed and blocks its group: celery -A APP groupfifo retry, skip or drop {found.key}"
    return f"runs. To end the run: celery -A APP groupfifo terminate {found.task_id}"


def terminate(groups: Groups, id: str, reason: str, by: str, yes: bool, json_: bool) -> int:
    """End the run of a task.

    Its worker is told to, and it becomes REVOKED. The group goes on when the run is over.
    """
    found = groups.find(id)
    if found is None:
        raise UnknownTask(f"Task {id} is not at the gate: it has ended, or was never sent.")
    if found.running is None:
        raise WrongState(f"Task {id} does not run, it is {found.state}: revoke it. Nothing was done.")
    confirm(f"Terminate the run of {_named(found)} of group {found.key!r}?", yes)
    found = groups.terminate(id, reason, by)
    return tell(json_, Outcome(True, ended(found), {"task_id": id, "key": found.key}))


def move(groups: Groups, old: str, new: str, reason: str, by: str, yes: bool, json_: bool) -> int:
    """Move the parked tasks of one group to the tail of another."""
    group = groups.get(old)
    parked = group.depth - (1 if group.head else 0)
    confirm(f"Move up to {count(parked)} from group {old!r} to {new!r}? Tasks under way stay.", yes)
    moved = groups.move(old, new, reason, by)
    sentence = f"{count(moved)} of group {old!r} joined group {new!r}."
    return tell(json_, Outcome(moved > 0, sentence, {"key": old, "to": new, "count": moved}))


def limit(
    groups: Groups,
    key: str,
    concurrency: int | None,
    rate: str | None,
    expires_in: float | None,
    none: bool,
    reason: str,
    by: str,
    json_: bool,
) -> int:
    """Limit how often tasks of a group start, or how many run.

    It counts instead of what its tasks say, from the next start on, and replaces what was set before.
    """
    if none == (concurrency is not None or rate is not None):
        raise click.UsageError("Name --rate, --concurrency or both; or --none, to take the limits away.")
    return tell(json_, verbs.limit(groups, Order(key, reason=reason, by=by), concurrency, rate, expires_in))


def partitions(groups: Groups, number: int, yes: bool, json_: bool) -> int:
    """Change the number of partitions, or let it grow in use.

    It grows where the settings have groupfifo_partitions_before. Else set groupfifo_partitions to the new number
    everywhere: a process with another one can't use the gate from then on.
    """
    if groups.gate.settings.partitions_before is not None:
        return tell(json_, _grown(groups, number, yes))
    confirm(f"Change the number of partitions to {number}? Processes with another one can't use the gate then.", yes)
    before = change_partitions(groups.gate, number)
    said = f"The gate had {before} partitions, and has {number} now."
    if before is None:
        said = f"The gate has {number} partitions already, or nothing was ever stored there."
    return tell(json_, Outcome(True, said, {"before": before or number, "partitions": number}))


def _grown(groups: Groups, number: int, yes: bool) -> Outcome:
    """Let the number of partitions grow, and say how far it is."""
    settings = groups.gate.settings
    if number != settings.partitions:
        raise click.UsageError(
            f"groupfifo_partitions_before is set, so the number grows to groupfifo_partitions = {settings.partitions}, "
            f"not to {number}."
        )
    confirm(
        f"Let the number of partitions grow from {settings.partitions_before} to {number}? Processes that do not know "
        "both numbers can't use the gate then.",
        yes,
    )
    growth = grow_partitions(groups.gate)
    values = {"before": growth.before, "partitions": number, "left": growth.left, "groups": list(growth.groups)}
    if growth.left:
        names = ", ".join(map(repr, growth.groups))
        said = (
            f"{growth.left} groups still hold something in their old partitions: {names}. They leave when they have "
            "run empty. Call again to see what is left."
        )
    else:
        said = f"The gate has {number} partitions {'now' if growth.news else 'already'}, and every group is in its own."
    return Outcome(growth.left == 0, said, values)


COMMANDS = [
    *(_command(name, verb) for name, verb in verbs.VERBS.items()),
    command(
        "limit",
        limit,
        KEY,
        option("--rate", default=None, metavar="N/UNIT", help="Starts within a time: 10/s, 100/m or 3/20s."),
        option("--concurrency", type=click.IntRange(1), default=None, metavar="N", help="Tasks that may run at once."),
        option("--expires-in", type=float, default=None, metavar="SECONDS", help="Take the limits away after that."),
        option("--none", is_flag=True, help="Take the limits away now."),
        REASON,
        BY,
    ),
    command("revoke", revoke, ID, BY, YES),
    command("terminate", terminate, ID, REASON, BY, YES),
    command(
        "move",
        move,
        argument("old", "The key of the group."),
        argument("new", "The key of the other group."),
        REASON,
        BY,
        YES,
    ),
    command("partitions", partitions, NUMBER, YES),
]
