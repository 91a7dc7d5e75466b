"""The dead letters: tasks that were set aside, and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from celery_groupfifo.errors import DuplicateTask, GroupDraining, GroupFifoError, InvalidOption, UnknownTask
from celery_groupfifo.gate.gate import Gate
from celery_groupfifo.gate.keys import Keys, Quoted, quote, task_of, unquote
from celery_groupfifo.gate.records import StoredDeadLetter
from celery_groupfifo.groups import audit, content
from celery_groupfifo.groups.action_calls import ActionCalls
from celery_groupfifo.groups.reader import Reader
from celery_groupfifo.groups.view import DeadLetter, moment

#: Dead letters per round trip.
CHUNK = 100


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter as it is stored: `["group","id","reason","ms"]` and the entry's text behind it; names are quoted."""

    stored: bytes
    number: int
    group: Quoted
    id: str
    reason: str
    ms: int
    text: bytes

    @property
    def view(self) -> DeadLetter:
        """Return the letter for the user."""
        entry = content.read(self.text)
        return DeadLetter(
            id=task_of(self.id),
            key=unquote(self.group),
            task=entry.task if entry else "",
            args=entry.args if entry else "",
            exception=self.reason,
            place=self.number,
            when=moment(self.ms),
            readable=entry is not None,
        )


class DeadLetters:
    """The dead letters of a gate."""

    def __init__(self, gate: Gate, reader: Reader) -> None:
        self._gate, self._reader = gate, reader

    def read(self, key: str | None, limit: int) -> list[DeadLetter]:
        """Return letters, see `Groups.dead_letters`."""
        found = []
        for keys in self._partitions(key):
            here = 0
            for letter in self._letters(keys):
                if key is None or letter.group == quote(key):
                    found.append(letter.view)
                    here += 1
                    if here == limit:
                        break
        return sorted(found, key=lambda letter: letter.when, reverse=True)[:limit]

    def redrive(self, task_id: str, to: str, by: str) -> str:
        """Park a letter's task again, see `Groups.redrive`."""
        if to not in ("head", "tail"):
            raise InvalidOption(f"to={to!r} does not work: set it to 'head' or 'tail'.")
        for keys in self._partitions(None):
            for letter in self._letters(keys):
                if task_of(letter.id) == task_id:
                    self._park(keys, letter, task_id, to, by)
                    return unquote(letter.group)
        raise UnknownTask(f"There is no dead letter of task {task_id}.")

    def _park(self, keys: Keys, letter: Letter, task_id: str, to: str, by: str) -> None:
        key, group = unquote(letter.group), letter.group
        if content.read(letter.text) is None:
            raise GroupFifoError(
                f"The dead letter of task {task_id} can't be read ({letter.reason}): send the task again instead."
            )
        note = audit.new_note("redrive", key, by, task_id=task_id, to=to)
        calls, entry = ActionCalls(self._gate, keys, note), letter.text.partition(b" ")[2]
        more = [keys.line(group), keys.group(group)]
        code, *words = calls.run("redrive", more, group, letter.id, letter.stored, entry, int(to == "head"))
        if code == -1:
            raise DuplicateTask(f"Task {task_id} is parked or running already: its dead letter stays.")
        if code == -2:
            raise GroupDraining(f"Group {key!r} is draining, and takes no tasks: resume it first.")
        if code == 0:
            raise UnknownTask(f"The dead letter of task {task_id} is gone: it was redriven meanwhile.")
        calls.publish(words)
        audit.log(note, f"{task_id} to the {to}")

    def _partitions(self, key: str | None) -> list[Keys]:
        return self._reader.partitions if key is None else [self._gate.keyspace.of_group(quote(key))]

    def _letters(self, keys: Keys) -> Iterator[Letter]:
        """Yield all letters of a partition, newest first.

        Places are counted from the oldest one: letters that come meanwhile move no other, and one that goes may bring
        others twice, and hides none.
        """
        many = left = int(self._reader.one("llen", keys.dead))
        before: list[bytes] = []
        while left > 0:
            stored = self._reader.one("lrange", keys.dead, -left, min(CHUNK - left, 0) - 1)
            for number, each in enumerate(stored, many - left):
                known = StoredDeadLetter.parse(each)
                if known is not None and each not in before:
                    yield Letter(each, number, *known)
            before, left = stored, left - CHUNK
