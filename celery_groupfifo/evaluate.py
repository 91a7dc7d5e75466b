"""Scripts on connections that are kept: EVALSHA without the way through redis-py's client.

The client takes a connection from its pool and puts it back around every command, and asks for retries, metrics and
maintenance on the way: twice the work of the command itself, in the worker's main process, for every task.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import redis
from redis.exceptions import NoScriptError, ResponseError

from celery_groupfifo import scripts


class Evaluator:
    """The scripts of one server.

    Connections are used by one call at a time, from any thread or greenlet.

    Args:
        client: Its pool makes the connections.
    """

    def __init__(self, client: Any) -> None:
        self._pool: redis.ConnectionPool = client.connection_pool
        self._idle: deque[Any] = deque()

    def call(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run a script once; load it when the server does not know it (any more).

        Raises:
            redis.ConnectionError, redis.TimeoutError: Whether it ran is not known.
            redis.ResponseError: Redis refused it, or it failed.
        """
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._pool.get_connection()
        try:
            try:
                reply = self._evaluate(connection, name, keys, args)
            except NoScriptError:
                connection.send_command("SCRIPT", "LOAD", scripts.source(name))
                connection.read_response()
                reply = self._evaluate(connection, name, keys, args)
        except ResponseError:
            self._idle.append(connection)  # an answer like any other: the connection is fine
            raise
        except BaseException:
            # Also when the thread is being ended, or the greenlet killed: its answer must not become another call's.
            connection.disconnect()
            self._pool.release(connection)
            raise
        self._idle.append(connection)
        return reply

    def _evaluate(self, connection: Any, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        connection.send_command("EVALSHA", scripts.sha(name), len(keys), *keys, *args)
        return connection.read_response()

    def renew(self) -> None:
        """Trust no kept connection: after one has failed, the others are likely to be as dead."""
        while self._idle:
            connection = self._idle.pop()
            connection.disconnect()
            self._pool.release(connection)
