"""The change of a gate's number of partitions, which needs an empty gate.

Timeline of a change from 4 to 8: each of the 4 partitions begins an edition, in one step that does nothing while the
partition holds anything. Their stamps say `4>8`, so no process may use them: one with the old number is refused by
Redis at its next call, and a send raises. Nothing can be parked then. Each of the 8 gets the highest fence of the 4,
and a stamp that says 8; the first one comes last. A change that was broken off is completed by the same call.
"""

from __future__ import annotations

from typing import Any

from celery_groupfifo.errors import GroupFifoError, UnsupportedState, WrongState
from celery_groupfifo.gate.cluster_store import store_of
from celery_groupfifo.gate.gate import Gate
from celery_groupfifo.gate.keys import Keys, Keyspace
from celery_groupfifo.gate.packing import Word
from celery_groupfifo.gate.replicas import accept
from celery_groupfifo.gate.stamps import READS, WRITES, Stamp, own_release
from celery_groupfifo.gate.store import Store

#: Seconds to wait for an answer.
PATIENCE = 5.0


def change_partitions(gate: Gate, number: int) -> int | None:
    """Change the number of partitions of a gate.

    Args:
        gate: Of an app; its own number does not count.
        number: From 1.

    Returns:
        The number before; None: nothing is stored yet, or it is that number.

    Raises:
        WrongState: A partition is not empty; nothing was changed.
        UnsupportedState: What is stored is of a version that this release can't read.
        GateUnavailable: Redis can't be reached; the change may be incomplete: make it again.
    """
    change = _Change(gate, number)
    try:
        return change.make()
    finally:
        change.close()


class Restamping:
    """A change of the stamps of a gate's partitions.

    Args:
        gate: Of an app.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._opened: list[Store] = []
        self._scripts: Store

    def _keyspace(self, number: int, before: int = 0) -> Keyspace:
        return Keyspace(self._gate.server.prefix, self._gate.settings.namespace, number, before)

    def _store(self, keyspace: Keyspace) -> Store:
        made = store_of(self._gate.server, keyspace, PATIENCE, "groupfifo-partitions", True, stamped=False)
        self._opened.append(made)
        return made

    def close(self) -> None:
        """Close its connections."""
        for store in self._opened:
            store.close()

    def _stamp(self, store: Store, keys: Keys) -> Stamp | None:
        part = store.at(keys)
        text: bytes | None = part.ask("stamp", lambda: part.client.get(keys.stamp))
        stamp = None if text is None else Stamp.parse(text)
        if text is not None and stamp is None:
            raise UnsupportedState(f"The stamp of partition {keys.tag} can't be read: {text[:80]!r}.")
        if stamp is not None and not READS[0] <= stamp.version <= READS[1]:
            raise UnsupportedState(
                f"Partition {keys.tag} holds state of version {stamp.version}, which celery-groupfifo {stamp.release} "
                "has written: use that release. Nothing was changed."
            )
        return stamp

    def _fence(self, keys: Keys) -> str:
        stamp = self._stamp(self._scripts, keys)
        name = keys.in_edition(stamp.edition if stamp else WRITES).fence
        part = self._scripts.at(keys)
        text: Any = part.ask("stamp", lambda: part.client.get(name))
        return "" if text is None else str(text, "ascii")

    def _write(self, keys: Keys, seen: Stamp | None, partitions: str, empty: bool = False, floor: str = "") -> bool:
        """Begin an edition with a number of partitions. Returns False when the partition is not empty."""
        edition = WRITES if seen is None else seen.edition + 1
        text = f"{edition} {WRITES if seen is None else seen.version} {partitions} {own_release()}"
        before = range(1, edition) if seen is None else [seen.edition]
        more = [keys.stamp, *(name for each in before for name in keys.base_of(each))]
        args: list[Word] = [str(seen or ""), text, int(empty), floor]
        call = keys.in_edition(edition), more, args
        done, few = accept(self._scripts, self._gate.settings.wait_replicas, "stamp", call)
        if few is not None:
            raise few
        if done == 0:
            raise GroupFifoError(f"Another process changes partition {keys.tag} at the same time: call again.")
        return bool(done == 1)


class _Change(Restamping):
    def __init__(self, gate: Gate, number: int) -> None:
        super().__init__(gate)
        self._number = number
        known = self._keyspace(max(number, gate.settings.partitions))
        store = self._store(known)
        # A producer stamps the partitions that it parks in, so the first one may have none. And it changes last.
        every = [found for keys in known.partitions if (found := self._stamp(store, keys)) is not None]
        stamp = every[0] if every else None
        # A growth that was broken off may have reached some of them only.
        grows = next((found for found in every if "+" in found.changing), None)
        if grows is not None:
            raise WrongState(
                f"The gate grows from {grows.changing.replace('+', ' to ')} partitions: set groupfifo_partitions and "
                "groupfifo_partitions_before to these here, and call again until it says that this is over."
            )
        self._old = 0 if stamp is None else stamp.partitions or int(stamp.changing.partition(">")[0])
        self._done = stamp is None or stamp.partitions == number
        self._space = self._keyspace(max(self._old, number))
        self._scripts = self._store(self._space)

    def make(self) -> int | None:
        if self._done:
            return None
        olds, said = self._space.partitions[: self._old], f"{self._old}>{self._number}"
        for keys in olds:
            stamp = self._stamp(self._scripts, keys)
            serves = stamp is None or stamp.partitions == self._old
            if serves and not self._write(keys, stamp, said, empty=True):
                self._undo(said)
                raise WrongState(
                    f"Partition {keys.tag} of the gate holds tasks, dead letters, or groups that are paused, drained, "
                    "blocked or limited: nothing was changed. Stop what sends, wait until the depth is 0, redrive or "
                    "discard the dead letters, and resume these groups."
                )
        floor = max((self._fence(keys) for keys in olds), default="")
        for keys in reversed(self._space.partitions):
            stamp = self._stamp(self._scripts, keys)
            if stamp is None or stamp.partitions != self._number:
                self._write(keys, stamp, str(self._number), floor=floor)
        return self._old

    def _undo(self, said: str) -> None:
        for keys in self._space.partitions[: self._old]:
            stamp = self._stamp(self._scripts, keys)
            if stamp is not None and stamp.changing == said:
                self._write(keys, stamp, str(self._old))
