"""The dead letters' page and its buttons: what they read and do, in a board's threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from celery_groupfifo.errors import InvalidOption, WrongState
from celery_groupfifo.flower.board import Board
from celery_groupfifo.groups import End, verbs
from celery_groupfifo.groups.view import DeadLetter, plain

Said = dict[str, Any]

#: Names of a selection's texts in a request.
TEXTS = ("key", "task", "cause", "search")
#: Letters per turn in a thread, and those that go to the head in one.
TURN, AT_HEAD = 100, 1000
#: The verbs that take letters.
VERBS = ("redrive", "discard")


def selection_of(said: Said) -> dict[str, Any]:
    """Return the selection that a request gives, for `Groups.dead_letters`.

    Raises:
        InvalidOption: A value is no text, or no number.
    """
    found: dict[str, Any] = {}
    for name in TEXTS:
        value = said.get(name) or ""
        if not isinstance(value, str):
            raise InvalidOption(f"{name}={value!r} does not work: set it to a text.")
        found[name] = value or ("" if name == "search" else None)
    older = said.get("older_than")
    try:
        found["older_than"] = None if older in (None, "") else float(older)
    except (TypeError, ValueError):
        raise InvalidOption(f"older_than={older!r} does not work: set it to a number of seconds.") from None
    return found


def page(board: Board, said: Said, limit: int, cursor: str, counted: bool) -> dict[str, Any]:
    """Return a page of dead letters.

    Returns:
        `dead_letters`, newest first; the `cursor` of the next page; the `total` number of letters; and, if asked for,
        how many `matched` the selection.
    """
    selection = selection_of(said)
    found = board.groups.dead_letters(limit=limit, cursor=cursor or None, **selection)
    answer = {
        "dead_letters": [shown(letter) for letter in found],
        "cursor": found.cursor,
        "total": board.groups.stats().dead_letters,
    }
    return {**answer, "matched": board.groups.count_dead_letters(**selection)} if counted else answer


def shown(letter: DeadLetter) -> dict[str, Any]:
    """Return a letter as JSON values, with its reason in a few words."""
    return {**plain(letter), "why": letter.why}


def refs_of(board: Board, said: Said) -> list[str]:
    """Return the names of the letters that a request means, the oldest first: `refs`, or a `selection` as it is now.

    Raises:
        InvalidOption: It means none, or a value does not work.
        WrongState: There are more than `count`, which the operator has agreed to.
    """
    if "refs" in said:
        refs = said["refs"]
        if not isinstance(refs, list) or not refs or not all(isinstance(ref, str) for ref in refs):
            raise InvalidOption(f"refs={refs!r:.100} does not work: give a list of names of dead letters.")
        return sorted(refs, key=lambda ref: ref.rpartition("-")[2].zfill(20))
    selection, agreed = said.get("selection"), said.get("count")
    if not isinstance(selection, dict) or not isinstance(agreed, int) or isinstance(agreed, bool):
        raise InvalidOption(
            "Give `id`, the id of a task; or `refs`, names of letters; or `selection` and `count`, the number of "
            "letters that you mean."
        )
    refs = board.groups.dead_letter_refs(**selection_of(selection))
    if len(refs) > agreed:
        raise WrongState(
            f"{len(refs)} dead letters match by now, not {agreed}: nothing was done. Check the selection, and try "
            "again."
        )
    return refs[::-1]


def act_on_one(board: Board, verb: str, said: Said, by: str) -> dict[str, Any]:
    """Redrive or discard what is kept of one task, `id`.

    Returns:
        `sentence`, and `key` of its group or the `count` of discarded letters.
    """
    id = said["id"]
    if not isinstance(id, str) or not id:
        raise InvalidOption(f"id={id!r} does not work: set it to the id of a task.")
    try:
        if verb == "discard":
            outcome = verbs.discard(board.groups, {"id": id}, _text(said, "reason"), by)
        else:
            outcome = verbs.redrive(board.groups, id, cast(End, _text(said, "to") or "tail"), by)
    finally:
        board.index_kept.forget()
    return {"sentence": outcome.sentence, **{name: outcome.values[name] for name in outcome.values if name != "to"}}


def act_on_some(board: Board, verb: str, refs: list[str], said: Said, by: str) -> tuple[int, list[str]]:
    """Redrive or discard some letters, in the order in which they stood.

    Returns:
        The number of letters it was done to, and sentences about the others.
    """
    try:
        if verb == "discard":
            return board.groups.discard(refs=refs, reason=_text(said, "reason"), by=by), []
        done = board.groups.redrive_many(refs=refs, to=cast(End, _text(said, "to") or "tail"), by=by)
        return done.count, list(done.refused)
    finally:
        board.index_kept.forget()


def turns(refs: list[str], said: Said) -> Iterator[list[str]]:
    """Yield letters in turns, so that other requests are served meanwhile; those for the head in one, in their order.

    Raises:
        InvalidOption: There are too many for the head.
    """
    turn = AT_HEAD if said.get("to") == "head" else TURN
    if turn == AT_HEAD and len(refs) > AT_HEAD:
        raise InvalidOption(f"to='head' does not work for more than {AT_HEAD} dead letters: select fewer ones.")
    for start in range(0, len(refs), turn):
        yield refs[start : start + turn]


def _text(said: Said, name: str) -> str:
    value = said.get(name) or ""
    if not isinstance(value, str):
        raise InvalidOption(f"{name}={value!r} does not work: set it to a text.")
    return value
