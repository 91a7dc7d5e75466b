"""The texts that the scripts store: each is read and written here, and nowhere else in Python.

In Lua, lib/release.lua has entries, lib/flight.lua records of what is under way, park.lua places in line, and
set_aside() in lib/release.lua dead letters. All names in them are quoted, see keys.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from celery_groupfifo.gate.keys import Quoted, quote, task_of, unquote
from celery_groupfifo.gate.model import KEY_HEADER, Ticket

#: Begins a message: the tag of its delivery would be its ticket.
_FRONT = b'{"properties": {"delivery_tag": "", "delivery_info": {'


class StoredEntry(NamedTuple):
    """`<parked µs> <group> <queue> <cut>`, a line feed, and the message without its tickets.

    Attributes:
        us: When it was parked, as it stands in its place in line.
        group: The group's name, quoted.
        queue: As the scripts name it.
        cut: Bytes of `message` before the place of its second ticket.
        message: kombu's.
    """

    us: str
    group: Quoted
    queue: str
    cut: int
    message: bytes

    @classmethod
    def parse(cls, text: bytes | None) -> StoredEntry | None:
        """Read one; None when it is none. The message is not looked at."""
        line, found, message = (text or b"").partition(b"\n")
        words = line.decode("ascii", "replace").split(" ")
        if not found or len(words) != 4 or not words[0].isdigit() or not words[3].isdigit():
            return None
        return cls(words[0], Quoted(words[1]), words[2], int(words[3]), message)

    def text(self) -> bytes:
        """Write it."""
        return f"{self.us} {self.group} {self.queue} {self.cut}\n".encode() + self.message

    def whole(self) -> bytes:
        """Return the message that it was made from, with an empty ticket."""
        return _FRONT + self.message[: self.cut] + b'"headers": {' + self.message[self.cut :]

    def headers(self) -> dict[str, Any]:
        """Return the headers of the message.

        Raises:
            ValueError: They can't be read.
        """
        return self._split()[0]

    def moved(self, key: str) -> StoredEntry:
        """Return the same entry in another group: its header tells the new key, all else stays byte for byte.

        Raises:
            ValueError: Its headers can't be read.
        """
        headers, rest = self._split()
        headers[KEY_HEADER] = key
        message = self.message[: self.cut] + json.dumps(headers)[1:].encode() + rest
        return self._replace(group=quote(key), message=message)

    def _split(self) -> tuple[dict[str, Any], bytes]:
        text = "{" + self.message[self.cut :].decode("utf-8")
        headers, end = json.JSONDecoder().raw_decode(text)
        if not isinstance(headers, dict):
            raise ValueError("no headers")
        return headers, text[end:].encode()


def message_of(text: bytes) -> bytes:
    """Return the message of a stored entry, with an empty ticket; an empty object when nobody can read it."""
    entry = StoredEntry.parse(text)
    return b"{}" if entry is None else entry.whole()


def ticket_of(message: bytes) -> Ticket | None:
    """Return the ticket in a message as the scripts give it; None when there is none."""
    words = message.split(b'"', 6)
    return Ticket.parse(words[5].decode()) if len(words) > 6 else None


class PlaceInLine(NamedTuple):
    """`<parked µs> <entry>`: a place in line."""

    us: str
    name: str

    @classmethod
    def parse(cls, item: str) -> PlaceInLine:
        """Read one."""
        us, _, name = item.partition(" ")
        return cls(us, name)


@dataclass(frozen=True, slots=True)
class Flight:
    """The record of an entry under way, eleven words; `id` is the entry's name, `fence` 0 before the run begins."""

    id: str
    state: str
    release: int
    fence: int
    lost: int
    since: int
    owner: Quoted
    due: int | None
    stop: str
    group: Quoted
    queue: str

    @classmethod
    def parse(cls, id: str, text: bytes | None) -> Flight | None:
        """Read one; None when it is none."""
        try:
            state, release, fence, lost, since, owner, _, due, stop, group, queue = (text or b"").decode().split(" ")
            at, begun = None if due == "-" else int(due), 0 if fence == "-" else int(fence)
            numbers = int(release), begun, int(lost), int(since)
        except ValueError:  # not UTF-8, not eleven words, or not numbers
            return None
        return cls(id, state, *numbers, Quoted(owner), at, stop, Quoted(group), queue)

    @property
    def task_id(self) -> str:
        """Return the task's id."""
        return task_of(self.id)

    @property
    def worker(self) -> str:
        """Return the node's name, without the mark of its life."""
        return unquote(self.owner).rpartition("/")[0] or unquote(self.owner)


class StoredDeadLetter(NamedTuple):
    """A dead letter: JSON of group, entry, reason and time (ms), a line feed, and the stored entry."""

    group: Quoted
    name: str
    reason: str
    ms: int
    entry: bytes

    @classmethod
    def parse(cls, stored: bytes) -> StoredDeadLetter | None:
        """Read one; None when it is none."""
        line, _, entry = stored.partition(b"\n")
        try:
            group, name, reason, ms = json.loads(line)
            return cls(Quoted(str(group)), str(name), str(reason), int(float(ms)), entry)
        except (ValueError, TypeError, OverflowError):
            return None
