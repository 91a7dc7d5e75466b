"""The actions of the buttons: one verb on one group, or on all groups of a selection. They run in a board's threads."""

from __future__ import annotations

from typing import Any

from celery_groupfifo.errors import GateUnavailable, GroupFifoError, InvalidOption, WrongState
from celery_groupfifo.flower.board import Board
from celery_groupfifo.groups import verbs
from celery_groupfifo.groups.verbs import VERBS, Order

Said = dict[str, Any]

#: Sentences of errors in the answer to a bulk action, at most.
ERRORS = 20
#: Dead letters that one call may redrive.
LETTERS = 200


def _text(said: Said, name: str) -> str:
    value = said.get(name, "")
    if not isinstance(value, str):
        raise InvalidOption(f"{name}={value!r} does not work: set it to a text.")
    return value


def _order(name: str, key: str, said: Said, by: str) -> Order:
    """Return the order that a request gives.

    Raises:
        InvalidOption: A word of the request is no text, or the head that a verb on the head is for is missing.
    """
    expected = _text(said, "expected")
    if VERBS[name].on_head and not expected:
        raise InvalidOption(
            f"{name} needs `expected`, the id of the head as you saw it: another task may be the head by now."
        )
    return Order(key, expected, _text(said, "reason"), by)


#: The verbs on a selection: those that do not need the id of a head.
BULK = tuple(name for name, verb in VERBS.items() if verb.asks_many)
#: The verbs as the pages' script needs them.
QUESTIONS = {
    name: {
        "one": verb.asks,
        "many": verb.asks_many,
        "destroys": verb.destroys,
        "on_head": verb.on_head,
        "reasoned": verb.reasoned,
    }
    for name, verb in VERBS.items()
}


def act_on_group(board: Board, verb: str, key: str, said: Said, by: str) -> dict[str, Any]:
    """Run an action on one group.

    Returns:
        `sentence`, and `key`.
    """
    try:
        outcome = VERBS[verb].run(board.groups, _order(verb, key, said, by))
        return {"sentence": outcome.sentence, "key": key}
    finally:
        board.index_kept.forget()


def select_keys(board: Board, said: Said) -> list[str]:
    """Return the keys of a selection (`search`, `state`), as it is now.

    Raises:
        InvalidOption: `count` is no number.
        WrongState: There are more groups than `count`, which the operator has agreed to.
    """
    keys = [row.key for row in board.index(fresh=True).select(_text(said, "search"), _text(said, "state"))]
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
    done, errors = 0, []
    for key in keys:
        try:
            done += VERBS[verb].run(board.groups, _order(verb, key, said, by)).done
        except GateUnavailable:
            raise
        except GroupFifoError as error:
            errors.append(str(error))
    board.index_kept.forget()
    return done, errors


def redrive(board: Board, said: Said, by: str) -> dict[str, Any]:
    """Park a dead letter (`id`) again, `to` the head or the tail; or many (`ids`), in this order.

    Returns:
        `sentence`, and `key`; for many `done`, `refused`, and the `errors` of the first of these.
    """
    to = _text(said, "to") or "tail"
    if "ids" in said:
        return _redrive_many(board, said["ids"], to, by)
    id = _text(said, "id")
    if not id:
        raise InvalidOption("redrive needs `id`, the id of the task.")
    outcome = verbs.redrive(board.groups, id, to, by)
    board.index_kept.forget()
    return {"sentence": outcome.sentence, "key": outcome.values["key"]}


def _redrive_many(board: Board, ids: Any, to: str, by: str) -> dict[str, Any]:
    if not isinstance(ids, list) or not ids or len(ids) > LETTERS or not all(isinstance(id, str) for id in ids):
        raise InvalidOption(f"ids={ids!r:.100} does not work: give a list of 1 to {LETTERS} ids of tasks.")
    errors = []
    for id in ids:
        try:
            board.groups.redrive(id, to, by)
        except (GateUnavailable, InvalidOption):
            raise
        except GroupFifoError as error:
            errors.append(str(error))
    board.index_kept.forget()
    done = len(ids) - len(errors)
    sentence = f"redrive: {done} of {len(ids)} tasks are at the {to}s of their groups."
    return {"sentence": sentence, "done": done, "refused": len(errors), "errors": errors[:ERRORS]}


__all__ = ["BULK", "ERRORS", "QUESTIONS", "VERBS", "act_on_group", "act_on_groups", "redrive", "select_keys"]
