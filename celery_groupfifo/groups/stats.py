"""The counts and totals of a gate, from a few numbers that Redis keeps."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from celery_groupfifo.gate import counts
from celery_groupfifo.gate.keys import Keys, unquote
from celery_groupfifo.groups.reader import Reader


def stats(reader: Reader) -> dict[str, Any]:
    """Return the counts, see `Groups.stats`."""
    parts: list[counts.Counts] = []
    totals: dict[str, int] = {}
    deepest: dict[str, Any] | None = None
    for keys in reader.partitions:

        def build(pipe: Any, keys: Keys = keys) -> None:
            counts.ask(pipe, keys)
            pipe.hgetall(keys.stats).zrevrange(keys.depth, 0, 0, withscores=True)

        *replies, stored, top = reader.ask("stats", build)
        parts.append(counts.parse(replies))
        for name, count in stored.items():
            totals[name.decode()] = totals.get(name.decode(), 0) + int(count)
        for group, depth in top:
            if deepest is None or depth > deepest["depth"]:
                deepest = {"key": unquote(group.decode()), "depth": int(depth)}
    return {**asdict(counts.total(parts)), "deepest": deepest, "totals": totals}
