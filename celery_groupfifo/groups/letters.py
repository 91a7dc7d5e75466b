"""The dead letters: tasks that were set aside, the way back, and the way out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from heapq import merge
from itertools import islice
from typing import Any, NamedTuple

from celery_groupfifo.errors import DuplicateTask, GateUnavailable, GroupDraining, GroupFifoError, UnknownTask
from celery_groupfifo.gate.gate import Gate
from celery_groupfifo.gate.keys import Keys, entry_names, quote, task_of, unquote
from celery_groupfifo.gate.records import LetterRow, StoredLetter
from celery_groupfifo.groups import audit, content
from celery_groupfifo.groups.action_calls import ActionCalls
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.report import refuse
from celery_groupfifo.groups.view import DeadLetter, End, Page, Redriven, moment

#: Rows per round trip, and letters: one may have 16 kB.
ROWS, LETTERS = 500, 50
#: Letters that one reading looks at before it ends with a cursor.
LOOKED = 2000
#: Letters that one call discards, and bytes of them.
DISCARDED, BYTES = 50, 4_000_000


@dataclass(frozen=True, slots=True)
class Selection:
    """A selection of dead letters; what is None or empty selects all.

    Attributes:
        key: Of their group.
        task: Name of their task.
        cause: `failed`, `dropped`, `corrupt` or `missing`.
        search: A text in id, key, task, arguments or error, in any letter case.
        older_than: Seconds since they were set aside.
        refs: Names of letters, `DeadLetter.ref`.
    """

    key: str | None = None
    task: str | None = None
    cause: str | None = None
    search: str = ""
    older_than: float | None = None
    refs: frozenset[str] | None = None

    @property
    def is_empty(self) -> bool:
        """Return True when it selects all letters."""
        return self == Selection()

    @property
    def needs_content(self) -> bool:
        """Return True when the row of a letter does not tell whether it is selected."""
        return bool(self.task or self.cause or self.search)

    def has(self, letter: DeadLetter) -> bool:
        """Return True for a letter of the selection, as far as its content tells."""
        if (self.task and letter.task != self.task) or (self.cause and letter.cause != self.cause):
            return False
        texts = (letter.id, letter.key, letter.task, letter.args, letter.kwargs, letter.exception, letter.reason)
        return self.search.casefold() in "\n".join(texts).casefold()

    def words(self) -> dict[str, Any]:
        """Return it for the audit."""
        return {"task": self.task, "search": self.search, "older_than": self.older_than, "cause": self.cause}


class Place(NamedTuple):
    """A letter, as its row tells, and the partition that keeps it."""

    keys: Keys
    row: LetterRow


def letter_rows(reader: Reader, keys: Keys, start: int = 0, group: str = "") -> Iterator[list[LetterRow]]:
    """Yield pages of a partition's letters, newest first.

    Args:
        reader: Reads the gate.
        keys: The partition.
        start: Number of the first letter; 0: the newest. Where it is gone, the next older one.
        group: Only those of this group, quoted; empty: of any.
    """
    following, bound, more = str(start), "0", True
    while more:
        reply = reader.run("letters", keys, [], [following, ROWS, group, bound])
        following, bound, lines = (word.decode("utf-8", "replace") for word in reply)
        more = following != "0"
        yield [row for line in lines.split("\n") if (row := LetterRow.parse(line))]


class DeadLetters:
    """The dead letters of a gate."""

    def __init__(self, gate: Gate, reader: Reader) -> None:
        self._gate, self._reader = gate, reader

    # -- read --------------------------------------------------------------

    def read(self, selection: Selection, limit: int, cursor: str | None = None) -> Page[DeadLetter]:
        """Return a page of letters, see `Groups.dead_letters`."""
        found: list[DeadLetter] = []
        looked, places = 0, self._places(selection, cursor)
        while some := list(islice(places, LETTERS)):
            for place, letter in zip(some, self._letters(some), strict=True):
                if len(found) == limit or looked == LOOKED:
                    return Page(found, str(place.row.number))
                looked += 1
                if letter is not None and selection.has(letter):
                    found.append(replace(letter, place=len(found)))
        return Page(found)

    def of_task(self, task_id: str) -> DeadLetter | None:
        """Return the newest letter of a task; None when it has none."""
        places = self._of_task(task_id)
        return next((letter for letter in self._letters(places[:1]) if letter is not None), None)

    def count(self, selection: Selection) -> int:
        """Return the number of letters, see `Groups.count_dead_letters`."""
        return len(self._select(selection))

    def refs(self, selection: Selection) -> list[str]:
        """Return the names of letters, see `Groups.dead_letter_refs`."""
        return [self._ref(place) for place in self._select(selection)]

    def of_group(self, key: str) -> tuple[int, DeadLetter | None]:
        """Return the number of a group's letters, and the newest one."""
        keys, group = self._gate.home(quote(key)), quote(key)
        number, newest = self._reader.one("hmget", keys.dead, [f"count {group}", f"newest {group}"])
        places = self._by_refs([f"{self._reader.partitions.index(keys)}-{newest.decode()}"]) if newest else []
        return int(number or 0), next(iter(self._letters(places)), None)

    def _select(self, selection: Selection) -> list[Place]:
        """Return all places of a selection, newest first."""
        places = self._places(selection, None) if selection.refs is None else iter(self._by_refs(selection.refs))
        if not selection.needs_content:
            return list(places)
        found = []
        while some := list(islice(places, LETTERS)):
            pairs = zip(some, self._letters(some), strict=True)
            found += [place for place, letter in pairs if letter is not None and selection.has(letter)]
        return found

    def _places(self, selection: Selection, cursor: str | None) -> Iterator[Place]:
        """Return places, newest first, as far as rows tell that they are of a selection."""
        partitions = self._reader.partitions
        group = "" if selection.key is None else quote(selection.key)
        if group:
            partitions = [self._gate.home(quote(selection.key or ""))]
        start = int(cursor or 0)
        if selection.older_than is not None:
            before = max(int(self._reader.now() * 1000 - selection.older_than * 1_000_000), 1)
            start = min(start or before, before)
        rows = [self._rows(keys, start, group) for keys in partitions]
        return merge(*rows, key=lambda place: -place.row.number)

    def _rows(self, keys: Keys, start: int, group: str) -> Iterator[Place]:
        for rows in letter_rows(self._reader, keys, start, group):
            yield from (Place(keys, row) for row in rows)

    def _by_refs(self, refs: Iterable[str]) -> list[Place]:
        """Return the places of letters by their names, newest first, without those that are gone."""
        known = {f"{at}": keys for at, keys in enumerate(self._reader.partitions)}
        pairs = [(known.get(at), number) for at, _, number in (ref.partition("-") for ref in refs)]
        found = [(keys, number) for keys, number in pairs if keys is not None and number.isdigit()]
        places = []
        for start in range(0, len(found), ROWS):
            some = found[start : start + ROWS]

            def build(pipe: Any, some: list[tuple[Keys, str]] = some) -> None:
                for keys, number in some:
                    pipe.hget(keys.dead, f"n {number}")

            for (keys, number), text in zip(some, self._reader.ask("letters", build), strict=True):
                words = (text or b"").decode("utf-8", "replace").split(" ", 2)
                row = LetterRow.parse(f"{number} {words[-1]}")
                places += [Place(keys, row)] if text and row else []
        return sorted(places, key=lambda place: -place.row.number)

    def _of_task(self, task_id: str) -> list[Place]:
        """Return the places of a task's letters, newest first."""
        refs, names = [], entry_names(task_id)
        for at, keys in enumerate(self._reader.partitions):
            texts = self._reader.one("hmget", keys.dead, [f"i {name}" for name in names])
            refs += [f"{at}-{number.decode()}" for text in texts for number in (text or b"").split()]
        return self._by_refs(refs)

    def _letters(self, places: list[Place]) -> list[DeadLetter | None]:
        """Return the letters at places; None for one that is gone."""

        def build(pipe: Any) -> None:
            for keys, row in places:
                pipe.hget(keys.dead, f"l {row.number}")

        texts = self._reader.ask("letters", build) if places else []
        pairs = zip(places, texts, strict=True)
        return [None if text is None else self._letter(place, StoredLetter.parse(text)) for place, text in pairs]

    def _letter(self, place: Place, stored: StoredLetter) -> DeadLetter:
        entry = content.read(stored.front)
        if entry is None:  # its headers are longer than the front, or nobody can read it
            rest = self._reader.one("hget", place.keys.dead, f"m {place.row.number}")
            entry = content.read(stored.front + rest) if rest else None
        return DeadLetter(
            ref=self._ref(place),
            id=task_of(place.row.name),
            key=unquote(place.row.group),
            task=entry.task if entry else "",
            args=entry.args if entry else "",
            kwargs=entry.kwargs if entry else "",
            cause=stored.why.get("cause", ""),
            exception=stored.why.get("exception", ""),
            traceback=stored.why.get("traceback", ""),
            reason=stored.why.get("reason", ""),
            by=stored.why.get("by", ""),
            place=0,
            when=moment(place.row.number / 1000),
            readable=entry is not None,
        )

    def _ref(self, place: Place) -> str:
        return f"{self._reader.partitions.index(place.keys)}-{place.row.number}"

    # -- redrive -----------------------------------------------------------

    def _check_mode(self) -> None:
        if self._gate.settings.observes:
            refuse("redrive")

    def redrive(self, task_id: str, to: End, by: str) -> str:
        """Park the newest letter of a task again, see `Groups.redrive`."""
        self._check_mode()
        place = self._newest(task_id)
        key = unquote(place.row.group)
        note = audit.new_note("redrive", key, by, task_id=task_id, to=to)
        self._park(ActionCalls(self._gate, place.keys, note), place, to, False)
        audit.log(note, f"{task_id} to the {to}")
        return key

    def redrive_many(self, selection: Selection, to: End, by: str) -> Redriven:
        """Park letters again, see `Groups.redrive_many`."""
        self._check_mode()
        places = self._select(selection)[::-1]
        note = audit.new_note("redrive", selection.key or "", by, to=to, **selection.words(), count=len(places))
        calls = {id(keys): ActionCalls(self._gate, keys, note) for keys in self._reader.partitions}
        done, refused = 0, []
        last: dict[str, str] = {}  # of each group
        for place in places:
            try:
                self._park(calls[id(place.keys)], place, to, done > 0, last.get(place.row.group, ""))
            except GateUnavailable:
                raise
            except GroupFifoError as error:
                refused.append(str(error))
            else:
                done += 1
                last[place.row.group] = place.row.name
        if done:
            audit.log(note, f"{done} tasks to the {to}")
        self._close(calls.values())
        return Redriven(done, tuple(refused))

    def _park(self, calls: ActionCalls, place: Place, to: End, noted: bool, after: str = "") -> None:
        keys, row = place
        key, task_id = unquote(row.group), task_of(row.name)
        (letter,) = self._letters([place])
        if letter is not None and not letter.readable:
            raise GroupFifoError(
                f"The dead letter of task {task_id} can't be read ({letter.cause}): send the task again instead, and "
                "discard the letter."
            )
        head = int(to == "head")
        code, *words = calls.run(
            "redrive", [keys.line(row.group)], row.group, row.name, row.number, head, after, noted=noted
        )
        if code == -1:
            raise DuplicateTask(f"Task {task_id} is parked or running already: its dead letter stays.")
        if code == -2:
            raise GroupDraining(f"Group {key!r} is draining, and takes no tasks: resume it first.")
        if code == -3:
            raise GroupFifoError(
                f"Task {task_id} has several group keys, and its dead letter can't be parked in all of these groups: "
                "send the task again, and discard the letter."
            )
        if code == 0:
            raise UnknownTask(f"The dead letter of task {task_id} is gone: it was redriven or discarded meanwhile.")
        calls.publish(words)

    def _newest(self, task_id: str) -> Place:
        places = self._of_task(task_id)
        if not places:
            raise UnknownTask(f"There is no dead letter of task {task_id}.")
        return places[0]

    # -- discard -----------------------------------------------------------

    def discard(self, task_id: str, reason: str, by: str) -> int:
        """Remove the letters of a task, see `Groups.discard`."""
        key = unquote(self._newest(task_id).row.group)
        return self._remove(self._of_task(task_id), audit.new_note("discard", key, by, reason, task_id=task_id))

    def discard_many(self, selection: Selection, reason: str, by: str) -> int:
        """Remove letters, see `Groups.discard`."""
        places = self._select(selection)
        words = {**selection.words(), "count": len(places)}
        return self._remove(places, audit.new_note("discard", selection.key or "", by, reason, **words))

    def _remove(self, places: list[Place], note: str) -> int:
        """Remove letters, the oldest first, some per call: Redis serves no other client meanwhile."""
        total = 0
        for keys in self._reader.partitions:
            numbers = [place.row.number for place in reversed(places) if place.keys is keys]
            calls = ActionCalls(self._gate, keys, note)
            while numbers:
                count, done = calls.run("discard", [], BYTES, *numbers[:DISCARDED], noted=total > 0)
                total, numbers = total + count, numbers[done:]
            self._close([calls] if places else [])
        if total:
            audit.log(note, f"{total} dead letters")
        return total

    def _close(self, calls: Iterable[ActionCalls]) -> None:
        for each in calls:
            each.close()
