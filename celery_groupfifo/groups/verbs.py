"""The verbs of operators: the action of each, its question before, and its sentence afterwards.

The command line and Flower's pages both use them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from celery_groupfifo.errors import WrongState
from celery_groupfifo.groups.api import Groups
from celery_groupfifo.groups.view import End, Found, count, shown_limits, span

#: Sentences about refused letters in an outcome, at most.
ERRORS = 20


class Order(NamedTuple):
    """The arguments of a verb on one group.

    Attributes:
        key: Of the group.
        expected: Id of the head, as the operator saw it; for verbs on the head.
        reason: For the audit.
        by: For the audit; empty: the user and host of this process.
    """

    key: str
    expected: str = ""
    reason: str = ""
    by: str = ""


class Outcome(NamedTuple):
    """The result of a verb. Only `pause` has one on a group that holds no task; the others raise `UnknownGroup` then.

    Attributes:
        done: False when there was nothing to do.
        sentence: It says what was done.
        values: The same for a program: `key`, `task_id`, `count`, …
    """

    done: bool
    sentence: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb on one group.

    Attributes:
        does: A sentence for a list of verbs.
        run: Runs it.
        asks: The question before it. `{key}` stands for the quoted key, `{head}` for the task, and for numbers of tasks
            `{depth}`, `{not_running}` and `{behind}` (the head). Empty: nothing is worth a question.
        asks_many: The question before it is done to many groups: `{groups}` stands for their number, `{depth}` and
            `{not_running}` for tasks of all. Empty: it needs the head that the operator saw, so it is for one group.
        destroys: Tasks are taken out of the line.
        on_head: It is for the head that the operator saw.
        reasoned: The audit keeps a reason for it.
    """

    does: str
    run: Callable[[Groups, Order], Outcome]
    asks: str = ""
    asks_many: str = ""
    destroys: bool = False
    on_head: bool = False
    reasoned: bool = True


def _pause(groups: Groups, order: Order) -> Outcome:
    new = groups.pause(order.key, order.reason, order.by)
    state = "is paused" if new else "was paused already; it has the new reason and operator now"
    depth = groups.get(order.key).depth
    empty = "" if depth else " It holds no task: is that the key? A pause of an empty group lasts until `resume`."
    return Outcome(True, f"Group {order.key!r} {state}.{empty}", {"key": order.key, "depth": depth})


def _resume(groups: Groups, order: Order) -> Outcome:
    done = groups.resume(order.key, order.by)
    if not done:
        groups.get(order.key)  # raises UnknownGroup where it holds no task
    state = "goes on" if done else "was neither paused nor draining: nothing was done"
    return Outcome(done, f"Group {order.key!r} {state}.", {"key": order.key})


def _retry(groups: Groups, order: Order) -> Outcome:
    try:
        groups.retry(order.key, order.by)
    except WrongState:
        groups.get(order.key)
        raise
    return Outcome(True, f"The head of group {order.key!r} was released.", {"key": order.key})


def _drain(groups: Groups, order: Order) -> Outcome:
    done = groups.drain(order.key, order.reason, order.by)
    if not done:
        groups.get(order.key)
    state = "is draining" if done else "is empty: there is nothing to drain"
    return Outcome(done, f"Group {order.key!r} {state}.", {"key": order.key})


def _skip(groups: Groups, order: Order) -> Outcome:
    revoked = groups.skip(order.key, order.expected, order.reason, order.by)
    state = "was revoked" if revoked else "had failed and is gone; its state stays FAILURE"
    sentence = f"Task {order.expected} of group {order.key!r} {state}. The next one goes on."
    return Outcome(True, sentence, _gone(order, revoked))


def _drop(groups: Groups, order: Order) -> Outcome:
    revoked = groups.drop(order.key, order.expected, order.reason, order.by)
    state = "" if revoked else ", with what it raised; its state stays FAILURE"
    sentence = f"Task {order.expected} of group {order.key!r} is a dead letter{state}. The next one goes on."
    return Outcome(True, sentence, _gone(order, revoked))


def _gone(order: Order, revoked: bool) -> dict[str, Any]:
    return {"key": order.key, "task_id": order.expected, "state": "REVOKED" if revoked else "FAILURE"}


def _purge(groups: Groups, order: Order) -> Outcome:
    before = groups.get(order.key)
    gone = groups.purge(order.key, order.reason, order.by)
    failed = int(before.last_error is not None and before.due is None and gone > 0)
    sentence = f"{count(gone - failed)} of group {order.key!r} {'was' if gone - failed == 1 else 'were'} revoked."
    if failed:
        sentence += " Its head, which had failed, is gone; its state stays FAILURE."
    return Outcome(gone > 0, sentence, {"key": order.key, "count": gone})


