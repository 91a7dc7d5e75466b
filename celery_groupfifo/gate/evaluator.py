"""An evaluator for scripts on kept connections: EVALSHA without redis-py's client.

The client adds retries, metrics and maintenance to every command: twice the work of the command itself, in the worker's
main process, for every task.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

import redis
from redis.exceptions import ExecAbortError, NoPermissionError, NoScriptError, ResponseError

from celery_groupfifo.gate import scripts
from celery_groupfifo.gate.connections import Connections
from celery_groupfifo.gate.growing import pack_all_at_home, pack_at_home
from celery_groupfifo.gate.keys import Keys
from celery_groupfifo.gate.packing import ScriptArguments, pack
from celery_groupfifo.gate.refusals import checked_version
from celery_groupfifo.gate.stamps import Stamps
from celery_groupfifo.gate.stream import Stream


def load(connection: Any, names: Sequence[str]) -> None:
    """Load scripts into a server, unless it is too old.

    Args:
        connection: To the server, not in use elsewhere.
        names: Of the scripts.

    Raises:
        redis.RedisError: The server is too old or refuses, or the connection is lost.
    """
    with suppress(ResponseError):  # the user may lack the permission for INFO
        connection.send_command("INFO", "server")
        found = re.search(rb"redis_version:([\d.]+)", connection.read_response())
        if found is not None:
            checked_version(found[1].decode())
    for name in names:
        connection.send_command("SCRIPT", "LOAD", scripts.source(name))
    for _ in names:
        connection.read_response()


class Ahead:
    """Scripts that are sent before the answers of earlier ones are read: Redis works while its client does.

    Args:
        connection: To the server, which knows the scripts; not in use elsewhere.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def send(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> None:
        """Send a call."""
        self._connection.send_command("EVALSHA", scripts.sha(name), len(keys), *keys, *args)

    def read(self) -> Any:
        """Return the answer of the oldest call whose answer was not read."""
        return self._connection.read_response()


_MULTI, _EXEC = pack(["MULTI"]), pack(["EXEC"])


class Evaluator:
    """The scripts of one server.

    Args:
        connections: To the server; each call has one to itself.
        stamps: Of the partitions that are there.
    """

    def __init__(self, connections: Connections, stamps: Stamps) -> None:
        self._connections, self._stamps = connections, stamps

    def call(self, name: str, call: ScriptArguments, clock: str) -> Any:
        """Run a script once; load it first when the server does not know it.

        Args:
            name: Of the script.
            call: Its keys and arguments.
            clock: See `pack_run`.

        Raises:
            redis.ConnectionError, redis.TimeoutError: The script may or may not have run.
            redis.ResponseError: Redis refused it, or it failed.
            TooOldError: The server is too old.
            UnsupportedState: This process may not use what is stored there.
        """
        connection = self._connections.take()
        try:
            self._stamps.meet(connection, call[0], name)  # first: it may give the keys other names
            sent = monotonic()
            name, command = pack_at_home(name, call, clock)
            try:
                reply = _evaluated(connection, command)
            except NoScriptError:
                load(connection, [name])
                reply = _evaluated(connection, command)
            self._confirm(connection, sent)
        except ResponseError:
            self._connections.give_back(connection)  # an error is an answer like any other: the connection is fine
            raise
        except BaseException:
            # Also when the thread ends or the greenlet is killed: the unread answer must not become another call's.
            self._connections.close(connection)
            raise
        self._connections.give_back(connection)
        return reply

    @contextmanager
    def ahead(self, names: Sequence[str]) -> Iterator[Ahead]:
        """Lend a connection for calls whose answers are read later; all of them, unless an exception ends it.

        If the server forgets the scripts meanwhile, the answers are errors, see `Kind.FORGOTTEN`: begin anew.

        Args:
            names: Of the scripts.
        """
        with self._lent() as connection:
            load(connection, names)
            yield Ahead(connection)

    @contextmanager
    def stream(self) -> Iterator[Stream]:
        """Lend a connection for many small commands. Its answers are all read, unless an exception ends it."""
        with self._lent() as connection:
            yield Stream(connection)

    def meet(self, partitions: Iterable[Keys]) -> None:
        """Read the stamps of partitions, see `Stamps.meet`."""
        with self._lent() as connection:
            for keys in partitions:
                self._stamps.meet(connection, keys)

    @contextmanager
    def _lent(self) -> Iterator[Any]:
        """Lend a connection, which is closed after any exception: an answer may be left on it."""
        connection = self._connections.take()
        try:
            yield connection
        except BaseException:
            self._connections.close(connection)
            raise
        self._connections.give_back(connection)

    def run_all(
        self,
        name: str,
        calls: Sequence[ScriptArguments],
        clock: str,
        load: str | None = None,
        wait: bytes = b"",
        confirmed: list[int] | None = None,
    ) -> list[Any]:
        """Run a script many times as one transaction.

        Args:
            name: Of the script.
            calls: The keys and arguments of each run.
            clock: See `pack_run`.
            load: A script to load first, in the same transaction.
            wait: A WAIT behind it, packed; empty: none.
            confirmed: Gets its answer, the number of replicas that have the transaction.

        Returns:
            The answer of each run, or its error.

        Raises:
            redis.ConnectionError, redis.TimeoutError: The runs may or may not have happened.
            redis.ResponseError: Redis refused them, and none has happened.
            UnsupportedState: This process may not use what is stored there.
        """
        connection = self._connections.take()
        try:
            for keys in {id(call[0]): call[0] for call in calls}.values():
                self._stamps.meet(connection, keys)
            sent = monotonic()
            packed, commands = pack_all_at_home(name, calls, clock)
            try:
                replies = transaction(connection, commands, load and packed, wait)
            except ResponseError:
                if wait:
                    _confirmed(connection)
                raise
            if wait and confirmed is not None:
                confirmed.append(_confirmed(connection))
            self._confirm(connection, sent)
        except ResponseError:
            self._connections.give_back(connection)
            raise
        except BaseException:
            self._connections.close(connection)
            raise
        self._connections.give_back(connection)
        return replies

    def _confirm(self, connection: Any, sent: float) -> None:
        if not self._connections.confirms(connection, sent):
            raise redis.ConnectionError("Its answer was slow, and it may be the master no more.")


def transaction(connection: Any, commands: Sequence[bytes], load: str | None = None, behind: bytes = b"") -> list[Any]:
    """Run packed commands as one transaction, behind the load of a script; return their answers, see `run_all`.

    `behind` is a packed command that follows it in the same write; the caller reads its answer.
    """
    first = [] if load is None else [pack(["SCRIPT", "LOAD", scripts.source(load)])]
    connection.send_packed_command([b"".join([_MULTI, *first, *commands, _EXEC, behind])])
    return _answers(connection, len(first) + len(commands))[len(first) :]


def _answers(connection: Any, count: int) -> list[Any]:
    """Return the answers of a transaction of so many commands."""
    refused = [error for error in (_refusal(connection) for _ in range(count + 1)) if error is not None]
    try:
        replies = list(connection.read_response())
    except ExecAbortError as error:
        raise (refused or [error])[0] from None
    if refused:  # MULTI itself: each has run by itself, or not at all
        raise refused[0]
    return replies


def _confirmed(connection: Any) -> int:
    """Read the answer to WAIT: a number of replicas, 0 where it is refused, as by a replica."""
    try:
        return int(connection.read_response())
    except NoPermissionError:
        raise
    except ResponseError:
        return 0


def _refusal(connection: Any) -> ResponseError | None:
    """Read the answer to MULTI or to a command that was queued; return the error, if it is one."""
    try:
        connection.read_response()
    except ResponseError as error:
        return error
    return None


def _evaluated(connection: Any, command: bytes) -> Any:
    connection.send_packed_command([command])
    return connection.read_response()
