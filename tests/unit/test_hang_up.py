"""The broker's connections to a replaced master are ended; all others are left alone."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
import redis
from redis.sentinel import SentinelConnectionPool, SentinelManagedConnection

from celery_groupfifo.gate.hang_up import hang_up


def connected(made: Any, listener: socket.socket) -> Any:
    made.host, made.port = listener.getsockname()
    made._sock = socket.create_connection(listener.getsockname())
    return made


def test_who_waits_at_the_old_master_finds_the_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as old, socket.create_server(("127.0.0.1", 0)) as new:
        pool = SentinelConnectionPool("main", redis.Sentinel([]))
        first, second = (
            connected(SentinelManagedConnection(connection_pool=pool), listener) for listener in (old, new)
        )
        own = connected(redis.Connection(), old)
        idle = SentinelManagedConnection(connection_pool=pool)
        idle.host, idle.port = old.getsockname()
        ended: list[bytes] = []
        waiting = threading.Thread(target=lambda: ended.append(first._sock.recv(1)), daemon=True)
        waiting.start()
        assert hang_up(old.getsockname()) == 1
        waiting.join(20)
        assert ended == [b""]
        for other in (second, own):
            other._sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                other._sock.recv(1)
        for each in (first, second, own):
            each._sock.close()
            each._sock = None