#: In the order of what they change.
VERBS: dict[str, Verb] = {
    "pause": Verb(
        "Stop a group: none of its tasks starts until it is resumed.",
        _pause,
        "Pause group {key}? None of its tasks starts until it is resumed. {not_running} would wait.",
        "Pause {groups}? None of their tasks starts until they are resumed.",
    ),
    "resume": Verb(
        "Resume a paused or draining group.",
        _resume,
        asks_many="Resume {groups}? Paused ones go on; draining ones take new tasks again.",
        reasoned=False,
    ),
    "retry": Verb(
        "Release a held or blocked head now.",
        _retry,
        asks_many="Retry in {groups}? Heads that wait for a retry, or that have failed, are released now.",
        reasoned=False,
    ),
    "drain": Verb(
        "Refuse new tasks of a group, and finish its present ones.",
        _drain,
        "Drain group {key}? It refuses new tasks until it has ended {depth}.",
        "Drain {groups}? They refuse new tasks until they have ended {depth}.",
    ),
    "skip": Verb(
        "Take out the head of a group, unless it runs. It becomes REVOKED; one that has failed stays FAILURE. The next "
        "task starts.",
        _skip,
        "Take out 1 task, {head}, the head of group {key}? The group goes on with {behind} behind it.",
        destroys=True,
        on_head=True,
    ),
    "drop": Verb(
        "Make the head of a group a dead letter, unless it runs. The next task starts.",
        _drop,
        "Set aside 1 task, {head}, the head of group {key}? The group goes on with {behind} behind it.",
        destroys=True,
        on_head=True,
    ),
    "purge": Verb(
        "Revoke every task of a group that does not run.",
        _purge,
        "Revoke {not_running} of group {key}? Running tasks are not touched. This can't be undone.",
        "Revoke {not_running} of {groups}? Running tasks are not touched. This can't be undone.",
        destroys=True,
    ),
}


def limit(groups: Groups, order: Order, concurrency: int | None, rate: str | None, expires_in: float | None) -> Outcome:
    """Set the limits of a group, see `Groups.limit`."""
    done = groups.limit(order.key, concurrency, rate, expires_in, order.reason, order.by)
    shown = shown_limits(rate, concurrency)
    if shown:
        ends = f" for {span(expires_in)}" if expires_in else ""
        sentence = f"Group {order.key!r} is limited to {shown}{ends}."
    else:
        state = "has no limits but those of its tasks" if done else "has no such limits: nothing was done"
        sentence = f"Group {order.key!r} {state}."
    values = {"key": order.key, "concurrency": concurrency, "rate": rate, "expires_in": expires_in}
    return Outcome(done, sentence, values)


def ended(found: Found) -> str:
    """Return the sentence about a run that is terminated."""
    worker = found.running.worker if found.running else "?"
    return f"Worker {worker} ends task {found.task_id}; group {found.key!r} goes on when its run is over."


def redrive_many(groups: Groups, selection: dict[str, Any], to: End, by: str) -> Outcome:
    """Park dead letters again, see `Groups.redrive_many`."""
    done = groups.redrive_many(**selection, to=to, by=by)
    sentence = f"{count(done.count)} {'is' if done.count == 1 else 'are'} at the {to}s of their groups."
    if not done.count:
        sentence = "There was no such dead letter to park again." if not done.refused else "Nothing was done."
    if done.refused:
        sentence += f" {count(len(done.refused), 'dead letter')} stayed: {done.refused[0]}"
    values = {"to": to, "count": done.count, "refused": len(done.refused), "errors": list(done.refused[:ERRORS])}
    return Outcome(done.count > 0, sentence, values)


def discard(groups: Groups, letters: dict[str, Any], reason: str, by: str) -> Outcome:
    """Remove dead letters, see `Groups.discard`."""
    gone = groups.discard(**letters, reason=reason, by=by)
    sentence = f"{count(gone, 'dead letter')} {'was' if gone == 1 else 'were'} discarded."
    if not gone:
        sentence = "There was no such dead letter to discard."
    return Outcome(gone > 0, sentence, {"count": gone})


def redrive(groups: Groups, task_id: str, to: End, by: str) -> Outcome:
    """Park a dead letter again, see `Groups.redrive`."""
    key = groups.redrive(task_id, to, by)
    return Outcome(True, f"Task {task_id} is at the {to} of group {key!r}.", {"task_id": task_id, "key": key, "to": to})
