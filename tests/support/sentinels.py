"""Real sentinels over a master and its replica, with passwords for all of them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import redis
from celery import Celery
from redis.backoff import NoBackoff
from redis.retry import Retry

from celery_groupfifo.testing import embedded
from celery_groupfifo.testing.children import dying_with_us, free_port
from tests.support.waiting import until

PASSWORD, THEIRS, MASTER, DATABASE = "secret", "theirs", "main", 2
CONFIGURATION = """\
port {port}
bind 127.0.0.1
dir {folder}
requirepass {theirs}
sentinel sentinel-pass {theirs}
sentinel monitor {master} 127.0.0.1 {target} 2
sentinel auth-pass {master} {password}
sentinel down-after-milliseconds {master} 1500
sentinel failover-timeout {master} 3000
"""


class Watched:
    """A master, its replica, and three sentinels.

    Attributes:
        first: The master at the start.
        second: Its replica.
        sentinels: Their processes.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.first = self._server(stack)
        self.second = self._server(stack, "--replicaof", "127.0.0.1", str(self.first.port))
        self.ports = [free_port() for _ in range(3)]
        self.sentinels = [stack.enter_context(self._sentinel(folder, port)) for port in self.ports]
        self.app = Celery("watched", broker=self.url, set_as_current=False)
        self.app.conf.broker_transport_options = {"master_name": MASTER, "sentinel_kwargs": {"password": THEIRS}}
        until(lambda: all(self._knows_all(port) for port in self.ports))

    @property
    def url(self) -> str:
        return ";".join(f"sentinel://:{PASSWORD}@127.0.0.1:{port}/{DATABASE}" for port in self.ports)

    def client(self, server: embedded.Server) -> redis.Redis:
        """A client of one of the two, in the gate's database."""
        return redis.Redis(port=server.port, password=PASSWORD, db=DATABASE, retry=Retry(NoBackoff(), 0))

    def master(self) -> redis.Redis:
        """A client of the master that the sentinels name."""
        return self.client(self.second if self._named(self.ports[0]) == self.second.port else self.first)

    def cut(self) -> int:
        """Let the replica stay as it is, with all writes until now. Returns the master's time in microseconds."""
        with self.client(self.first) as first, self.client(self.second) as second:
            first.execute_command("CLIENT", "PAUSE", 5000, "WRITE")
            try:
                until(lambda: _offset(first) == _offset(second))
                second.config_set("masterauth", "wrong")
                first.execute_command("CLIENT", "KILL", "TYPE", "replica")
                until(lambda: second.info("replication")["master_link_status"] == "down")
                seconds, microseconds = first.time()
            finally:
                first.execute_command("CLIENT", "UNPAUSE")
        return int(seconds) * 1_000_000 + int(microseconds)

    def join(self) -> None:
        """Let the replica follow the master again."""
        with self.client(self.second) as second:
            second.config_set("masterauth", PASSWORD)

    def _server(self, stack: ExitStack, *options: str) -> embedded.Server:
        server = stack.enter_context(embedded.start(appendonly=False, extra_args=options))
        with redis.Redis(port=server.port) as client:
            client.config_set("masterauth", PASSWORD)
            client.config_set("requirepass", PASSWORD)
        return server

    @contextmanager
    def _sentinel(self, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
        own = folder / str(port)
        own.mkdir()
        (own / "conf").write_text(
            CONFIGURATION.format(
                port=port, folder=own, target=self.first.port, master=MASTER, password=PASSWORD, theirs=THEIRS
            )
        )
        command = dying_with_us([embedded.choose_binary().path, str(own / "conf"), "--sentinel"])
        with (own / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(20)

    def ask(self, port: int, *words: str) -> Any:
        """A command to a sentinel; None when it does not answer."""
        options = {"password": THEIRS, "socket_timeout": 2, "retry": Retry(NoBackoff(), 0), "protocol": 2}
        with redis.Redis(port=port, **options) as client:  # type: ignore[arg-type]
            try:
                return client.execute_command(*words)
            except (redis.ConnectionError, redis.TimeoutError):
                return None

    def _knows_all(self, port: int) -> bool:
        words = self.ask(port, "SENTINEL", "MASTER", MASTER) or {}
        said = words if isinstance(words, dict) else dict(zip(words[::2], words[1::2], strict=True))
        counts = [said.get(name) or said.get(name.encode()) for name in ("num-slaves", "num-other-sentinels")]
        return [int(count or 0) for count in counts] == [1, 2]

    def fail_over(self) -> None:
        """Freeze the master until all sentinels name the other one."""
        self.freeze()
        self.failed_over()

    def freeze(self) -> None:
        """Let the master stand still."""
        assert self.first.pid is not None
        os.kill(self.first.pid, signal.SIGSTOP)

    def replaced(self) -> bool:
        """Return whether one sentinel names the second server."""
        return any(self._named(port) == self.second.port for port in self.ports)

    def failed_over(self) -> None:
        """Wait until all sentinels name the second server."""
        until(lambda: all(self._named(port) == self.second.port for port in self.ports))

    def _named(self, port: int) -> int | None:
        answer = self.ask(port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return None if answer is None else int(answer[1])

    def thaw(self) -> None:
        """Let the old master go on: it takes itself for the master still."""
        assert self.first.pid is not None
        os.kill(self.first.pid, signal.SIGCONT)


def _offset(client: redis.Redis) -> int:
    said = client.info("replication")
    return int(said["master_repl_offset"] if said["role"] == "master" else said["slave_repl_offset"])


@contextmanager
def watched(folder: Path) -> Iterator[Watched]:
    """Start all of it."""
    with ExitStack() as stack:
        made = Watched(folder, stack)
        try:
            yield made
        finally:
            with suppress(ProcessLookupError):
                made.thaw()
