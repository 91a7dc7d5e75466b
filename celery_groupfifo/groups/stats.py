"""The totals of a gate, from a few counters."""

from __future__ import annotations

from typing import Any

from celery_groupfifo.gate.keys import Keys, unquote
from celery_groupfifo.groups.reader import Reader


def stats(reader: Reader) -> dict[str, Any]:
    """Return the counts, see `Groups.stats`."""
    now = {"groups": 0, "paused": 0, "tasks": 0, "in_flight": 0, "released": 0, "appointments": 0, "dead_letters": 0}
    totals: dict[str, int] = {}
    deepest: dict[str, Any] | None = None
    for keys in reader.partitions:

        def build(pipe: Any, keys: Keys = keys) -> None:
            pipe.zcard(keys.depth).zcard(keys.paused).hlen(keys.entries).hlen(keys.flight).zcard(keys.on_the_way)
            pipe.zcard(keys.due).llen(keys.dead).hgetall(keys.stats).zrevrange(keys.depth, 0, 0, withscores=True)

        *counts, said, top = reader.ask("stats", build)
        for name, count in zip(now, counts, strict=True):
            now[name] += int(count)
        for name, count in said.items():
            totals[name.decode()] = totals.get(name.decode(), 0) + int(count)
        for group, depth in top:
            if deepest is None or depth > deepest["depth"]:
                deepest = {"key": unquote(group.decode()), "depth": int(depth)}
    return {**now, "parked": max(now["tasks"] - now["in_flight"], 0), "deepest": deepest, "totals": totals}
