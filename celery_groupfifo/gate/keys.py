"""Names of keys, and the quoting of texts in them.

Every text from outside (group keys, task ids, queue and worker names) is percent-encoded, so that no part can hold a
separator and two different texts never make the same name.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NewType
from urllib.parse import quote as _quote
from urllib.parse import unquote as unquote
from zlib import crc32

_PLAIN = re.compile(r"[A-Za-z0-9_.~:@/,=+-]+")
_SAFE = ":@/,=+"

#: The order of the keys that every script gets first; see lua/lib/keys.lua.
BASE = ("entries", "groups", "due", "flags", "on_the_way", "begins", "fence", "stats", "dead")


class Names(tuple[str, ...]):
    """The names of the keys that every script gets first, in one edition.

    Attributes:
        asks: Groups may have left the partition, as the number of partitions grows: see growing.py.
    """

    asks = False


Quoted = NewType("Quoted", str)
"""A text as it stands in names of keys and in what is stored."""


def quote(text: str) -> Quoted:
    """Percent-encode `text`: no blanks, quotes, braces or control characters are left."""
    return Quoted(text if _PLAIN.fullmatch(text) else _quote(text, safe=_SAFE))


#: Joined to an entry's name while the name is taken; `;` never comes out of `quote`. See lua/park.lua.
REPLACES = ";r"
#: Names that the entries of one task may have, at most.
NAMES = 8


def entry_names(task_id: str) -> list[str]:
    """Return every name that an entry of a task may have, the usual one first.

    A task that replaces itself by a chain gives its id to the chain's last task. When that one has another key, both
    may be at the gate at the same time: the running one, and the other in its own line.
    """
    return [quote(task_id) + number * REPLACES for number in range(NAMES)]


def stands_in(name: str) -> bool:
    """Return whether an entry's name is that of a stand-in, see lua/lib/stand_in.lua."""
    return ";k" in name


def task_of(name: str) -> str:
    """Return the id of the task that an entry's name stands for."""
    return unquote(name.partition(";")[0])


#: Each kind of members of `due` has a range of scores, see lua/lib/keys.lua; kinds that are not in `_RANGES` share
#: the fourth one.
RANGE = 10**14
_RANGES = {"w": 0, "h": 1, "e": 2, "s": 6}
#: The members of `on_the_way` from here on are those of tenants, see lua/lib/fair.lua.
TENANTS = "(\x7f"
#: Of these, the heads that wait for their turns.
TURNS = "[\x7fw ", "(\x7fx"
#: Time (ms) that a swept item is reserved for its worker.
CLAIM_MS = 2_000


def due_score(member: str, ms: float) -> float:
    """Return the score of a member of `due` that is due at a time (ms)."""
    return _RANGES.get(member[0], 3) * RANGE + ms


def due_ms(score: float) -> float:
    """Return the time (ms) when a member of `due` with a score is due."""
    return score % RANGE


