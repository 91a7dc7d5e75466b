"""The store, which makes the gate's calls to Redis: scripts, and the few reads and writes that need none.

A call whose reply is lost is repeated once, with the very same arguments: every script recognizes a repeated call and
does its work once. A call that was refused by a server which may not be the right one any more is repeated, too. If
that fails, `GateUnavailable` is raised, and the caller may repeat the call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from time import monotonic, sleep
from typing import Any, TypeVar

from redis.exceptions import NoScriptError, RedisError, ResponseError

from celery_groupfifo.errors import GateUnavailable, GroupFifoError, NotReplicated
from celery_groupfifo.gate.connections import Connections
from celery_groupfifo.gate.evaluator import Ahead, Evaluator, load
from celery_groupfifo.gate.keys import Keys, Quoted, due_score
from celery_groupfifo.gate.packing import ScriptArguments, Word, pack, pack_run
from celery_groupfifo.gate.records import StoredEntry
from celery_groupfifo.gate.refusals import (
    Kind,
    checked_version,
    is_foreign_key,
    kind_of,
    names_master,
    wrap_error,
)
from celery_groupfifo.gate.stamps import Stamps, Unstamped
from celery_groupfifo.gate.stream import Stream

T = TypeVar("T")

#: Seconds between two tries while a slot of a Redis Cluster is on its way to another node.
MOVING_SECONDS = 0.05
#: Seconds that a park waits for replicas, and half the time for an answer at most.
REPLICA_SECONDS = 1.0
#: Nodes of a Redis Cluster that may name another one during one call.
MOST_MOVES = 3


class Store:
    """The scripts of a gate on one Redis.

    Args:
        connections: To the server.
        shown: The server's URL without its password, for messages.
        patient: True: a call is repeated once after a time-out, too. False: only after a connection that was lost at
            once, as by a restart; for a caller that must not wait for longer than one time-out.
        partitions: Those on the server whose stamps are read, see stamps.py.
        first: Reads the stamp of the gate's first partition, where that is another store's.

    Attributes:
        connections: For callers that need one of their own.
        client: redis-py's, for reads; a call goes through `ask`.
        in_cluster: True when the server is a node of a Redis Cluster, as the URL says.
    """

    in_cluster = False

    def __init__(
        self,
        connections: Connections,
        shown: str,
        patient: bool = True,
        partitions: Sequence[Keys] = (),
        first: Callable[[], None] | None = None,
    ) -> None:
        self.connections = connections
        self.client: Any = connections.client()
        self.shown = shown
        self.clock = ""  # tests set a time in microseconds
        self._patient = patient
        self._partitions = partitions
        self._stamps = Stamps(shown, load, partitions[0], first) if partitions else Unstamped(shown, load)
        self._scripts = Evaluator(connections, self._stamps)

    def at(self, keys: Keys) -> Store:
        """Return the store of a partition's node. Partitions with one store share a server, and its clock."""
        return self

    def place(self) -> str:
        """Return host and port of a node of a cluster; empty for another server.

        Raises:
            GateUnavailable: It is not known.
        """
        address = self.ask("nodes", self.connections.location)
        return f"{address[0]}:{address[1]}" if self.in_cluster else ""

    def close(self) -> None:
        """Close the kept connections. A later call opens a new one."""
        self.connections.close_idle()

    def ask(self, name: str, call: Callable[[], T], keys: Keys | None = None) -> T:
        """Make a call; repeat it once where a new connection may have a better answer, or the scripts were flushed.

        Args:
            name: For messages.
            call: Harmless when it is made twice.
            keys: Of its partition; None: of any that the store serves.

        Returns:
            The result of the call.

        Raises:
            GateUnavailable: Redis can't be reached, or refuses for the moment.
            ScriptRefused: Redis forbids it.
            GroupFifoError: A key of the gate holds something foreign.
        """
        last, looked, renamed, moved, until = False, False, False, 0, 0.0
        partitions = [keys] if keys else self._partitions
        while True:
            generation, before = self.connections.generation, _editions(partitions)
            try:
                return call()
            except RedisError as error:
                kind = kind_of(error)
                if kind.distrusted:
                    self.connections.drop(generation, error)
                if kind is Kind.MOVING and self._patient:
                    until = until or monotonic() + self.timeout
                    if monotonic() < until:
                        sleep(MOVING_SECONDS)
                        continue
                if self.in_cluster and moved < MOST_MOVES and names_master(error):
                    moved += 1
                    continue
                if renamed and is_foreign_key(error):
                    said = f"What the gate at {self.shown} holds has just been renamed: call again."
                    raise GateUnavailable(said) from error
                if not looked and is_foreign_key(error):
                    looked, renamed = True, self._is_renamed(partitions, before)
                    if renamed:
                        continue
                if last or not kind.repeated or (kind is Kind.LATE and not self._patient):
                    raise self.wrapped(name, error) from error
                last = True

    def _is_renamed(self, partitions: Sequence[Keys], before: Sequence[int]) -> bool:
        """Return whether partitions have begun another edition, which has other names for its keys.

        Args:
            partitions: Of a call.
            before: Their editions before it. Another thread may have read the stamps since.

        Raises:
            UnsupportedState: This process can't use one of them any more.
        """
        self._stamps.forget(partitions)
        self._scripts.meet(partitions)
        return _editions(partitions) != before

    def meet(self) -> None:
        """Read the stamps of all partitions on the server.

        Raises:
            GateUnavailable: Redis can't be reached, or refuses for the moment.
            UnsupportedState: This process may not use what is stored there.
        """
        self.ask("stamp", lambda: self._scripts.meet(self._partitions))

    def stamp(self, connection: Any) -> None:
        """Read the stamps on a connection that a caller has opened for itself, see `Stamps.meet`."""
        for keys in self._partitions:
            self._stamps.meet(connection, keys)

    def run(self, name: str, keys: Keys, more: Sequence[str], args: Sequence[Word]) -> Any:
        """Run a script.

        Args:
            name: Of its file.
            keys: Of its partition.
            more: Its own keys, after the ones that every script gets.
            args: Its own arguments, after the clock and the tag.

        Returns:
            The script's reply.

        Raises:
            GateUnavailable: Redis can't be reached, or refuses for the moment.
            ScriptRefused: Redis forbids the script.
            GroupFifoError: A key of the gate holds something foreign.
        """
        call = (keys, more, args)
        return self.ask(name, lambda: self._scripts.call(name, call, self.clock), keys)

    def ahead(self, names: Sequence[str]) -> AbstractContextManager[Ahead]:
        """Lend a connection for scripts that only read, within the call of an `ask`; see `Evaluator.ahead`."""
        self._look_once()
        return self._scripts.ahead(names)

    def stream(self) -> AbstractContextManager[Stream]:
        """Lend a connection for many small reads, within the call of an `ask`; see `Evaluator.stream`."""
        self._look_once()
        return self._scripts.stream()

    def run_all(self, name: str, calls: Sequence[ScriptArguments], replicas: int = 0) -> list[Any]:
        """Run a script many times in one round trip.

        In one transaction: if the script is flushed half-way, no later call may pass after an earlier one has failed.

        Args:
            name: Of its file.
            calls: Keys and arguments of each run, see `run`.
            replicas: That have to confirm them.

        Returns:
            A reply or an error for each call.

        Raises:
            GateUnavailable: Redis can't be reached; any number of the calls may be done.
            NotReplicated: They are done, and fewer replicas have confirmed them in time.
        """
        seconds = min(REPLICA_SECONDS, self.patience)
        wait = pack(["WAIT", replicas, int(seconds * 1000)]) if replicas else b""
        confirmed: list[int] = []

        partitions = [each[0] for each in calls]

        def call() -> list[Any]:
            load, renamed = None, False
            while True:  # each may be made several times
                confirmed.clear()
                before = _editions(partitions)
                try:
                    replies = self._scripts.run_all(name, calls, self.clock, load, wait=wait, confirmed=confirmed)
                    if not renamed and any(map(is_foreign_key, replies)) and self._is_renamed(partitions, before):
                        renamed = True
                        continue
                    return self._answers(name, replies)
                except NoScriptError:
                    if load:
                        raise
                    with suppress(ResponseError):  # the user may lack the permission for INFO
                        self._version()
                    load = name

        replies = self.ask(name, call)
        if replicas and confirmed[0] < replicas:
            raise NotReplicated(
                f"Parked at {self.shown}, but {confirmed[0]} of {replicas} replicas have confirmed it within "
                f"{seconds:g} s (groupfifo_wait_replicas = {replicas}): it may run, and a failover may lose it. Call "
                "again with the same task_id, it is parked once; start the replicas; or set a lower number.",
                replies,
            )
        return replies

    def _answers(self, name: str, replies: list[Any]) -> list[Any]:
        for reply in replies:
            if isinstance(reply, RedisError) and kind_of(reply).repeated:
                raise reply
        return [self.wrapped(name, reply) if isinstance(reply, RedisError) else reply for reply in replies]

    def command(self, name: str, call: ScriptArguments) -> bytes:
        """Return the run of a script as a command, also for a caller that sends it on a connection of its own."""
        return pack_run(name, call, self.clock)

    def read(self, name: str, build: Callable[[Any], object], keys: Keys | None = None) -> list[Any]:
        """Run a pipeline of reads.

        Args:
            name: For messages.
            build: Called with the pipeline, to add commands.
            keys: The partition whose server is asked; None: that of each command's key.

        Returns:
            The replies.

        Raises:
            GateUnavailable: Redis can't be reached, or refuses for the moment.
            GroupFifoError: Redis refuses.
        """

        def call() -> list[Any]:
            self._look_once()
            pipe = self.client.pipeline(transaction=False)
            build(pipe)
            return list(pipe.execute())

        return self.ask(name, call, keys)

    def look(self) -> None:
        """Read the stamps of partitions that no call has read yet, without writing any.

        Raises:
            UnsupportedState: This process can't read one of them.
            GroupFifoError: Redis can't be reached, or refuses.
        """
        if any(not keys.stamped for keys in self._partitions):
            self.ask("stamp", self._look_once)

    def look_again(self, keys: Keys) -> None:
        """Read the stamp of a partition, also when it is known, without writing any; see `look`."""
        self.ask("stamp", lambda: self._stamps.look(self.client.get(keys.stamp), keys), keys)

    def _look_once(self) -> None:
        """Read these stamps, without repeating it."""
        unseen = [keys for keys in self._partitions if not keys.stamped]
        if unseen:
            for text, keys in zip(self.client.mget([each.stamp for each in unseen]), unseen, strict=True):
                self._stamps.look(text, keys)

    def push(self, list_key: str, message: bytes) -> None:
        """Push a ticket on a broker's list; the ticket of a second push is stale."""
        self.ask("push", lambda: self.client.lpush(list_key, message))

    def mark_unsent(self, keys: Keys, group: Quoted, name: str) -> None:
        """Let the next sweep release the head of an entry's `name` again: its ticket did not reach the broker."""
        member = f"r {group} {name}"
        self.ask("mark_unsent", lambda: self.client.zadd(keys.due, {member: due_score("r", 0)}), keys)

    def entries(self, keys: Keys, names: Sequence[str]) -> dict[str, StoredEntry]:
        """Return entries by name, those that exist and can be read."""
        texts: list[bytes | None] = self.ask("entries", lambda: self.client.hmget(keys.entries, names), keys)
        entries = {name: StoredEntry.parse(text) for name, text in zip(names, texts, strict=True)}
        return {name: entry for name, entry in entries.items() if entry is not None}

    def begun(self, keys: Keys, queue: str) -> tuple[int, int]:
        """Return the latest release that was begun from a queue, as far as the partition knows, and when (ms); or 0."""
        text: bytes | None = self.ask("begun", lambda: self.client.hget(keys.begins, queue), keys)
        release, ms, *_ = [*(text or b"").split(b" "), b"0", b"0"]
        return int(release or 0), int(ms)

    def tickets(self, keys: Keys, queue: str) -> int:
        """Return the number of heads of this partition that are on their way in a queue."""
        return int(
            self.ask("tickets", lambda: self.client.zlexcount(keys.on_the_way, f"[{queue} ", f"({queue} \x7f"), keys)
        )

    def wait(self, lists: Sequence[str], seconds: float) -> str | None:
        """Wait until an item is pushed on one of `lists`, and take it. Returns its list; None when the time is over."""
        # An item may have been lost with a connection, and it is for the next wait: the repetition hardly waits.
        times = iter((seconds, 0.01))
        found: Any = self.ask("wait", lambda: self.client.brpop(lists, timeout=next(times)))
        return None if found is None else str(found[0].decode())

    def config(self, name: str) -> str | None:
        """Return a setting of the server; None when it does not tell."""
        try:
            said = self.client.config_get(name).get(name)
        except RedisError:
            return None
        return None if said is None else str(said)

    @property
    def timeout(self) -> float:
        """Return the seconds that the client waits for an answer."""
        return self.connections.timeout

    @property
    def patience(self) -> float:
        """Return the seconds that `wait` may take at most: less than the client waits for an answer."""
        return self.timeout / 2

    def ring_bell(self, key: str) -> None:
        """End one `wait` on the list `key`."""
        pipe = self.client.pipeline(transaction=False)
        self.ask("ring_bell", lambda: pipe.lpush(key, "1").ltrim(key, 0, 0).pexpire(key, 5000).execute())

    def forget(self, *keys: str) -> None:
        """Delete keys."""
        self.ask("forget", lambda: self.client.delete(*keys))

    def version(self) -> tuple[int, ...]:
        """Return the server's version; this also proves that it can be reached.

        Raises:
            UnsupportedServer: It is too old.
            GroupFifoError: It can't be reached, or refuses.
        """
        return self.ask("info", self._version)

    def _version(self) -> tuple[int, ...]:
        return checked_version(str(self.client.info("server")["redis_version"]))

    def wrapped(self, name: str, error: RedisError) -> GroupFifoError:
        """Turn an error of Redis into one of ours, see `wrap_error`."""
        return wrap_error(name, error, self.shown, self.in_cluster)


def _editions(partitions: Sequence[Keys]) -> list[int]:
    return [keys.edition for keys in partitions]
