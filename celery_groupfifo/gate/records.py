"""The texts that the scripts store: each is read and written here, and nowhere else in Python.

In Lua, lib/entry.lua has entries, lib/letters.lua dead letters, lib/group.lua groups and the records of what is under
way, and park.lua places in line. All names in them are quoted, see keys.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from celery_groupfifo.gate.keys import Quoted, quote, task_of, unquote
from celery_groupfifo.gate.model import KEY_HEADER, Ticket
from celery_groupfifo.windows import Rate

#: The states of entries under way, by the letters of their records.
STATES = {"r": "running", "w": "released", "h": "held"}
#: The flags that operators and failures set on a group, the strongest first, by their letters.
FLAG_LETTERS: dict[str, Literal["paused", "blocked", "draining"]] = {"p": "paused", "b": "blocked", "d": "draining"}
#: Of the flag for limits that an operator has set. A state of the group it is not.
LIMITED = "l"
#: The stop of an entry that follows a run, in its batch, see lua/lib/follow.lua.
FOLLOWS = "f"
#: Why a head is held whose tenant has others before it, see lua/lib/fair.lua.
TURN = "t"
#: The mark of a group that has entries with fair keys, or had.
FAIRLY = "f"
#: Says that several entries of a group may be under way, see lua/lib/limits.lua.
COMPANY = "n"
#: Stops an entry whose task has other places that are not the first ones of their groups, see lua/lib/stand_in.lua.
AWAITS = "s"
#: Stops an entry beside one that has failed, and blocks its group, see lua/lib/halt.lua.
HALTED = "h"
#: Begins a message: the tag of its delivery would be its ticket.
_FRONT = b'{"properties": {"delivery_tag": "", "delivery_info": {'


class Limits(NamedTuple):
    """The limits of a group, `l<starts>/<window>/<together>[/<due>]`, see lua/lib/limits.lua; None: there is none.

    Attributes:
        rate: Starts within a time.
        concurrency: Tasks at once.
        due: Of an entry that took its place before its ETA: when it goes out (ms).
    """

    rate: Rate | None = None
    concurrency: int | None = None
    due: int | None = None

    @classmethod
    def parse(cls, text: str) -> Limits:
        """Read them; none when the text is no such."""
        word = next((word for word in text.split(" ") if word.startswith("l")), "")
        try:
            starts, window, together, *due = map(int, word.removeprefix("l").split("/"))
        except ValueError:
            return cls()
        return cls(Rate(starts, window) if starts else None, together or None, *due[:1])

    def text(self) -> str:
        """Write them; empty when there is none."""
        starts, window = self.rate or (0, 0)
        due = f"/{self.due}" if self.due else ""
        return f"l{starts}/{window}/{self.concurrency or 0}{due}" if any(self) else ""


class Fair(NamedTuple):
    """The tenant of an entry, `f<weight>/<fair key>`, see lua/lib/fair.lua.

    Attributes:
        weight: Tickets of the tenant that may be on their way in a queue.
        key: Its name, quoted.
    """

    weight: int
    key: Quoted

    @classmethod
    def parse(cls, text: str) -> Fair | None:
        """Read one among the words of an entry; None when there is none."""
        weight, found, key = text.split(" ")[0].partition("/")
        return cls(int(weight[1:]), Quoted(key)) if found and weight[0] == "f" and weight[1:].isdigit() else None

    def text(self) -> str:
        """Write it."""
        return f"f{self.weight}/{self.key}"


class StoredEntry(NamedTuple):
    """`<parked µs> <group> <queue> <cut>[ <fair>][ <limits>]`, a line feed, and the message without its tickets.

    Attributes:
        us: When it was parked, as it stands in its place in line.
        group: The group's name, quoted.
        queue: As the scripts name it.
        cut: Bytes of `message` before the place of its second ticket.
        message: kombu's.
        limits: Its tenant and the limits of its group, see `Fair` and `Limits`; empty: none.
    """

    us: str
    group: Quoted
    queue: str
    cut: int
    message: bytes
    limits: str = ""

    @classmethod
    def parse(cls, text: bytes | None) -> StoredEntry | None:
        """Read one; None when it is none. The message is not looked at."""
        line, found, message = (text or b"").partition(b"\n")
        words = line.decode("ascii", "replace").split(" ")
        if not found or len(words) not in (4, 5, 6) or not words[0].isdigit() or not words[3].isdigit():
            return None
        if not all(any(Limits.parse(word)) or Fair.parse(word) for word in words[4:]):
            return None
        return cls(words[0], Quoted(words[1]), words[2], int(words[3]), message, " ".join(words[4:]))

    def text(self) -> bytes:
        """Write it."""
        limits = self.limits and f" {self.limits}"
        return f"{self.us} {self.group} {self.queue} {self.cut}{limits}\n".encode() + self.message

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


def whole_end(reply: Sequence[Any]) -> Sequence[Any]:
    """Return the whole answer to a finish; the usual one has two words, see lua/quick/finish.lua."""
    if len(reply) > 2:
        return reply
    taken, fence = reply
    if isinstance(fence, bytes) and fence.startswith(b"gf "):
        line, _, message = taken.partition(b"\n")
        cut = int(line.split(b" ")[3])
        taken = b'{"properties": {"delivery_tag": "%b", "delivery_info": {%b"headers": {"groupfifo": "%b", %b' % (
            fence, message[:cut], fence, message[cut:],
        )  # fmt: skip
        fence = fence.split(b" ", 3)[2]
    return 1, taken, fence, -1


def message_of(text: bytes) -> bytes:
    """Return the message of a stored entry, with an empty ticket; an empty object when nobody can read it."""
    entry = StoredEntry.parse(text)
    return b"{}" if entry is None else entry.whole()


def ticket_of(message: bytes) -> Ticket | None:
    """Return the ticket in a message as the scripts give it; None when there is none."""
    words = message.split(b'"', 6)
    return Ticket.parse(words[5].decode()) if len(words) > 6 else None


#: Digits of a time in ms, and those behind it in µs, see lua/lib/keys.lua.
_MS = 13


class PlaceInLine(NamedTuple):
    """`<parked µs> <entry>`: a place in line."""

    us: str
    name: str

    @staticmethod
    def parked_ms(item: bytes) -> int:
        """Return when its entry was parked, in ms; 0: nobody can read it."""
        try:
            return int(item.partition(b" ")[0]) // 1000
        except ValueError:
            return 0

    @classmethod
    def each_parked_ms(cls, items: Iterable[bytes | None]) -> list[int]:
        """Return when the entries of places were parked, in ms, of very many in little time; 0: there is none."""
        every = list(items)
        try:
            return [int(item[:_MS]) if item else 0 for item in every]
        except ValueError:
            return [cls.parked_ms(item) if item else 0 for item in every]

    @classmethod
    def parse(cls, item: str) -> PlaceInLine:
        """Read one."""
        us, _, name = item.partition(" ")
        return cls(us, name)


class StoredOrder(NamedTuple):
    """`<value> <number> <window, ms>`: the order value of an entry that waits in its window, see lua/lib/window.lua."""

    value: str
    number: str
    window: int

    @classmethod
    def parse(cls, text: bytes | None) -> StoredOrder | None:
        """Read one; None when it is none."""
        words = (text or b"").decode("ascii", "replace").split(" ")
        is_one = len(words) == 3 and all(word.isdigit() for word in words)
        return cls(words[0], words[1], int(words[2])) if is_one else None

    def member(self, group: Quoted, name: str) -> str:
        """Return the member of `due` that has its place among those of its group."""
        return f"s {group} {self.value} {self.number} {name}"


@dataclass(frozen=True, slots=True)
class Flight:
    """The record of an entry under way, see lua/lib/group.lua; `id` is its name, `fence` 0 before the run begins."""

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
    call: str

    @classmethod
    def parse(cls, group: Quoted, line: str) -> Flight | None:
        """Read one; None when it is none."""
        try:
            letter, id, release, fence, due, stop, lost, since, owner, call, queue = line.split(" ")
            at, begun = None if due == "-" else int(due), 0 if fence == "-" else int(fence)
            numbers = int(release), begun, int(lost), int(since)
            state = STATES[letter]
        except (ValueError, KeyError):  # not eleven words, not numbers, or no state
            return None
        return cls(id, state, *numbers, Quoted(owner), at, stop, group, queue, call)

    def line(self) -> str:
        """Write it."""
        fence, due = self.fence or "-", "-" if self.due is None else self.due
        letter = next(letter for letter, state in STATES.items() if state == self.state)
        return (
            f"{letter} {self.id} {self.release} {fence} {due} {self.stop} {self.lost} {self.since} {self.owner} "
            f"{self.call} {self.queue}"
        )

    @property
    def task_id(self) -> str:
        """Return the task's id."""
        return task_of(self.id)

    @property
    def worker(self) -> str:
        """Return the node's name, without the mark of its life."""
        return node_of(self.owner)


