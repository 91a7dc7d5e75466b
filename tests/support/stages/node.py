"""A server of a stage, with a proxy before it, and what can happen to it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from celery_groupfifo.testing import embedded
from tests.support.proxy import Proxy

#: How a server refuses, and how it accepts again: commands for its administrator.
REFUSALS = {
    # A replica of nobody: it keeps its data, and refuses writes, as after a failover.
    "READONLY": (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    "NOPERM": (("ACL", "SETUSER", "default", "-evalsha"), ("ACL", "SETUSER", "default", "+evalsha")),
    "OOM": (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
}


class Node:
    """See the module.

    Args:
        server: Keeps its data over a kill, when it is to be restarted.

    Attributes:
        proxy: For those who shall feel it.
        redis: For looks past the proxy; it doesn't wait long for a server that hangs.
    """

    def __init__(self, server: embedded.Server) -> None:
        self.server, self.proxy = server, Proxy(server.port)
        self.redis: Any = redis.Redis.from_url(self.url(), retry=Retry(NoBackoff(), 0), socket_timeout=5)

    def url(self, database: int = 0, by_proxy: bool = False) -> str:
        """A database of it."""
        return f"redis://127.0.0.1:{self.proxy.port if by_proxy else self.server.port}/{database}"

    # -- deeds -------------------------------------------------------------

    def restart(self, down: float = 0.0) -> None:
        """Kill it, leave it down for a while, and start it with the data it had written."""
        self.server.kill()
        time.sleep(down)  # the fault's own length, no waiting for anything
        self.server.restart()

    def hang(self) -> None:
        """Let it stand still: connections are taken, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End a `hang`."""
        self._signal(signal.SIGCONT)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Let it stand still meanwhile."""
        self.hang()
        try:
            yield
        finally:
            self.go_on()

    def stall(self, seconds: float) -> None:
        """Let it stand still for a while."""
        with self.hanging():
            time.sleep(seconds)  # the fault's own length

    @contextmanager
    def refusing(self, how: str) -> Iterator[None]:
        """Let it refuse meanwhile: a key of `REFUSALS`."""
        refuse, accept = REFUSALS[how]
        self.redis.execute_command(*refuse)
        try:
            yield
        finally:
            self.redis.execute_command(*accept)

    def kill_clients(self) -> int:
        """It hangs up on everybody but us. Returns on how many."""
        me = self.redis.client_id()
        return sum(
            self.redis.client_kill_filter(_id=client["id"])
            for client in self.redis.client_list()
            if int(client["id"]) != me
        )

    # -- looks -------------------------------------------------------------

    def refusals(self) -> dict[str, int]:
        """Return the number of errors of each kind that it has answered with."""
        stats = self.redis.info("errorstats")
        return {name.removeprefix("errorstat_"): int(stat["count"]) for name, stat in stats.items()}

    def commands(self) -> dict[str, int]:
        """Return the number of calls of each command, by clients and by scripts."""
        stats = self.redis.info("commandstats")
        return {name.removeprefix("cmdstat_"): int(stat["calls"]) for name, stat in stats.items()}

    def close(self) -> None:
        """End it."""
        self.redis.close()
        self.proxy.close()
        self.server.stop()

    def _signal(self, number: signal.Signals) -> None:
        assert self.server.pid is not None
        os.kill(self.server.pid, number)
