"""The connections to one server: each call has one to itself, and a few are kept for the next calls.

redis-py's own pool won't do: it has a limit, which many threads at once run into, it keeps for ever what a burst has
opened, and it goes on with connections to a server that has stopped being the right one.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections import deque
from collections.abc import Callable
from itertools import count
from time import monotonic
from typing import Any, Protocol

import redis
from redis.exceptions import NoPermissionError

from celery_groupfifo.gate import doubts
from celery_groupfifo.printing import escaping

logger = escaping(logging.getLogger(__name__))

#: A refusal to let a connection give itself a name. Redis 6.2 names no subcommand.
_NO_NAME = re.compile(r"'client(\|setname)?'", re.IGNORECASE)
#: Idle connections that are kept. A burst opens as many as it needs; further ones are closed when they come back.
KEPT = 16
#: Seconds after which an answer counts as slow: its server may have stood still, and another one have taken over. A
#: server must be silent for longer than this before sentinels replace it.
SLOW_SECONDS = 0.5

Location = Any
"""The location of a server, as its `Master` names it."""


class Master(Protocol):
    """The tracker of a server that may move; see sentinels.py, failover.py and slots.py.

    Attributes:
        watched: True when others replace a server that stands still: a slow answer of it has to be confirmed.
    """

    watched: bool

    def find(self) -> Location:
        """Return the current location of the server.

        Raises:
            redis.ConnectionError: It is not known.
        """

    def last(self) -> Location | None:
        """Return the last known location, at which kept connections are good; None: not known yet."""

    def doubt(self, error: Exception | None = None) -> None:
        """Note that connections to the location have failed; the error may name another one."""


#: Stands for this process: comparing objects is cheaper than asking the system for a pid at every call.
_process = object()


def _forked() -> None:
    global _process
    _process = object()


os.register_at_fork(after_in_child=_forked)


class _Idle(deque[Any]):
    """The kept connections of one process."""

    def __init__(self) -> None:
        super().__init__()
        self.process = _process


class Connections:
    """The connections to one server, for any thread, greenlet or forked process.

    Args:
        options: For the connection, as redis-py names them; with its `connection_class`.
        master: Finds the server; None: it is where the options say.
        at: Returns the options for a location that the master names.

    Attributes:
        generation: Changes whenever all connections made before are distrusted. A caller that holds one for long asks
            `trusts`.
        timeout: Seconds to wait for an answer.
        watched: See `Master`.
    """

    def __init__(
        self,
        options: dict[str, Any],
        master: Master | None = None,
        at: Callable[[Location], dict[str, Any]] | None = None,
    ) -> None:
        self._options, self._master, self._at = dict(options), master, at
        self._location: Location | None = None
        self._idle = _Idle()
        self._numbers = count(1)
        self.watched = master is not None and master.watched
        self._named = True
        self.generation = 0
        self.timeout = float(options["socket_timeout"])

    # -- a caller's own ------------------------------------------------------

    def open(self) -> Any:
        """Open a connection: connected, authenticated, its database selected. It is the caller's until `close`.

        Raises:
            redis.RedisError: The server can't be reached, or refuses it.
        """
        options = self._options
        if self._master is not None and self._at is not None:
            location = self._master.find()
            self._lead_to(location)
            options = self._at(location)
        self._mine()
        generation = self.generation
        connection = _class_of(options)(**_arguments(options))
        connection.groupfifo_generation = generation
        try:
            self._connect(connection)
        except BaseException:
            connection.disconnect()  # also when a greenlet is killed: a half-open socket would stay
            self.suspect()
            raise
        return connection

    def _connect(self, connection: Any) -> None:
        """Connect; without a name where the user may not give one: it is only for those who read `CLIENT LIST`."""
        if not self._named:
            connection.client_name = None
        try:
            connection.connect()
        except NoPermissionError as error:
            connection.disconnect()
            if not connection.client_name or not _NO_NAME.search(str(error)):
                raise
            logger.info("Connections get no name %s: Redis does not allow it (%s).", connection.client_name, error)
            self._named = False
            self._connect(connection)

    def close(self, connection: Any) -> None:
        """Close a connection, with every unread answer."""
        connection.disconnect()

    @property
    def used(self) -> Location:
        """Return the location that the last call led to; None: the server never moves, or no call was made."""
        return self._location

    def location(self) -> Location:
        """Return the location of the server; None: it never moves.

        Raises:
            redis.ConnectionError: It is not known.
        """
        return None if self._master is None else self._master.find()

    def last(self) -> Location | None:
        """Return the last known location of the server; None: it never moves, or is not known."""
        return None if self._master is None else self._master.last()

    def trusts(self, connection: Any) -> bool:
        """Return whether a connection may be used: none of its generation has failed, and it leads to the master."""
        if self._master is not None:
            self._lead_to(self._master.last())
        same: bool = connection.groupfifo_generation == self.generation
        return same

    def confirms(self, connection: Any, since: float) -> bool:
        """Return whether an answer counts: it was not slow, or the server is still the right one.

        Args:
            connection: That the answer came on.
            since: Time when the call was sent, monotonic.
        """
        if not self.watched or monotonic() - since < SLOW_SECONDS:
            return True
        self.suspect()
        return self.trusts(connection)

    def suspect(self) -> None:
        """Note that an answer took long, or did not come."""
        if self._master is not None:
            doubts.note()
            self._master.doubt()

    def _lead_to(self, location: Location | None) -> None:
        if location is not None and location != self._location:
            if self._location is not None:
                doubts.note()
            self._location = location
            self._distrust_all()

    # -- for one call ------------------------------------------------------

    def take(self) -> Any:
        """Return a connection for one call, a kept or a new one; the caller gives it back or closes it."""
        idle = self._mine()
        while idle:
            try:
                connection = idle.pop()
            except IndexError:  # another thread was faster
                break
            if self.trusts(connection):
                return connection
            self.close(connection)
        return self.open()

    def give_back(self, connection: Any) -> None:
        """Keep a connection for other callers, once its answer is read."""
        idle = self._mine()
        good = connection._sock is not None and connection.groupfifo_generation == self.generation
        if good and len(idle) < KEPT:
            idle.append(connection)
        else:
            self.close(connection)

    def drop(self, generation: int, error: Exception | None = None) -> None:
        """Distrust every connection of a generation: after one has failed, the others are likely to fail, too.

        Args:
            generation: The one at the start of the call that has failed. When it has changed since, another call has
                reported the failure, and newer connections are good.
            error: The failure.
        """
        if generation == self.generation:
            self._distrust_all()
            if self._master is not None:
                doubts.note()
                self._master.doubt(error)

    def _distrust_all(self) -> None:
        self.generation = next(self._numbers)
        self.close_idle()

    def close_idle(self) -> None:
        """Close the kept connections."""
        idle = self._mine()
        while idle:
            try:
                self.close(idle.pop())
            except IndexError:  # another thread was faster
                break

    def _mine(self) -> _Idle:
        if self._idle.process is not _process:  # a forked child must not use its parent's connections
            self.generation = next(self._numbers)
            self._idle = _Idle()
        return self._idle

    # -- for redis-py ------------------------------------------------------

    def client(self) -> Any:
        """Return redis-py's client on these connections."""
        return redis.Redis(connection_pool=_Pool(self, _class_of(self._options), _arguments(self._options)))


def _class_of(options: dict[str, Any]) -> type[Any]:
    made: type[Any] = options.get("connection_class", redis.Connection)
    return made


def _arguments(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "connection_class"}


class _Pool(redis.ConnectionPool):
    """The pool that redis-py's client expects, over `Connections`."""

    def __init__(self, connections: Connections, connection_class: type[Any], options: dict[str, Any]) -> None:
        super().__init__(connection_class=connection_class, **options)
        self._connections = connections

    def get_connection(self, *args: Any, **options: Any) -> Any:
        connection = self._connections.take()
        try:
            unusable = connection.can_read()
        except (redis.RedisError, OSError):
            unusable = True
        if unusable:  # the server has closed it, and probably the other ones
            self._connections.close(connection)
            self._connections.drop(connection.groupfifo_generation)
            connection = self._connections.open()
        return connection

    def release(self, connection: Any) -> None:
        # redis-py releases in a `finally`. While an exception is on its way an answer may be left unread (a time limit
        # strikes anywhere), and would become the answer of the next call.
        if sys.exc_info()[0] is None:
            self._connections.give_back(connection)
        else:
            self._connections.close(connection)

    def disconnect(self, inuse_connections: bool = True) -> None:
        self._connections.close_idle()
