"""The stamp of a partition: which version its stored state has, and whether this process may use it.

A process reads the stamp on each new connection, before its first call there: so after a restart of Redis, a failover
and a fork, too, and never between two calls. What happens in between is caught by the names of the keys. A change that
other processes must not miss begins a new *edition*: in one step of Redis the nine keys that every script gets have
other names, and lists stand where they were. A process of the edition before finds a list where it expects a hash, so
Redis refuses its call before it writes anything. It reads the stamp again, and goes on in the new edition, or stops.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError

from celery_groupfifo.errors import UnsupportedState
from celery_groupfifo.gate.keys import Keys
from celery_groupfifo.gate.packing import pack, pack_run

#: The version of the stored state that this release writes.
WRITES = 1
#: The versions that it reads, the lowest and the highest one. The highest is that of the next release when it differs
#: from `WRITES`; see CONTRIBUTING.md.
READS = (1, 1)


class Stamp(NamedTuple):
    """The stamp of a partition, `<edition> <version> <partitions> <release>`.

    Attributes:
        edition: Names the keys, from 1; it only grows.
        version: The highest one that anything stored there may have.
        partitions: `groupfifo_partitions` of the gate; 0: it is being changed, or grows.
        release: Of this package, that wrote the stamp.
        changing: The old number and the new one, `4>8`, while it is being changed, `4+8` while it grows; else empty.
    """

    edition: int
    version: int
    partitions: int
    release: str
    changing: str = ""

    @classmethod
    def parse(cls, text: bytes) -> Stamp | None:
        """Read a stamp; None when it is none."""
        found = re.fullmatch(r"(\d+) (\d+) (\d+)([>+]\d+)? (\S+)", text.decode(errors="replace"))
        if found is None:
            return None
        edition, version, partitions, to, release = found.groups()
        changing = partitions + to if to else ""
        return cls(int(edition), int(version), 0 if to else int(partitions), release, changing)

    def __str__(self) -> str:
        return f"{self.edition} {self.version} {self.number} {self.release}"

    @property
    def number(self) -> str:
        """Return the number of partitions as it stands there."""
        return self.changing or str(self.partitions)


def own_release() -> str:
    """Return the release of this package."""
    return str(sys.modules["celery_groupfifo"].__version__)


class Stamps:
    """The stamps that the connections of one store have seen.

    Args:
        shown: The server's URL without its password.
        load: Loads a script on a connection.
        anchor: The first partition on the store's server.
        first: Reads the stamp of the gate's first partition, where that is on another server.
    """

    def __init__(
        self,
        shown: str,
        load: Callable[[Any, list[str]], None],
        anchor: Keys | None = None,
        first: Callable[[], None] | None = None,
    ) -> None:
        self._shown, self._load, self._anchor, self._first = shown, load, anchor, first
        self._met: dict[str, int] = {}

    def meet(self, connection: Any, keys: Keys, script: str = "") -> None:
        """Read the stamp of a partition on a connection, unless one like it has; write it where there is none.

        Args:
            connection: Of redis-py, not in use elsewhere.
            keys: Of the partition; they have the names of its edition from now on.
            script: To run next. Those of observations have keys of their own, which are not stamped.

        Raises:
            UnsupportedState: This process may not use what is stored there; nothing was changed.
            redis.RedisError: Redis can't be reached, or refuses.
        """
        generation = connection.groupfifo_generation
        if self._met.get(keys.tag) == generation:
            return
        if script.startswith("observe_"):
            return
        self._met.pop(keys.tag, None)
        while not self._agrees(connection, keys, _answer(connection, pack(["GET", keys.stamp]))):
            pass
        self._met[keys.tag] = generation

    def look(self, text: bytes | None, keys: Keys) -> None:
        """Use what is stored in a partition for reading, by the text of its stamp; None: nothing is stored.

        Raises:
            UnsupportedState: This process can't read it.
        """
        if text is not None:
            keys.use(self._readable(text, keys).edition, text.decode())

    def forget(self, partitions: Iterable[Keys]) -> None:
        """Read the stamps of partitions again before the next call."""
        for keys in partitions:
            self._met.pop(keys.tag, None)

    def _agrees(self, connection: Any, keys: Keys, text: bytes | None) -> bool:
        """Return whether a partition may be used as it is; False: its stamp was written, by this process or another."""
        found = None if text is None else self._readable(text, keys)
        reached = keys.numbers.index(found.number) if found else 0
        if found is not None and found.version >= WRITES and reached >= keys.reached:
            keys.use(found.edition, str(text, "utf-8") if text else "")
            return True
        if found is None:
            self._ask_first(connection, keys)
        edition = WRITES if found is None else found.edition + 1
        # A failover may have lost the last stamp, and groups have left the partition by then: it is written again.
        text_of = f"{edition} {WRITES} {keys.numbers[max(reached, keys.reached)]} {own_release()}"
        before = range(1, edition) if found is None else [found.edition]
        more = [keys.stamp, *(name for each in before for name in keys.base_of(each))]
        command = pack_run("stamp", (keys.in_edition(edition), more, [text or b"", text_of, 0, ""]), "")
        try:
            _answer(connection, command)
        except NoScriptError:
            self._load(connection, ["stamp"])
            _answer(connection, command)
        return False

    def _ask_first(self, connection: Any, keys: Keys) -> None:
        """Stop when the gate has another number of partitions: that of the first one, which is stamped before others.

        A process with a greater number would find no stamp in partitions that the gate does not have.
        """
        if self._first is not None:
            self._first()
        elif self._anchor is not None and keys is not self._anchor:
            self.meet(connection, self._anchor)

    def _readable(self, text: bytes, keys: Keys) -> Stamp:
        """Return a stamp that this process can read what is stored by."""
        stamp = Stamp.parse(text)
        where = f"The gate at {self._shown}, partition {keys.tag},"
        if stamp is None:
            raise UnsupportedState(
                f"{where} has a stamp that can't be read, {text[:80]!r}: something else uses the gate's names. Give "
                "the gate its own groupfifo_namespace or database."
            )
        if not READS[0] <= stamp.version <= READS[1]:
            raise UnsupportedState(f"{where} {_of_another_version(stamp)}")
        if stamp.number in keys.numbers:
            return stamp
        if "+" in stamp.changing:
            before, _, number = stamp.changing.partition("+")
            raise UnsupportedState(
                f"{where} grows from {before} to {number} partitions: set groupfifo_partitions = {number} and "
                f"groupfifo_partitions_before = {before} here. Nothing was done."
            )
        if stamp.changing:
            raise UnsupportedState(
                f"{where} can't be used now: its groupfifo_partitions is being changed ({stamp.changing}). When nobody "
                "is at it any more, `celery -A APP groupfifo partitions` completes the change. Nothing was done."
            )
        raise UnsupportedState(
            f"{where} has groupfifo_partitions = {stamp.partitions}, and this process has {keys.among}: a group "
            f"would have two lines. Set it to {stamp.partitions} here. To change it for all: let the gate run "
            f"empty, then `celery -A APP groupfifo partitions {keys.among}`. Nothing was changed."
        )


def _of_another_version(stamp: Stamp) -> str:
    reads = f"version {READS[0]}" if READS[0] == READS[1] else f"versions {READS[0]} to {READS[1]}"
    own = f"This process runs celery-groupfifo {own_release()}, which reads {reads}"
    found = f"holds state of version {stamp.version}, which celery-groupfifo {stamp.release} has written."
    if stamp.version > READS[1]:
        remedy = f"Update this process to {stamp.release} or newer"
    else:
        remedy = f"Run a release first that reads version {stamp.version} and writes a newer one"
    return f"{found} {own}. {remedy}, or give it a groupfifo_namespace of its own. Nothing was changed."


def _answer(connection: Any, command: bytes) -> Any:
    connection.send_packed_command([command])
    return connection.read_response()


class Unstamped(Stamps):
    """No stamps: for a store that is told to run single scripts, and serves no partition."""

    def meet(self, connection: Any, keys: Keys, script: str = "") -> None:
        """Read nothing."""
