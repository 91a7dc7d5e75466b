"""All of a database: in a form that can be compared, and as a copy that can be put back."""

from __future__ import annotations

import re
from typing import Any

import redis

from tests.support.world import World

#: Names that are new in every process: of calls and of producers.
_NAMES = re.compile(rb"\b[0-9a-f]{12}\.\d+|\b[0-9a-f]{32}\b")


def snapshot(world: World) -> dict[bytes, Any]:
    """Every key and its value; names that differ from run to run are blotted out."""
    found: dict[bytes, Any] = {}
    for key in world.redis.scan_iter(count=1000):
        kind = world.redis.type(key)
        if kind == b"string":
            value: Any = world.redis.get(key)
        elif kind == b"list":
            value = world.redis.lrange(key, 0, -1)
        elif kind == b"hash":
            value = world.redis.hgetall(key)
        else:
            value = world.redis.zrange(key, 0, -1, withscores=True)
        found[_NAMES.sub(b"#", key)] = _blot(value)
    return found


def _blot(value: Any) -> Any:
    if isinstance(value, bytes):
        return _NAMES.sub(b"#", value)
    if isinstance(value, dict):
        return {key: _blot(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_blot(each) for each in value]
    return value


def copied(client: redis.Redis) -> dict[bytes, bytes]:
    """A copy of every key, for `put_back`."""
    names: list[bytes] = list(client.scan_iter(count=1000))
    dumps = {name: client.dump(name) for name in names}
    return {name: dump for name, dump in dumps.items() if dump is not None}


def put_back(client: redis.Redis, copy: dict[bytes, bytes]) -> None:
    """Take the database back to a copy, as a Redis that has lost its last writes: in one step."""
    pipe = client.pipeline(transaction=True)
    pipe.flushdb()
    for name, dump in copy.items():
        pipe.restore(name, 0, dump)
    pipe.execute()
