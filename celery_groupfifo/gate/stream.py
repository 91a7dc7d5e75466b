"""Many small commands on one connection: they go out before earlier answers are read, and their answers are cheap.

redis-py takes some ten times as long to read an answer as Redis takes to give it, and a script takes several times as
long for a command as a client's pipeline. In between two parts of a pipeline Redis serves its other clients, in the
middle of a script it does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import eq
from typing import Any

from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as LateAnswer

from celery_groupfifo.gate.packing import pack

#: Bytes that are read at once.
CHUNK = 262_144
_END = b"\r\n"
_LIST, _WORD, _NULL = b"*+_"
#: Sizes of an answer that is no text: a null, and anything else.
_NONE, _OTHER = -1, -2


class _Sizes(dict[bytes, int]):
    """The sizes that heads of answers tell: few different ones, each read once. A line may be none."""

    def __missing__(self, head: bytes) -> int:
        if not head.startswith(b"$") or not head[1:].isdigit():
            return _OTHER
        size = self[head] = int(head[1:])
        return size


class Stream:
    """The commands that go out on a connection ahead of the answers that are read.

    Args:
        connection: Of redis-py, with no unread answer; not in use elsewhere.
    """

    def __init__(self, connection: Any) -> None:
        self._socket: Any = connection._sock
        self._sizes = _Sizes({b"$-1": _NONE})
        #: What has come, without the ends of lines, from a place on; and a line whose end has not come.
        self._words: list[bytes] = []
        self._at, self._rest = 0, b""

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
        found: list[Any] = []
        while len(found) < count:
            try:
                self._read(count, found)
            except IndexError:  # the next answer has not come, or only its beginning
                self._wait()
        return found

    def _read(self, count: int, found: list[Any]) -> None:
        """Read answers up to a number of them.

        Raises:
            IndexError: The others have not come.
        """
        words, sizes, at = self._words, self._sizes, self._at
        end = at + 2 * (count - len(found))
        heads, texts = words[at:end:2], words[at + 1 : end : 2]
        if len(heads) == len(texts) and all(map(eq, map(sizes.__getitem__, heads), map(len, texts))):  # texts alone
            found += texts
            self._at = at + 2 * len(texts)
            if len(found) == count:
                return
            raise IndexError
        while len(found) < count:
            self._at = at
            head = words[at]
            if head.startswith(b":"):
                found.append(int(head[1:]))
                at += 1
                continue
            size = sizes[head]
            if size >= 0:
                text = words[at + 1]
                at += 2
                while len(text) < size:
                    text += _END + words[at]
                    at += 1
                found.append(text)
            elif size == _NONE:
                found.append(None)
                at += 1
            else:
                self._at = at + 1
                found.append(self._other(head))
                at = self._at
        self._at = at

    def _other(self, head: bytes) -> Any:
        """Return an answer that is no text and no number, given its first line."""
        kind = head[0]
        if kind == _LIST:
            return self.read(int(head[1:]))
        if kind == _WORD:
            return head[1:]
        if kind == _NULL:  # RESP 3
            return None
        raise ResponseError(head[1:].decode(errors="replace"))

    def _wait(self) -> None:
        """Wait for more to come."""
        try:
            some = self._socket.recv(CHUNK)
        except TimeoutError as error:
            raise LateAnswer("Redis has not answered in time.") from error
        except (OSError, ValueError) as error:
            raise _lost(error) from error
        if not some:
            raise LostConnection("Redis has closed the connection.")
        words = (self._rest + some).split(_END)
        self._rest = words.pop()
        del self._words[: self._at]
        self._words += words
        self._at = 0

    def scan(self, command: str, key: str, count: int, match: str = "") -> Iterator[list[bytes]]:
        """Yield the pages of a HSCAN or ZSCAN: names and values in turn. The next page is asked for before one comes.

        Args:
            command: Its name.
            key: What it scans; empty: of SCAN, whose pages are keys. A changed item may be in two pages or none.
            count: Items per page, about so many.
            match: The pattern of their names; empty: all.
        """
        front, back = [command, key] if key else [command], ["MATCH", match] if match else []

        def ask(cursor: bytes) -> None:
            self.send(pack([*front, cursor, *back, "COUNT", count]))

        more = True
        ask(b"0")
        while more:
            ((cursor, items),) = self.read()
            more = cursor != b"0"
            if more:
                ask(cursor)
            yield items


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
    every = "".join(words)
    sizes = [len(word) for word in words] if every.isascii() else [len(word.encode()) for word in words]
    heads = {size: f"*{2 + len(more)}\r\n{_packed(command)}${size}\r\n" for size in set(sizes)}
    tail = "\r\n" + "".join(map(_packed, more))
    return "".join([f"{heads[size]}{word}{tail}" for size, word in zip(sizes, words, strict=True)]).encode()


def _packed(word: str) -> str:
    return f"${len(word) if word.isascii() else len(word.encode())}\r\n{word}\r\n"


__all__ = ["ResponseError", "Stream", "pack_each"]
