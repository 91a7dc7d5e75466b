"""Look for what the gate and the broker still hold."""

from __future__ import annotations

from typing import Any

import redis

from celery_groupfifo.gate.keys import Keyspace

KEYS = Keyspace("", "groupfifo", 1).partitions[0]


def left_over(client: redis.Redis) -> dict[str, list[str]]:
    """Return what is held that nobody waits for: names of keys to what they hold.

    Nothing, once all is done: only a retry or an ETA whose time has not come may stay, as it does in plain Celery.
    """
    waits = _waits(client)
    groups = {client.hget(KEYS.entries, task).split(b" ")[1] for task in waits if client.hexists(KEYS.entries, task)}
    prefixes = (KEYS.line(""), KEYS.group(""))
    left = {
        KEYS.entries: [task for task in client.hkeys(KEYS.entries) if task not in waits],
        KEYS.flight: [k + b" = " + v for k, v in client.hgetall(KEYS.flight).items() if k not in waits],
        KEYS.due: [each for each in client.zrange(KEYS.due, 0, -1) if each.split()[-1] not in waits],
        KEYS.depth: [group for group in client.zrange(KEYS.depth, 0, -1) if group not in groups],
        KEYS.on_the_way: client.zrange(KEYS.on_the_way, 0, -1),
        KEYS.dead: client.lrange(KEYS.dead, 0, -1),
        "unacked": client.hkeys("unacked"),
    }
    for prefix in prefixes:
        keys = client.scan_iter(prefix + "*", count=1000)
        left[prefix] = [key for key in keys if key[len(prefix) :] not in groups]
    return {name: [each.decode(errors="replace") for each in held] for name, held in left.items() if held}


def parked(client: redis.Redis) -> int:
    """Return the number of entries that have passed the gate."""
    return int(client.hget(KEYS.stats, "tasks_parked") or 0)


def _waits(client: redis.Redis) -> set[bytes]:
    """The tasks whose time has not come."""
    seconds, micros = client.time()
    now = seconds * 1000 + micros / 1000
    due: Any = client.zrangebyscore(KEYS.due, now, "+inf")
    return {each.split()[-1] for each in due if each[:1] in (b"h", b"e")}
