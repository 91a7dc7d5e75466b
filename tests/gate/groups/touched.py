"""The elements that each call to Redis touches, from the lines of MONITOR.

Redis serves nobody else during a command, a script with all of its commands, or a transaction. So these count as one.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import redis

Words = list[str]

_SHORT = """
ACL BGSAVE CLIENT COMMAND CONFIG DEL ECHO EVALSHA EXEC EXISTS EXPIRE GET HDEL HELLO HEXISTS HGET HINCRBY HLEN HMGET
HSET HSETNX HSTRLEN INCR INCRBY INFO LATENCY LINDEX LLEN LPOP LPUSH LSET LTRIM MEMORY MGET MULTI PERSIST PEXPIRE
PING PSUBSCRIBE PTTL PUBLISH PUBSUB RENAME RENAMENX ROLE RPOP RPUSH SADD SCRIPT SELECT SET SETEX SISMEMBER SREM
SUBSCRIBE TIME TTL TYPE UNLINK UNSUBSCRIBE UNWATCH WAIT WATCH ZADD ZCARD ZCOUNT ZINCRBY ZLEXCOUNT ZMSCORE ZRANK ZREM
ZSCORE
"""
#: Commands whose cost does not grow with what is stored. Those that take what a caller has read count its words.
SHORT = frozenset(_SHORT.split())


#: Items of a list that is not long.
FEW = 4


class Call(NamedTuple):
    """A call to Redis.

    Attributes:
        words: Of its command; of a transaction, MULTI.
        touched: Elements.
        longest: The command inside that touches most.
    """

    words: Words
    touched: int
    longest: Words


class Touched:
    """The costs of commands, at a server.

    Args:
        client: Of the database.
        lengths: Of long lists before the call. Others have a few items.
    """

    def __init__(self, client: redis.Redis, lengths: Mapping[str, int]) -> None:
        self._client, self._lengths = client, dict(lengths)
        self._known: dict[str, Callable[[Words], int]] = {
            "LRANGE": self._range,
            "ZRANGE": self._range,
            "ZREVRANGE": self._range,
            "LPOS": self._lpos,
            "LINSERT": lambda words: self._length(words[1]),
            "LREM": lambda words: self._length(words[1]),
            "HGETALL": lambda words: self._client.hlen(words[1]),
            "ZRANGEBYSCORE": self._limited,
            "ZRANGEBYLEX": self._limited,
            "HSCAN": self._count,
            "ZSCAN": self._count,
            "SCAN": self._count,
        }

    def of(self, words: Words) -> int:
        """Return the elements that a command touches."""
        name = words[0].upper()
        if name in SHORT:
            return len(words)
        assert name in self._known, f"{name} has no cost here: does it grow with what is stored?"
        return max(int(self._known[name](words)), 1)

    def _length(self, key: str) -> int:
        """Return the length of a list."""
        return max(self._lengths.get(key, FEW), 0)

    def follow(self, words: Words) -> bool:
        """Note that a list has another name, as a line that is cut off, or another length; return whether it has."""
        name, key = words[0].upper(), words[1] if len(words) > 1 else ""
        if name in ("RENAME", "RENAMENX"):
            self._lengths[words[2]] = self._lengths.pop(key, FEW)
        elif name in ("LPOP", "RPOP") and key in self._lengths:
            self._lengths[key] -= int(words[2]) if len(words) > 2 else 1
        else:
            return False
        return True

    def _range(self, words: Words) -> int:
        if "BYSCORE" in words or "BYLEX" in words:
            return self._limited(words)
        first, last = int(words[2]), int(words[3])
        length = int(self._client.zcard(words[1])) if words[0].upper().startswith("Z") else self._length(words[1])
        last = length + last if last < 0 else last
        return min(last - max(first, 0) + 1, length)

    def _lpos(self, words: Words) -> int:
        length = self._length(words[1])
        most = int(words[words.index("MAXLEN") + 1]) if "MAXLEN" in words else 0
        return min(most or length, length)

    def _limited(self, words: Words) -> int:
        every = self._client.zcard(words[1])
        if "LIMIT" not in words:
            return int(every)
        at = words.index("LIMIT")
        return min(int(words[at + 1]) + int(words[at + 2]), int(every))

    @staticmethod
    def _count(words: Words) -> int:
        return int(words[words.index("COUNT") + 1]) if "COUNT" in words else 10


@contextmanager
def monitored(client: redis.Redis, long: Sequence[str]) -> Iterator[list[Call]]:
    """The calls that are made in this block, once it is over; `long`: the keys of long lists."""
    costs = Touched(client, {key: int(client.llen(key)) for key in long})
    calls: list[Call] = []
    where: dict[str, Any] = client.connection_pool.connection_kwargs
    with socket.create_connection((where["host"], where["port"]), 30) as monitor:
        monitor.sendall(b"MONITOR\r\n")
        said = b""
        while not said.endswith(b"+OK\r\n"):
            said += monitor.recv(65536)
        yield calls
        client.echo("the end of what is monitored")
        said = b""
        while b'"the end of what is monitored"' not in said[-200:]:
            some = monitor.recv(1 << 20)
            assert some, "the server has closed the connection"
            said += some
    calls += _calls(said.split(b"\r\n")[:-2], costs)


def _calls(lines: list[bytes], costs: Touched) -> Iterator[Call]:
    """Join what is inside of scripts and transactions."""
    known: dict[tuple[str, ...], int] = {}
    first: Words = []
    total, most, longest, within = 0, 0, first, False
    for line in lines:
        where, _, command = line.partition(b'] "')
        words = command[:-1].decode("ascii", "replace").split('" "')
        if costs.follow(words):
            known.clear()
        short = words if len(words) < 12 or words[0] in ("HMGET", "HDEL", "ZREM", "ZMSCORE") else words[:12]
        cost = len(short) if words[0] in SHORT else known.get(tuple(short))
        if cost is None:
            cost = known[tuple(short)] = costs.of(short)
        inside = where.endswith(b" lua") or within
        if not inside:
            if first:
                yield Call(first, total, longest)
            first, total, most = words, 0, 0
        within = words[0] == "MULTI" or (within and words[0] != "EXEC")
        total += cost
        if cost >= most:
            most, longest = cost, words
    if first:
        yield Call(first, total, longest)