def node_of(owner: Quoted) -> str:
    """Return the node's name of a worker, without the mark of its life."""
    return unquote(owner).rpartition("/")[0] or unquote(owner)


class StoredGroup(NamedTuple):
    """`<flags> <aside> <empty>`, and a line for each entry under way; see lua/lib/group.lua.

    Attributes:
        flags: Letters, see `FLAG_LETTERS`; `c` for each part of the line that is cut off.
        aside: Number of entries that are neither in line nor under way.
        empty: Number of places in line whose entry was revoked.
        flights: The entries under way.
        unreadable: Lines that are no records.
    """

    flags: str = ""
    aside: int = 0
    empty: int = 0
    flights: tuple[Flight, ...] = ()
    unreadable: tuple[str, ...] = ()

    @classmethod
    def parse(cls, group: Quoted, text: bytes | None) -> StoredGroup:
        """Read one; of a group that has none, an empty one."""
        if text is None:
            return cls()
        first, *lines = text.decode("utf-8", "replace").split("\n")
        words = first.split(" ")
        found, bad = [], []
        for line in lines:
            flight = Flight.parse(group, line)
            if flight is None:
                bad.append(line)
            else:
                found.append(flight)
        if len(words) != 3 or not words[1].isdigit() or not words[2].isdigit():
            return cls("", 0, 0, tuple(found), (first, *bad))
        return cls(words[0].replace("-", ""), int(words[1]), int(words[2]), tuple(found), tuple(bad))

    def text(self) -> str:
        """Write it."""
        return "\n".join([f"{self.flags or '-'} {self.aside} {self.empty}", *(each.line() for each in self.flights)])

    def depth(self, places: int) -> int:
        """Return the number of the group's entries, given the length of its line."""
        return max(places - self.empty, 0) + self.aside + len(self.flights)


