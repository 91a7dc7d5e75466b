"""The end of the broker's connections to a master that was replaced.

kombu waits on them without a time-out by default. A master that was replaced because it stands still closes none of
them, so a worker that waits there takes no task from the new one.
"""

from __future__ import annotations

import gc
import socket
from contextlib import suppress
from typing import Any

from redis.sentinel import SentinelManagedConnection


def hang_up(address: tuple[str, int]) -> int:
    """Shut down all connections of this process that sentinels have led to an address. From any thread.

    Those who wait there find the end of the connection, and open another one, to the new master.

    Args:
        address: Host and port, as the sentinels name them.

    Returns:
        The number of connections.
    """
    ended = 0
    for each in gc.get_objects():  # all of Celery's: of consumer, events, remote control, each of which may hang
        if issubclass(type(each), SentinelManagedConnection) and _leads_to(each, address):
            with suppress(OSError):
                # Not SSLSocket's own, which would take the layer away from a thread that reads.
                socket.socket.shutdown(each._sock, socket.SHUT_RDWR)
                ended += 1
    return ended


def _leads_to(connection: Any, address: tuple[str, int]) -> bool:
    known = getattr(connection, "host", None), getattr(connection, "port", None)
    return connection._sock is not None and known == address
