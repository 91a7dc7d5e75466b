"""The part of `Groups` that is about dead letters."""

from __future__ import annotations

from collections.abc import Collection

from celery_groupfifo.errors import InvalidOption
from celery_groupfifo.groups.letters import DeadLetters, Selection
from celery_groupfifo.groups.view import CAUSES, DeadLetter, End, Page, Redriven
from celery_groupfifo.sending.grouping import checked_key
from celery_groupfifo.settings import check_number, check_seconds


class DeadLetterGroups:
    """The operations on dead letters: tasks that were set aside, see `Groups`."""

    def __init__(self, letters: DeadLetters) -> None:
        self._letters = letters

    def dead_letters(
        self,
        key: str | None = None,
        limit: int = 100,
        *,
        task: str | None = None,
        cause: str | None = None,
        search: str = "",
        older_than: float | None = None,
        cursor: str | None = None,
    ) -> Page[DeadLetter]:
        """Return a page of dead letters, newest first.

        Args:
            key: Only those of this group.
            limit: Dead letters per page.
            task: Only those of the task with this name.
            cause: Only those with this cause: `failed`, `dropped`, `corrupt` or `missing`.
            search: Only those with this text in id, key, task, arguments or error, in any letter case.
            older_than: Only those that were set aside so many seconds ago, or before.
            cursor: `.cursor` of the page before.

        Returns:
            A list whose `.cursor` is None after the last page. A selection that few letters match may have a page that
            is short, or empty, and still have a cursor.

        Raises:
            InvalidOption: A value does not work.
        """
        check_number("limit", limit, 1)
        if cursor is not None and not cursor.isdigit():
            raise InvalidOption(f"cursor={cursor!r} does not work: use the `.cursor` of the page before.")
        return self._letters.read(_selection(key, task, cause, search, older_than), limit, cursor)

    def count_dead_letters(
        self,
        key: str | None = None,
        *,
        task: str | None = None,
        cause: str | None = None,
        search: str = "",
        older_than: float | None = None,
    ) -> int:
        """Return the number of dead letters of a selection, see `dead_letters`."""
        return self._letters.count(_selection(key, task, cause, search, older_than))

    def dead_letter_refs(
        self,
        key: str | None = None,
        *,
        task: str | None = None,
        cause: str | None = None,
        search: str = "",
        older_than: float | None = None,
    ) -> list[str]:
        """Return the names, `.ref`, of all dead letters of a selection, newest first; see `dead_letters`."""
        return self._letters.refs(_selection(key, task, cause, search, older_than))

    def dead_letter(self, id: str) -> DeadLetter | None:
        """Return the newest dead letter of a task; None when it has none.

        Args:
            id: Of the task.
        """
        return self._letters.of_task(id)

    def redrive(self, id: str, to: End = "tail", by: str = "") -> str:
        """Park a dead letter again.

        Args:
            id: Of the task; its newest letter counts.
            to: `head`: it becomes its group's next task; `tail`: the last one.
            by: For the audit.

        Returns:
            The key of its group.

        Raises:
            UnknownTask: There is no such letter.
            DuplicateTask: A task with the id is parked or running.
            GroupDraining: Its group takes no tasks.
            GroupFifoError: It can't be read.
        """
        return self._letters.redrive(id, _checked_end(to), by)

    def redrive_many(
        self,
        key: str | None = None,
        *,
        task: str | None = None,
        cause: str | None = None,
        search: str = "",
        older_than: float | None = None,
        refs: Collection[str] | None = None,
        to: End = "tail",
        by: str = "",
    ) -> Redriven:
        """Park the dead letters of a selection again, in the order in which they were set aside.

        Args:
            key: Only those of this group; without any selection, all.
            task: Only those of the task with this name.
            cause: Only those with this cause, see `dead_letters`.
            search: Only those with this text.
            older_than: Only those that were set aside so many seconds ago, or before.
            refs: Only the letters with these names, `.ref`.
            to: `head`: they become their groups' next tasks; `tail`: the last ones.
            by: For the audit.

        Raises:
            InvalidOption: A value does not work.
            GateUnavailable: Redis went away; letters redriven before are parked, and a repetition leaves them alone.
        """
        selection = _selection(key, task, cause, search, older_than, refs)
        return self._letters.redrive_many(selection, _checked_end(to), by)

    def discard(
        self,
        id: str | None = None,
        *,
        key: str | None = None,
        task: str | None = None,
        cause: str | None = None,
        search: str = "",
        older_than: float | None = None,
        refs: Collection[str] | None = None,
        all: bool = False,
        reason: str = "",
        by: str = "",
    ) -> int:
        """Remove the dead letters of a task or of a selection for good. Letters that come meanwhile stay.

        Args:
            id: Of the task: all of its letters.
            key: Instead: only those of this group. See `dead_letters` for this and the next four.
            task: Only those of the task with this name.
            cause: Only those with this cause.
            search: Only those with this text.
            older_than: Only those that were set aside so many seconds ago, or before.
            refs: Only the letters with these names, `.ref`.
            all: True, without id and selection: all dead letters.
            reason: For the audit.
            by: For the audit; empty: the user and host of this process.

        Returns:
            The number of letters that were removed.

        Raises:
            UnknownTask: There is no dead letter of the task.
            InvalidOption: A value does not work, or it is not clear which letters are meant.
        """
        selection = _selection(key, task, cause, search, older_than, refs)
        if [id is not None, not selection.is_empty, all].count(True) != 1:
            raise InvalidOption("discard needs one of: the id of a task, a selection, or all=True.")
        if id is not None:
            return self._letters.discard(id, reason, by)
        return self._letters.discard_many(selection, reason, by)


def _checked_end(to: End) -> End:
    if to not in ("head", "tail"):
        raise InvalidOption(f"to={to!r} does not work: set it to 'head' or 'tail'.")
    return to


def _selection(
    key: str | None,
    task: str | None,
    cause: str | None,
    search: str,
    older_than: float | None,
    refs: Collection[str] | None = None,
) -> Selection:
    if key is not None:
        checked_key(key, "this call")
    if cause is not None and cause not in CAUSES:
        raise InvalidOption(f"cause={cause!r} does not work: set it to one of {', '.join(map(repr, CAUSES))}.")
    if older_than is not None:
        check_seconds("older_than", older_than)
    return Selection(key, task, cause, search, older_than, None if refs is None else _checked_refs(refs))


def _checked_refs(refs: Collection[str]) -> frozenset[str]:
    if isinstance(refs, str) or not isinstance(refs, Collection) or not all(isinstance(ref, str) for ref in refs):
        raise InvalidOption(f"refs={refs!r} does not work: set it to a list of the `.ref` of dead letters.")
    return frozenset(refs)
