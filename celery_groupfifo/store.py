"""The only module that talks to Redis: one method per script, nothing decided here.

A call whose reply is lost is repeated once, with the very same arguments: every script knows its own call
again and does its work once. What still fails then is `GateUnavailable`, and the caller's to repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from celery_groupfifo import scripts
from celery_groupfifo.errors import GateUnavailable, GroupFifoError, ScriptRefused
from celery_groupfifo.evaluate import Evaluator
from celery_groupfifo.keys import Keys, due_score

Word = str | bytes | int | float

Call = tuple[Keys, Sequence[str], Sequence[Word]]
"""One run of a script: the keys of its partition, its own keys, and its own arguments."""

#: The oldest server whose commands the scripts use.
LEAST_VERSION = (6, 2)

_LOST = (redis.ConnectionError, redis.TimeoutError)
#: Refusals that pass: Redis is full, starting, read-only after a failover, busy, or without its replicas. redis-py
#: makes classes of some and takes the word out of their text; inside a script's error the word stays.
_PASSING = ("OOM", "LOADING", "READONLY", "BUSY", "MASTERDOWN", "MISCONF", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN")
_PASSING_CLASSES = (OutOfMemoryError, ReadOnlyError, BusyLoadingError, ClusterDownError, MasterDownError, TryAgainError)


class Store:
    """The scripts of a gate on one Redis.

    Args:
        client: Without retries of its own, without decoding.
        shown: The server's URL without its password, for messages.
    """

    def __init__(self, client: redis.Redis, shown: str) -> None:
        self.client: Any = client
        self.shown = shown
        self.clock = ""  # tests set a time in microseconds
        self._scripts = Evaluator(client)

    def run(self, name: str, keys: Keys, more: Sequence[str], args: Sequence[Word]) -> Any:
        """Run a script.

        Args:
            name: Of its file.
            keys: Of its partition.
            more: Its own keys, after the ones that every script gets.
            args: Its own arguments, after the clock and the tag.

        Raises:
            GateUnavailable: Redis can't be reached, or refuses for the moment.
            ScriptRefused: Redis forbids the script.
            GroupFifoError: A key of the gate holds something foreign.
        """
        every = [*keys.base, *more]
        values = [self.clock, keys.tag, *args]
        try:
            try:
                return self._scripts.call(name, every, values)
            except _LOST:
                self._scripts.renew()
                return self._scripts.call(name, every, values)
        except RedisError as error:
            raise self.wrapped(name, error) from error

    def run_all(self, name: str, calls: Sequence[Call]) -> list[Any]:
        """Run a script many times in one round trip; an item of the answer is a reply or an error.

        In one transaction: a script that is flushed half-way must not let a later call pass and an earlier one fail.

        Raises:
            GateUnavailable: Redis can't be reached; how much was done is not known.
        """
        try:
            try:
                return self._pipelined(name, calls)
            except NoScriptError:
                return self._pipelined(name, calls, load=True)
            except _LOST:
                return self._pipelined(name, calls)
        except RedisError as error:
            raise self.wrapped(name, error) from error

    def _pipelined(self, name: str, calls: Sequence[Call], load: bool = False) -> list[Any]:
        sha = scripts.sha(name)
        pipe = self.client.pipeline(transaction=True)
        if load:
            pipe.script_load(scripts.source(name))
        for keys, more, args in calls:
            every = [*keys.base, *more]
            pipe.evalsha(sha, len(every), *every, self.clock, keys.tag, *args)
        replies = pipe.execute(raise_on_error=False)[int(load) :]
        for reply in replies:
            if isinstance(reply, (*_LOST, NoScriptError)):
                raise reply
        return [self.wrapped(name, reply) if isinstance(reply, RedisError) else reply for reply in replies]

    def command(self, name: str, call: Call) -> list[Word]:
        """A run of a script as a command, for whoever sends it on a connection of its own."""
        keys, more, args = call
        count = len(keys.base) + len(more)
        return ["EVALSHA", scripts.sha(name), count, *keys.base, *more, self.clock, keys.tag, *args]

    def push(self, list_key: str, message: bytes) -> None:
        """Push a ticket on a broker's list; a second push is a stale ticket, no more."""
        try:
            self.client.lpush(list_key, message)
        except RedisError as error:
            raise self.wrapped("push", error) from error

    def mark_unsent(self, keys: Keys, name: str) -> None:
        """Let the next sweep release a head again whose ticket did not reach the broker. `name` is its entry's."""
        try:
            self.client.zadd(keys.due, {f"r {name}": due_score("r", 0)})
        except RedisError as error:
            raise self.wrapped("mark_unsent", error) from error

    def entries(self, keys: Keys, names: Sequence[str]) -> dict[str, tuple[str, bytes]]:
        """Group and text of entries by name, of those that exist and can be read."""
        try:
            texts: list[bytes | None] = self.client.hmget(keys.entries, names)
        except RedisError as error:
            raise self.wrapped("entries", error) from error
        found = {}
        for name, text in zip(names, texts, strict=True):
            words = (text or b"").split(b"\n", 1)[0].split(b" ")
            if text is not None and len(words) == 4:
                found[name] = (words[1].decode(), text)
        return found

    def begun(self, keys: Keys, queue: str) -> int:
        """The highest fence that was begun from a queue, as far as this partition knows; 0: none."""
        try:
            text: bytes | None = self.client.hget(keys.seen, queue)
        except RedisError as error:
            raise self.wrapped("begun", error) from error
        return int((text or b"0").partition(b" ")[0])

    def tickets(self, keys: Keys, queue: str) -> int:
        """How many heads of this partition are on their way in a queue."""
        try:
            return int(self.client.zlexcount(keys.rung, f"[{queue} ", f"({queue} \x7f"))
        except RedisError as error:
            raise self.wrapped("tickets", error) from error

    def wait(self, lists: Sequence[str], seconds: float) -> str | None:
        """Wait until something is pushed on one of `lists`, and take it; None when the time is over."""
        try:
            found = self.client.brpop(lists, timeout=seconds)
        except RedisError as error:
            raise self.wrapped("wait", error) from error
        return None if found is None else str(found[0].decode())

    @property
    def timeout(self) -> float:
        """Seconds that the client waits for an answer."""
        return float(self.client.connection_pool.connection_kwargs["socket_timeout"])

    @property
    def patience(self) -> float:
        """Seconds that `wait` may take at most: less than the client waits for an answer."""
        return self.timeout / 2

    def nudge(self, key: str) -> None:
        """End one `wait` on the list `key`."""
        try:
            pipe = self.client.pipeline(transaction=False)
            pipe.lpush(key, "1").ltrim(key, 0, 0).pexpire(key, 5000).execute()
        except RedisError as error:
            raise self.wrapped("nudge", error) from error

    def forget(self, *keys: str) -> None:
        """Delete keys."""
        try:
            self.client.delete(*keys)
        except RedisError as error:
            raise self.wrapped("forget", error) from error

    def version(self) -> tuple[int, ...]:
        """The server's version; also the proof that it can be reached."""
        try:
            text = str(self.client.info("server")["redis_version"])
        except RedisError as error:
            raise self.wrapped("info", error) from error
        return tuple(int(part) for part in text.split(".")[:3])

    def wrapped(self, name: str, error: RedisError) -> GroupFifoError:
        """The one place where Redis errors become ours."""
        text = str(error)
        if isinstance(error, NoPermissionError) or "NOPERM" in text or "ACL failure" in text:
            return ScriptRefused(
                f"Redis at {self.shown} refused '{name}': {text}. "
                "Allow the user EVALSHA, SCRIPT LOAD and the gate's keys."
            )
        passing = isinstance(error, _PASSING_CLASSES) or any(word in text for word in _PASSING)
        if isinstance(error, ResponseError) and not passing:
            if "WRONGTYPE" in text:
                return GroupFifoError(
                    f"'{name}' found a key of another type at {self.shown}: something else uses the gate's "
                    f"names. Give the gate its own groupfifo_namespace or database. ({text})"
                )
            return GroupFifoError(f"Redis at {self.shown} could not run '{name}': {text}")
        return GateUnavailable(f"The gate's Redis at {self.shown} can't be used right now ('{name}'): {text}")
