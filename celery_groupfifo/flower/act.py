"""The actions of the buttons: on one group, or on many. They run in a board's threads."""

from __future__ import annotations

from typing import Any

from celery_groupfifo.errors import GateUnavailable, GroupFifoError, InvalidOption, UnknownGroup, WrongState
from celery_groupfifo.flower.board import Board
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.groups import verbs
from celery_groupfifo.groups.verbs import VERBS, Order
from celery_groupfifo.groups.view import count
from celery_groupfifo.sending.grouping import checked_key

Said = dict[str, Any]

#: Sentences of errors in the answer to a bulk action, at most.
ERRORS = 20
#: Groups that one call may name.
CHOSEN = 1000


def text_of(said: Said, name: str) -> str:
    value = said.get(name, "")
    if not isinstance(value, str):
        raise InvalidOption(f"{name}={value!r} does not work: set it to a text.")
    return value


def _order(name: str, key: str, said: Said, by: str) -> Order:
    """Return the order that a request gives.

    Raises:
        InvalidOption: A word of the request is no text, or the head that a verb on the head is for is missing.
    """
    expected = text_of(said, "expected")
    if VERBS[name].on_head and not expected:
        raise InvalidOption(
            f"{name} needs `expected`, the id of the head as you saw it: another task may be the head by now."
        )
    return Order(key, expected, text_of(said, "reason"), by)


#: The verbs on a selection: those that do not need the id of a head.
BULK = tuple(name for name, verb in VERBS.items() if verb.asks_many)
#: The verbs that the command line does not share, as the pages' script needs them.
_OWN = {
    "move": {
        "one": "Move the tasks in line of group {key} to another group? They join its tail in their order; a task "
        "under way stays.",
        "reasoned": True,
        "to": True,
    },
    "limit": {
        "one": "Limit group {key}? It counts from the next start on, instead of what the tasks say. With empty fields "
        "the limits are taken away.",
        "reasoned": True,
        "limits": True,
    },
    "revoke": {"one": "Revoke 1 task, {head}, of group {key}? It never runs. This can't be undone.", "destroys": True},
    "terminate": {
        "one": "Terminate the run of {head}? Its process gets SIGTERM, it becomes REVOKED, and group {key} goes on.",
        "destroys": True,
        "reasoned": True,
    },
}
#: The verbs as the pages' script needs them.
QUESTIONS: dict[str, dict[str, Any]] = {
    name: {
        "one": verb.asks,
        "many": verb.asks_many,
        "destroys": verb.destroys,
        "on_head": verb.on_head,
        "reasoned": verb.reasoned,
    }
    for name, verb in VERBS.items()
} | _OWN


def act_on_group(board: Board, verb: str, key: str, said: Said, by: str) -> dict[str, Any]:
    """Run an action on one group.

    Returns:
        `sentence`, and `key`.

    Raises:
        UnknownGroup: It holds no task, and is not paused.
    """
    order = _order(verb, key, said, by)
    _refuse_unknown(key, _known(board, [key]))
    try:
        outcome = VERBS[verb].run(board.groups, order)
        return {"sentence": outcome.sentence, "key": key}
    finally:
        board.index_kept.forget()


def move(board: Board, key: str, said: Said, by: str) -> dict[str, Any]:
    """Move the parked tasks of a group to the tail of another (`to`).

    Returns:
        `sentence`, `key`, and `count`.
    """
    to = text_of(said, "to")
    if not to:
        raise InvalidOption("move needs `to`, the key of the group that the tasks are to join.")
    _refuse_unknown(key, _known(board, [key]))
    try:
        moved = board.groups.move(key, to, text_of(said, "reason"), by)
    finally:
        board.index_kept.forget()
    verb = "was" if moved == 1 else "were"
    return {"sentence": f"{count(moved)} of group {key!r} {verb} moved to {to!r}.", "key": key, "count": moved}


def limit(board: Board, key: str, said: Said, by: str) -> dict[str, Any]:
    """Set the limits of a group: `rate`, `concurrency` and `expires_in`; with neither of the first two, take them away.

    Returns:
        `sentence`, and `key`.
    """
    order, rate = Order(key, reason=text_of(said, "reason"), by=by), text_of(said, "rate") or None
    try:
        outcome = verbs.limit(board.groups, order, said.get("concurrency"), rate, said.get("expires_in"))
    finally:
        board.index_kept.forget()
    return {"sentence": outcome.sentence, "key": key}


def _known(board: Board, keys: list[str]) -> set[str]:
    """Return those of some groups that hold a task or are paused."""
    gate = board.groups.gate
    names = [quote(checked_key(key, "this call")) for key in keys]
    homes = [(name, gate.home(name)) for name in names]
    return {
        group.key
        for part in board.reader.partitions
        for group in board.reader.groups(part, [name for name, home in homes if home is part])
    }


def _refuse_unknown(key: str, known: set[str]) -> None:
    if key not in known:
        raise UnknownGroup(_unknown(key))


def _unknown(key: str) -> str:
    return f"Group {key!r} holds no task: it was never used, or all of its tasks have ended. Nothing was done."


# -- many groups -------------------------------------------------------------


def select_keys(board: Board, said: Said) -> list[str]:
    """Return the keys of a selection: those that were chosen (`keys`), or all that match (`search`, `state`) now.

    Raises:
        InvalidOption: `keys` is no list of keys, or `count` no number.
        WrongState: More groups match than `count`, which the operator has agreed to.
    """
    if "keys" in said:
        chosen = said["keys"]
        if not isinstance(chosen, list) or not 0 < len(chosen) <= CHOSEN or not all(isinstance(k, str) for k in chosen):
            raise InvalidOption(f"keys={chosen!r:.100} does not work: give a list of 1 to {CHOSEN} keys of groups.")
        return list(dict.fromkeys(chosen))
    keys = [row.key for row in board.select(text_of(said, "search"), text_of(said, "state"), fresh=True)]
    agreed = said.get("count")
    if not isinstance(agreed, int) or isinstance(agreed, bool):
        raise InvalidOption(f"count={agreed!r} does not work: set it to the number of groups that you want to change.")
    if len(keys) > agreed:
        raise WrongState(
            f"{len(keys)} groups match by now, not {agreed}: nothing was done. Check the selection, and try again."
        )
    return keys


def act_on_groups(board: Board, verb: str, keys: list[str], said: Said, by: str) -> tuple[int, list[str]]:
    """Run an action on some groups.

    Returns:
        The number of groups it was done to, and errors. Where there was nothing to do, it is neither.

    Raises:
        GateUnavailable: Redis went away; actions done before stay done.
    """
    done, errors, known = 0, [], _known(board, keys)
    if verb == "purge":  # many share each call
        errors = [_unknown(key) for key in keys if key not in known] if "keys" in said else []
        there = [key for key in keys if key in known]
        try:
            gone = board.groups.purge_many(there, text_of(said, "reason"), by)
        finally:
            board.index_kept.forget()
        return sum(count > 0 for count in gone.values()), errors
    for key in keys:
        if key not in known:  # of all that match one may have ended meanwhile
            errors += [_unknown(key)] if "keys" in said else []
            continue
        try:
            done += VERBS[verb].run(board.groups, _order(verb, key, said, by)).done
        except GateUnavailable:
            raise
        except UnknownGroup:  # it has ended meanwhile
            continue
        except GroupFifoError as error:
            errors.append(str(error))
    board.index_kept.forget()
    return done, errors


__all__ = ["BULK", "ERRORS", "QUESTIONS", "VERBS", "act_on_group", "act_on_groups", "limit", "move", "select_keys"]
