"""A connection whose owner never waits for it: calls go out together, and answers are read when they have come.

It serves the main loop of a worker, which must not stand still while Redis does.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from redis.exceptions import RedisError, ResponseError

from celery_groupfifo.errors import GateUnavailable, GroupFifoError
from celery_groupfifo.gate.evaluator import load
from celery_groupfifo.gate.refusals import names_master
from celery_groupfifo.gate.store import Store

#: Bytes that are read at once.
CHUNK = 65_536
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Pipelined:
    """A connection that knows a few scripts, for one thread; `readable` and `end` may be called from any.

    Args:
        connection: Of redis-py, connected, not in use elsewhere.
        store: The store of the connection's server.
    """

    def __init__(self, connection: Any, store: Store) -> None:
        self._connection, self._store = connection, store
        self._socket: Any = connection._sock
        self._socket.setblocking(False)
        self._descriptor = int(self._socket.fileno())
        self._out = bytearray()
        self._in = bytearray()

    @classmethod
    def open(cls, store: Store, names: Sequence[str]) -> Pipelined:
        """Connect, and load scripts. This waits.

        Args:
            store: Opens the connection.
            names: Of the scripts.

        Raises:
            GroupFifoError: Redis can't be reached, or refuses.
        """
        try:
            connection = store.connections.open()
            try:
                load(connection, names)
                store.stamp(connection)
                return cls(connection, store)
            except BaseException:  # also when a greenlet is killed: nobody else would close it
                store.connections.close(connection)
                raise
        except RedisError as error:
            raise store.wrapped("script load", error) from error

    def fileno(self) -> int:
        """Return the descriptor, which is readable when answers have come; also after the connection was closed."""
        return self._descriptor

    @property
    def trusted(self) -> bool:
        """Return whether the connection still leads to the right server. This may wait, for a Sentinel."""
        return self._store.connections.trusts(self._connection)

    @property
    def watched(self) -> bool:
        """Return whether a slow answer has to be confirmed, see `connections.Master`."""
        return self._store.connections.watched

    def suspect(self) -> None:
        """Note that an answer was slow: its server may be the wrong one. This does not wait."""
        self._store.connections.suspect()

    @property
    def readable(self) -> bool:
        """Return whether there is unread data, from any thread."""
        poll = select.poll()
        try:
            poll.register(self._descriptor, select.POLLIN)
            return bool(poll.poll(0))
        except (OSError, ValueError):
            return False

    def send(self, commands: Iterable[bytes]) -> bool:
        """Send packed commands. Each has an answer of its own, in this order.

        Returns:
            False when the socket takes no more now: call `flush` when it can be written to.

        Raises:
            GateUnavailable: Redis may have got any number of them.
        """
        for packed in commands:
            self._out += packed
        return self.flush()

    def flush(self) -> bool:
        """Send the rest. Returns and raises as `send` does."""
        while self._out:
            try:
                sent = self._socket.send(self._out)
            except _NOT_NOW:
                return False
            except (OSError, ValueError) as error:
                raise self._ended(error) from error
            del self._out[:sent]
        return True

    def read(self) -> list[Any]:
        """Return the answers that have come since: replies, or errors of the scripts.

        Raises:
            GateUnavailable: The connection is lost, and the answers with it; or Redis has forgotten the scripts, or is
            not the node of the calls any more.
        """
        while True:
            try:
                text = self._socket.recv(CHUNK)
            except _NOT_NOW:
                break
            except (OSError, ValueError) as error:
                raise self._ended(error) from error
            if not text:
                if replies := self._replies():
                    return replies  # the next read finds the end
                raise self._ended(EOFError("closed by the server"))
            self._in += text
            if len(text) < CHUNK and not self._pending():
                break
        return self._replies()

    def _pending(self) -> int:
        """Return the number of bytes that TLS has buffered: a poller does not report them."""
        return self._socket.pending() if isinstance(self._socket, ssl.SSLSocket) else 0

    def _replies(self) -> list[Any]:
        replies, at = [], 0
        while (parsed := parse(self._in, at)) is not None:
            reply, at = parsed
            replies.append(self._wrapped(reply))
        del self._in[:at]
        return replies

    def _wrapped(self, reply: Any) -> Any:
        if not isinstance(reply, ResponseError):
            return reply
        if str(reply).startswith("NOSCRIPT"):
            raise GateUnavailable(f"Redis at {self._store.shown} has forgotten the scripts.")
        if self._store.in_cluster and names_master(reply):
            self._store.connections.drop(self._connection.groupfifo_generation, reply)
            raise GateUnavailable(f"The partition of the gate at {self._store.shown} has moved to another node.")
        return self._store.wrapped("call", reply)

    def _ended(self, error: Exception) -> GroupFifoError:
        return GateUnavailable(f"The connection to Redis at {self._store.shown} has ended: {error!r}")

    def end(self) -> None:
        """Shut the socket down, so that its owner finds the end. From any thread."""
        with suppress(OSError, ValueError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection, with every unread answer."""
        self._store.connections.close(self._connection)


def parse(text: bytearray, at: int) -> tuple[Any, int] | None:
    """Read one answer of Redis (RESP 2).

    Args:
        text: The bytes that have come.
        at: Start of the answer.

    Returns:
        The answer (an error as `ResponseError`) and the start of the next one; None: it is not complete.
    """
    end = text.find(b"\r\n", at)
    if end < 0:
        return None
    kind, line, end = text[at : at + 1], bytes(text[at + 1 : end]), end + 2
    if kind == b":":
        return int(line), end
    if kind == b"+":
        return line, end
    if kind == b"-":
        return ResponseError(line.decode(errors="replace")), end
    size = int(line)
    if size < 0:
        return None, end
    if kind == b"$":
        stop = end + size
        return (bytes(text[end:stop]), stop + 2) if len(text) >= stop + 2 else None
    items = []
    for _ in range(size):
        parsed = parse(text, end)
        if parsed is None:
            return None
        item, end = parsed
        items.append(item)
    return items, end