def in_order(flights: Iterable[Flight]) -> list[Flight]:
    """Return entries under way in the order of their turns: those that follow another one come after it."""
    return sorted(flights, key=lambda flight: (flight.stop == FOLLOWS, flight.release))


class LetterRow(NamedTuple):
    """`<number> <group> <entry>`: a dead letter in its order. The number tells the letters of a partition apart."""

    number: int
    group: Quoted
    name: str

    @classmethod
    def parse(cls, line: str) -> LetterRow | None:
        """Read one; None when it is none."""
        number, _, rest = line.partition(" ")
        group, found, name = rest.partition(" ")
        return cls(int(number), Quoted(group), name) if found and number.isdigit() else None


class StoredLetter(NamedTuple):
    """`<why>`, JSON or a word, a line feed, and the front of the stored entry: the first part of a dead letter."""

    why: dict[str, str]
    front: bytes

    @classmethod
    def parse(cls, stored: bytes) -> StoredLetter:
        """Read one; any text is one, as unreadable entries become letters, too."""
        line, _, front = stored.partition(b"\n")
        text = line.decode("utf-8", "replace")
        try:
            said = json.loads(text) if text.startswith("{") else {"cause": text}
        except ValueError:
            said = {"cause": text}
        return cls({str(name): str(value) for name, value in said.items()}, front)
