"""Good manners on a server that others use, too: our keys begin alike, and go when we go."""

from __future__ import annotations

import os

import redis


def line_of_our_own() -> str:
    """Return what all keys of this run begin with."""
    return f"groupfifo-demo-{os.getpid()}"


def remove_keys(url: str, line: str) -> None:
    """Remove what is left of a run: what Celery keeps of its queues, and the gate of its figures.

    Args:
        url: the broker's server.
        line: what the keys begin with, possibly after a brace.
    """
    with redis.Redis.from_url(url) as client:
        for pattern in (f"{line}:*", f"{{{line}:*"):
            for key in client.scan_iter(match=pattern, count=1000):
                client.unlink(key)
