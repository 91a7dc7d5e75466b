"""The store of a gate on a Redis Cluster: each partition has one hash tag, so one slot, and a store of its own.

Everything that is called with the keys of a partition goes to the node that serves its slot. What belongs to no
partition (the time, a ping) goes to the node of the first one, unless the caller names another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from redis.crc import key_slot

from celery_groupfifo.errors import GateUnavailable, GroupFifoError, NotReplicated
from celery_groupfifo.gate.connections import Connections
from celery_groupfifo.gate.keys import Keys, Keyspace, Quoted
from celery_groupfifo.gate.packing import ScriptArguments, Word
from celery_groupfifo.gate.records import StoredEntry
from celery_groupfifo.gate.server import RedisServer
from celery_groupfifo.gate.store import Store


class ClusterStore(Store):
    """The scripts of a gate on a Redis Cluster.

    Args:
        connect: Makes the connections to the node of a slot.
        keyspace: The partitions.
        shown: See `Store`.
        patient: See `Store`.
        stamped: False: the stamps are not read, as the caller changes them.
    """

    in_cluster = True

    def __init__(
        self,
        connect: Callable[[int], Connections],
        keyspace: Keyspace,
        shown: str,
        patient: bool = True,
        stamped: bool = True,
    ) -> None:
        slots = {keys: key_slot(f"{{{keys.tag}}}".encode()) for keys in keyspace.partitions}
        self._parts: dict[str, _Part] = {}
        for keys, slot in slots.items():
            first = next(iter(self._parts.values())).meet if self._parts else None
            self._parts[keys.tag] = _Part(connect(slot), shown, patient, [keys] * stamped, first)
        self._first = next(iter(self._parts.values()))
        super().__init__(self._first.connections, shown, patient)

    @property
    def clock(self) -> str:
        """Return the time that tests set."""
        return self._first.clock

    @clock.setter
    def clock(self, text: str) -> None:
        for part in self._parts.values():
            part.clock = text

    def at(self, keys: Keys) -> Store:
        """Return the store of a partition."""
        return self._parts[keys.tag]

    def close(self) -> None:
        """Close the kept connections."""
        for part in self._parts.values():
            part.close()

    def meet(self) -> None:
        """Read the stamps of all partitions, see `Store.meet`."""
        for part in self._parts.values():
            part.meet()

    def run(self, name: str, keys: Keys, more: Sequence[str], args: Sequence[Word]) -> Any:
        """Run a script, see `Store.run`."""
        return self._parts[keys.tag].run(name, keys, more, args)

    def run_all(self, name: str, calls: Sequence[ScriptArguments], replicas: int = 0) -> list[Any]:
        """Run a script many times, in one transaction for each partition; see `Store.run_all`."""
        replies: list[Any] = [None] * len(calls)
        places: dict[str, list[int]] = {}
        for place, (keys, _, _) in enumerate(calls):
            places.setdefault(keys.tag, []).append(place)
        few: NotReplicated | None = None
        for tag, mine in places.items():
            try:
                some = self._parts[tag].run_all(name, [calls[at] for at in mine], replicas)
            except NotReplicated as error:
                few, some = error, error.replies
            for place, reply in zip(mine, some, strict=True):
                replies[place] = reply
        if few is not None:
            raise NotReplicated(str(few), replies)
        return replies

    def read(self, name: str, build: Callable[[Any], object], keys: Keys | None = None) -> list[Any]:
        """Run a pipeline of reads, in one round trip for each partition; see `Store.read`."""
        if keys is not None:
            return self.at(keys).read(name, build)
        for each in self._parts.values():
            each.look()
        pipe = self.client.pipeline(transaction=False)
        build(pipe)
        commands: list[tuple[tuple[Any, ...], dict[str, Any]]] = list(pipe.command_stack)
        found = [self._part_of(args) for args, _ in commands]
        usual = next((part for part in found if part is not None), self._first)
        places: dict[Store, list[int]] = {}
        for place, part in enumerate(found):
            places.setdefault(part or usual, []).append(place)
        replies: list[Any] = [None] * len(commands)
        for part, mine in places.items():

            def again(pipe: Any, mine: list[int] = mine) -> None:
                for at in mine:
                    pipe.execute_command(*commands[at][0], **commands[at][1])

            for place, reply in zip(mine, part.read(name, again), strict=True):
                replies[place] = reply
        return replies

    def _part_of(self, args: Sequence[Any]) -> Store | None:
        """Return the store of the partition whose key a command has; None: it has none."""
        key = args[1] if len(args) > 1 else ""
        text = key.decode() if isinstance(key, bytes) else str(key)
        return self._parts.get(text.partition("{")[2].partition("}")[0])

    def mark_unsent(self, keys: Keys, group: Quoted, name: str) -> None:
        """Let the next sweep release a head again, see `Store.mark_unsent`."""
        self._parts[keys.tag].mark_unsent(keys, group, name)

    def entries(self, keys: Keys, names: Sequence[str]) -> dict[str, StoredEntry]:
        """Return entries by name, those that exist and can be read."""
        return self._parts[keys.tag].entries(keys, names)

    def begun(self, keys: Keys, queue: str) -> tuple[int, int]:
        """Return the latest release that was begun from a queue, and when, see `Store.begun`."""
        return self._parts[keys.tag].begun(keys, queue)

    def tickets(self, keys: Keys, queue: str) -> int:
        """Return the number of heads of a partition that are on their way in a queue."""
        return self._parts[keys.tag].tickets(keys, queue)

    def version(self) -> tuple[int, ...]:
        """Return the version of a node that answers.

        Raises:
            UnsupportedServer: It is too old, or no node of a cluster.
            GroupFifoError: None of the partitions' nodes can be reached, or they refuse.
        """
        error: GroupFifoError | None = None
        for part in self._parts.values():
            try:
                return part.version()
            except GateUnavailable as unavailable:
                error = unavailable
        raise error or GroupFifoError("The gate has no partition.")


class _Part(Store):
    """The scripts of one partition."""

    in_cluster = True


def store_of(
    server: RedisServer, keyspace: Keyspace, timeout: float, name: str, patient: bool, stamped: bool = True
) -> Store:
    """Return the store of a gate.

    Args:
        server: The gate's Redis, or Redis Cluster.
        keyspace: The partitions.
        timeout: Seconds to wait for an answer.
        name: Of the connections, shown by `CLIENT LIST`.
        patient: See `Store`.
        stamped: False: the stamps are not read, as the caller changes them.

    Raises:
        InvalidSetting: redis-py has no such option of a connection.
    """
    connect = partial(server.connections, timeout, name)
    if server.nodes:
        return ClusterStore(connect, keyspace, server.shown, patient, stamped)
    return Store(connect(), server.shown, patient, keyspace.partitions if stamped else ())
