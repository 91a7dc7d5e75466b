"""The server in use of a list of several: the broker's failover list.

A process stays with its server as long as that one works, then goes on to the first one of the list that works. A
replica does not count: it takes no writes. Where the servers do not hold the same data each of them is a gate of its
own, see docs/guarantees.md.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from time import monotonic

import redis
from celery.utils.log import get_logger
from redis.exceptions import RedisError, ResponseError

from celery_groupfifo.gate.connections import Connections
from celery_groupfifo.printing import escaping

logger = escaping(get_logger(__name__))


class Failover:
    """The tracker of the server in use, by its position in a list.

    Args:
        servers: Connections to each, to try it.
        names: Of each, for the log.
    """

    watched = False

    def __init__(self, servers: Sequence[Connections], names: Sequence[str]) -> None:
        self._servers, self._names = list(servers), list(names)
        self._used: int | None = None
        self._doubted = False
        self._error: RedisError | None = None
        self._tried = 0.0
        self._pid, self._lock = os.getpid(), threading.Lock()

    def find(self) -> int:
        """Return the position of the server in use.

        Raises:
            redis.ConnectionError: None of them works.
        """
        called = monotonic()
        with self._own_lock():
            if self._used is not None and not self._doubted:
                return self._used
            if self._tried < called:  # else another caller has tried them meanwhile
                self._try_all()
            if self._error is not None or self._used is None:
                raise redis.ConnectionError(f"No server of {', '.join(self._names)} works. {self._error or ''}")
            return self._used

    def last(self) -> int | None:
        """Return the position of the server in use, without a try; None: not known yet."""
        return self._used

    def doubt(self, error: Exception | None = None) -> None:
        """Note that connections to the server have failed."""
        self._doubted = True

    def follow(self, server: int) -> None:
        """Use a server from now on."""
        with self._own_lock():
            self._use(server)

    def _try_all(self) -> None:
        # The one in use first: perhaps only one connection has broken.
        for server in sorted(range(len(self._servers)), key=lambda server: (server != self._used, server)):
            try:
                if _takes_writes(self._servers[server]):
                    self._use(server)
                    break
                self._error = redis.ConnectionError(f"{self._names[server]} is a replica.")
            except RedisError as error:
                self._error = error
        self._tried = monotonic()

    def _use(self, server: int) -> None:
        if self._used not in (None, server):
            logger.warning(
                "The gate has moved from %s to %s, the next server in the broker's list. If that one does not hold "
                "the same data, tasks that are parked at the first one wait there.",
                self._names[self._used or 0],
                self._names[server],
            )
        self._used, self._doubted, self._error = server, False, None

    def _own_lock(self) -> threading.Lock:
        if self._pid != os.getpid():  # a thread of the parent may have held the lock at the fork
            self._pid, self._lock = os.getpid(), threading.Lock()
        return self._lock


def _takes_writes(server: Connections) -> bool:
    connection = server.open()
    try:
        connection.send_command("INFO", "replication")
        return b"role:slave" not in connection.read_response()
    except ResponseError as error:
        if "NOPERM" in str(error) or "no permissions" in str(error):
            return True  # INFO is forbidden: a replica will refuse the first write
        raise
    finally:
        server.close(connection)
