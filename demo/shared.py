"""The keys of a demo on a shared server: they have a common first part, and are removed at the end."""

from __future__ import annotations

import os

import redis


def line_of_our_own() -> str:
    """Return the first part of all keys of this run."""
    return f"groupfifo-demo-{os.getpid()}"


def remove_keys(url: str, line: str) -> None:
    """Remove the keys that are left of a run: Celery's keys of its queues, and the gate's figures.

    Args:
        url: the broker's server.
        line: first part of the keys, possibly after a brace.
    """
    with redis.Redis.from_url(url) as client:
        for pattern in (f"{line}:*", f"{{{line}:*"):
            for key in client.scan_iter(match=pattern, count=1000):
                client.unlink(key)