class Keys:
    """The keys of one partition.

    All of them carry the hash tag `{namespace:partition}`, so on a Redis Cluster they share a slot.

    Args:
        prefix: Put before every key, as the broker's `global_keyprefix`.
        namespace: `groupfifo_namespace`.
        partition: From 0.
        among: Number of the gate's partitions.
        before: Their number before it grows to `among`; 0: it does not.

    Attributes:
        edition: Of the names that every script gets first, see stamps.py.
        stamped: The partition's stamp, as far as it is known; empty: it is not.
    """

    def __init__(self, prefix: str, namespace: str, partition: int, among: int = 1, before: int = 0) -> None:
        self.tag = f"{namespace}:{partition}"
        self.among, self.before, self._at = among, before, partition
        #: The numbers in force of a gate that grows, as a stamp has them, in their order; and the last one seen there.
        self.numbers = [str(before), f"{before}+{among}", str(among)] if before else [str(among)]
        self.reached = 0
        self._made = prefix, namespace, partition, among, before
        self._stem = f"{prefix}{{{self.tag}}}:"
        self.stamp = self._stem + "stamp"
        self._name(1, "")
        self.wake = self._stem + "wake"
        self.pulse = self._stem + "pulse"
        self.crowd = self._stem + "crowd"
        self.paused = self._stem + "paused"
        self.audit = self._stem + "audit"
        self.observed = [self._stem + name for name in ("observed", "observed_ages", "observed_totals")]

    def _name(self, edition: int, stamped: str) -> None:
        base = Names(self.base_of(edition))
        number = stamped.split(" ")[2] if stamped else ""
        if self.before and number in self.numbers:
            self.reached = max(self.reached, self.numbers.index(number))
            base.asks = number != self.numbers[0]
        self.entries, self.groups, self.due, self.flags, self.on_the_way = base[:5]
        self.begins, self.fence, self.stats, self.dead = base[5:]
        self.base, self.edition, self.stamped = base, edition, stamped

    def base_of(self, edition: int) -> list[str]:
        """Return the names of the keys that every script gets first, as an edition has them."""
        return [self._stem + name + (f".{edition}" if edition > 1 else "") for name in BASE]

    def use(self, edition: int, stamped: str) -> None:
        """Take the names of an edition, from any thread; a call with the names before is refused by Redis."""
        if (edition, stamped) != (self.edition, self.stamped):
            self._name(edition, stamped)

    def in_edition(self, edition: int) -> Keys:
        """Return the same keys with the names of an edition."""
        made = Keys(*self._made)
        made._name(edition, "")
        return made

    def leaves(self, group: str) -> bool:
        """Return whether a group of this partition has another one when the number of partitions has grown."""
        return self.before > 0 and crc32(group.encode()) % self.among != self._at

    def line(self, group: Quoted) -> str:
        """Return the list of a group's parked entries."""
        return f"{self._stem}w:{group}"

    def cut_off(self, group: Quoted, fence: int | str) -> str:
        """Return the list of entries that a failed run has cut off their line."""
        return f"{self._stem}d:{group}:{fence}"

    def failures(self, group: Quoted) -> str:
        """Return the times of a group's last final failures; see lua/lib/breaker.lua."""
        return f"{self._stem}f:{group}"

    def runs(self, owner: Quoted) -> str:
        """Return the hash of a worker's runs, and of its last calls."""
        return f"{self._stem}runs:{owner}"

    def answer(self, token: str) -> str:
        """Return the key of the answer to the last call of an operator's action."""
        return f"{self._stem}o:{token}"

    def producer(self, token: str) -> str:
        """Return the key of a producer's last number."""
        return f"{self._stem}p:{token}"


class Keyspace:
    """The keys of all partitions of a gate.

    Args:
        prefix: See `Keys`.
        namespace: See `Keys`.
        partitions: Their number.
        before: That before it grows; 0: it does not.
    """

    def __init__(self, prefix: str, namespace: str, partitions: int, before: int = 0) -> None:
        self.partitions = [Keys(prefix, namespace, number, partitions, before) for number in range(partitions)]
        self._number = before or partitions
        self._by_tag = {keys.tag: keys for keys in self.partitions}

    def of_group(self, group: Quoted) -> Keys:
        """Return the partition of a group; while their number grows the old one, which says when the group has left."""
        if self._number == 1:
            return self.partitions[0]
        return self.partitions[crc32(group.encode()) % self._number]

    def after(self, group: Quoted) -> Keys:
        """Return the partition of a group when their number has grown."""
        return self.partitions[crc32(group.encode()) % len(self.partitions)]

    def of_tag(self, tag: str) -> Keys | None:
        """Return the partition that a ticket names; None for another gate's."""
        return self._by_tag.get(tag)


@lru_cache(maxsize=1024)
def queue_of_list(key: str) -> Quoted:
    """Return the name of a broker's list in the scripts."""
    return quote(key)
