"""Many small commands on one connection: they go out before earlier answers are read, and their answers are cheap.

redis-py takes some ten times as long to read an answer as Redis takes to give it, and a script takes several times as
long for a command as a client's pipeline. In between two parts of a pipeline Redis serves its other clients, in the
middle of a script it does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as LateAnswer

from celery_groupfifo.gate.packing import pack

#: Bytes that are read at once.
CHUNK = 262_144
_END = b"\r\n"
_TEXT, _NUMBER, _LIST, _WORD, _NULL = b"$:*+_"


class _Sizes(dict[bytes, int]):
    """The sizes that heads of answers tell: few different ones, each read once."""

    def __missing__(self, head: bytes) -> int:
        size = self[head] = int(head[1:])
        return size


class Stream:
    """The commands that go out on a connection ahead of the answers that are read.

    Args:
        connection: Of redis-py, with no unread answer; not in use elsewhere.
    """

    def __init__(self, connection: Any) -> None:
        self._socket: Any = connection._sock
        self._next = self._words().__next__
        self._sizes = _Sizes()

    def send(self, *commands: bytes) -> None:
        """Send packed commands. Each has an answer, in this order.

        Raises:
            redis.ConnectionError, redis.TimeoutError: Redis may have got any number of them.
        """
        try:
            self._socket.sendall(b"".join(commands))
        except (OSError, ValueError) as error:
            raise _lost(error) from error

    def read(self, count: int = 1) -> list[Any]:
        """Return the next answers, each as bytes, a number, None, or a list of these (RESP 2, or what is alike in 3).

        Raises:
            redis.RedisError: One is an error, or the connection is lost.
        """
        following, sizes = self._next, self._sizes
        found: list[Any] = []
        for _ in range(count):
            head = following()
            kind = head[0]
            if kind == _TEXT:
                size = sizes[head]
                text = following() if size >= 0 else None
                while text is not None and len(text) < size:
                    text += _END + following()
                found.append(text)
            elif kind == _NUMBER:
                found.append(int(head[1:]))
            elif kind == _LIST:
                found.append(self.read(int(head[1:])))
            elif kind == _WORD:
                found.append(head[1:])
            elif kind == _NULL:  # RESP 3
                found.append(None)
            else:
                raise ResponseError(head[1:].decode(errors="replace"))
        return found

    def scan(self, command: str, key: str, count: int) -> Iterator[list[bytes]]:
        """Yield the pages of a HSCAN or ZSCAN: names and values in turn. The next page is asked for before one comes.

        Args:
            command: Its name.
            key: What it scans. A changed item may be in two pages or none.
            count: Items per page, about so many.
        """
        cursor, more = b"0", True
        self.send(pack([command, key, cursor, "COUNT", count]))
        while more:
            ((cursor, items),) = self.read()
            more = cursor != b"0"
            if more:
                self.send(pack([command, key, cursor, "COUNT", count]))
            yield items

    def _words(self) -> Iterator[bytes]:
        """Yield what comes, without the ends of lines."""
        rest = b""
        while True:
            try:
                some = self._socket.recv(CHUNK)
            except TimeoutError as error:
                raise LateAnswer("Redis has not answered in time.") from error
            except (OSError, ValueError) as error:
                raise _lost(error) from error
            if not some:
                raise LostConnection("Redis has closed the connection.")
            *words, rest = (rest + some).split(_END)
            yield from words


def _lost(error: Exception) -> Exception:
    kind = LateAnswer if isinstance(error, TimeoutError) else LostConnection
    return kind(f"The connection has ended: {error!r}")


def pack_each(command: str, words: Sequence[str], *more: str) -> bytes:
    """Return a command for each of some words, packed.

    Args:
        command: Its name.
        words: The first argument of each.
        more: The arguments after it.
    """
    if not words:
        return b""
    head = f"*{2 + len(more)}\r\n{_packed(command)}"
    tail = "".join(map(_packed, more))
    return f"{head}{(tail + head).join(map(_packed, words))}{tail}".encode()


def _packed(word: str) -> str:
    return f"${len(word) if word.isascii() else len(word.encode())}\r\n{word}\r\n"


__all__ = ["ResponseError", "Stream", "pack_each"]
