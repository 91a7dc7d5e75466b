"""The actions of the buttons on one task. They run in a board's threads."""

from __future__ import annotations

from typing import Any

from celery_groupfifo.errors import InvalidOption, UnknownTask, WrongState
from celery_groupfifo.flower.act import Said, text_of
from celery_groupfifo.flower.board import Board
from celery_groupfifo.groups.verbs import ended


def revoke(board: Board, said: Said, by: str) -> dict[str, Any]:
    """Revoke a task (`id`) that does not run yet.

    Returns:
        `sentence`, and `key`.

    Raises:
        UnknownTask: It is not at the gate.
        WrongState: It runs, or its failure blocks its group.
    """
    id = _id("revoke", said)
    found = board.groups.find(id)
    try:
        if found is None:
            raise UnknownTask(f"Task {id} is not at the gate: it has ended, or was never sent. Nothing was done.")
        if not board.groups.revoke(id, by):
            found = board.groups.find(id) or found
            remedy = "retry, skip or drop it" if found.state == "blocked" else "terminate it, or let it end"
            raise WrongState(f"Task {id} of group {found.key!r} is {found.state}: {remedy}. Nothing was done.")
    finally:
        board.index_kept.forget()
    return {"sentence": f"Task {id} of group {found.key!r} was revoked.", "key": found.key}


def terminate(board: Board, said: Said, by: str) -> dict[str, Any]:
    """Terminate the run of a task (`id`), see `Groups.terminate`.

    Returns:
        `sentence`, and `key`.
    """
    found = board.groups.terminate(_id("terminate", said), text_of(said, "reason"), by)
    return {"sentence": ended(found), "key": found.key}


def _id(verb: str, said: Said) -> str:
    id = text_of(said, "id")
    if not id:
        raise InvalidOption(f"{verb} needs `id`, the id of the task.")
    return id


__all__ = ["revoke", "terminate"]
