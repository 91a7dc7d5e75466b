"""Look for what the gate and the broker still hold."""

from __future__ import annotations

from typing import Any

import redis

from celery_groupfifo.gate.counts import totals
from celery_groupfifo.gate.keys import Keyspace, quote
from tests.support.stored import all_stored, stored, stored_fields

KEYS = Keyspace("", "groupfifo", 1).partitions[0]


def left_over(client: redis.Redis) -> dict[str, list[str]]:
    """Return what is held that nobody waits for: names of keys to what they hold.

    Nothing, once all is done: only a retry or an ETA whose time has not come may stay, as it does in plain Celery.
    """
    waits = _waits(client)
    entries = all_stored(client.hkeys(KEYS.entries))
    groups = {stored(client.hget(KEYS.entries, task)).split(b" ")[1] for task in waits if task in entries}
    texts = stored_fields(client.hgetall(KEYS.groups))
    left = {
        KEYS.entries: [task for task in entries if task not in waits],
        KEYS.groups: [group + b" = " + text for group, text in texts.items() if group not in groups],
        KEYS.due: [
            each
            for each in all_stored(client.zrange(KEYS.due, 0, -1))
            if each.split()[-1] not in waits and each[:2] not in (b"w ", b"v ")
        ],
        KEYS.on_the_way: all_stored(client.zrange(KEYS.on_the_way, 0, -1)),
        KEYS.dead: all_stored(client.hkeys(KEYS.dead)),
        "unacked": all_stored(client.hkeys("unacked")),
    }
    prefix = KEYS.line(quote(""))
    keys = map(stored, client.scan_iter(prefix + "*", count=1000))
    left[prefix] = [key for key in keys if key[len(prefix) :] not in groups]
    return {name: [each.decode(errors="replace") for each in held] for name, held in left.items() if held}


def parked(client: redis.Redis) -> int:
    """Return the number of entries that have passed the gate."""
    return totals(stored_fields(client.hgetall(KEYS.stats)), client.hlen(KEYS.entries))["tasks_parked"]


def _waits(client: redis.Redis) -> set[bytes]:
    """The tasks whose time has not come."""
    seconds, micros = client.time()
    now = seconds * 1000 + micros / 1000
    due: Any = client.zrangebyscore(KEYS.due, now, "+inf")
    return {each.split()[-1] for each in due if each[:1] in (b"h", b"e")}
