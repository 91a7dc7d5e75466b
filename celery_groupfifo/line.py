"""Calls of one script that are sent together, and whose answers are read when they come.

For a caller that must not wait for Redis between its own steps: the main loop of a worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import NoScriptError, RedisError, ResponseError

from celery_groupfifo import scripts
from celery_groupfifo.errors import GateUnavailable
from celery_groupfifo.store import Call, Store


class Line:
    """A connection of its own, for one script. To be used from one thread.

    Args:
        store: Whose server and scripts.
        name: The script's.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name
        self._connection: Any = None

    @property
    def timeout(self) -> float:
        """Seconds after which an answer counts as lost."""
        return self._store.timeout

    def fileno(self) -> int | None:
        """The connection's descriptor, which is readable when an answer has come; None: not connected."""
        sock = getattr(self._connection, "_sock", None)
        return None if sock is None else int(sock.fileno())

    def send(self, calls: Sequence[Call]) -> None:
        """Send calls. Each has an answer of its own, in this order.

        Raises:
            GroupFifoError: How many Redis got is not known.
        """
        try:
            if self._connection is None:
                self._connect()
            commands = [self._store.command(self._name, call) for call in calls]
            self._connection.send_packed_command(self._connection.pack_commands(commands))
        except RedisError as error:
            raise self._store.wrapped(self._name, error) from error

    def _connect(self) -> None:
        connection = self._connection = self._store.client.connection_pool.get_connection()
        connection.send_command("SCRIPT", "LOAD", scripts.source(self._name))
        connection.read_response()

    def read(self) -> Any:
        """The next answer, waited for: a reply, or the script's error.

        Raises:
            GateUnavailable: The connection is lost, and the answers with it; or Redis has forgotten the script.
        """
        try:
            return self._connection.read_response()
        except NoScriptError as error:
            raise GateUnavailable(f"Redis at {self._store.shown} has forgotten the scripts.") from error
        except ResponseError as error:
            return self._store.wrapped(self._name, error)
        except RedisError as error:
            raise self._store.wrapped(self._name, error) from error

    def more(self) -> bool:
        """Whether another answer can be read without waiting.

        Raises:
            GateUnavailable: The connection is lost.
        """
        try:
            return bool(self._connection.can_read(0))
        except RedisError as error:
            raise self._store.wrapped(self._name, error) from error

    def close(self) -> None:
        """Drop the connection, with every answer that was not read. The next send makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
            self._store.client.connection_pool.release(connection)
