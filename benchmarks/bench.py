"""The bench: a server of its own, workers and producers, and the backlogs that runs start from."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import redis

from benchmarks import groupmq
from benchmarks.apps.config import CONFIG_VARIABLE, COUNTDOWN_VARIABLE
from benchmarks.processes import Producer, Worker
from benchmarks.recording import PATH_VARIABLE
from celery_groupfifo.testing import embedded, rabbitmq

#: Databases of the server: the measured one, results, and from here on the copies of backlogs.
LIVE, RESULTS, COPIES = 0, 1, 2

MODULES = {
    "plain": "benchmarks.apps.plain",
    "grouped": "benchmarks.apps.grouped",
    "recipe": "benchmarks.recipe",
    "dramatiq": "benchmarks.apps.dramatiq",
}

# Without talk between workers, in both arms: less noise.
_QUIET = ("--without-mingle", "--without-gossip", "--without-heartbeat")


@dataclass(frozen=True)
class Arm:
    """One of the arms that a scenario compares.

    Attributes:
        app: A key of MODULES.
        tasks: Names of the tasks that its backlog takes in turn.
        pool: Of its workers.
        concurrency: Slots of each worker.
        workers: Number of workers.
        held: Groups, beside the measured ones, that wait for a retry.
        countdown: Of the recipe: seconds until it tries again.
    """

    app: str
    tasks: tuple[str, ...] = ("noop",)
    pool: str = "prefork"
    concurrency: int = 10
    workers: int = 1
    held: int = 0
    countdown: float = 0.1


class Bench:
    """A server for the benchmarks; a context manager that ends all processes it has started.

    Attributes:
        server: Its data is only in memory, so that Celery is measured, not the disk.
        client: Of the live database.
        directory: For logs and records.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        # Databases are flushed all the time: never use a server of somebody else.
        os.environ.pop(embedded.URL_VARIABLE, None)
        self.directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="groupfifo-bench-")))
        self.server = self._stack.enter_context(embedded.start(appendonly=False))
        self._clients: dict[int, redis.Redis] = {}
        self.client = self._database(LIVE)
        self._producers: dict[tuple[str, str], Producer] = {}
        self._names = count(1)
        self._rabbitmq: str | None = None

    def __enter__(self) -> Bench:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _database(self, number: int) -> redis.Redis:
        if number not in self._clients:
            self._clients[number] = self._stack.enter_context(redis.Redis.from_url(f"{self.server.url}/{number}"))
        return self._clients[number]

    # -- processes ---------------------------------------------------------

    def config(self, broker: str = "redis", more: Mapping[str, Any] | None = None) -> str:
        """Return the configuration of apps, as JSON."""
        live, results = (f"{self.server.url}/{number}" for number in (LIVE, RESULTS))
        where = {"broker_url": live, "result_backend": results}
        if broker == "rabbitmq":
            if self._rabbitmq is None:
                self._rabbitmq = self._stack.enter_context(rabbitmq.start(self.directory)).url
            where = {"broker_url": self._rabbitmq, "result_backend": results, "groupfifo_url": live}
        return json.dumps({**where, **(more or {})}, sort_keys=True)

    def producer(self, app: str, config: str) -> Producer:
        """Return the producer of an app with a configuration; it stays until the end."""
        module = MODULES[app]
        command = [sys.executable, "-m", "benchmarks.producer", module]
        return self._producer((app, config), module, command, {CONFIG_VARIABLE: config})

    def groupmq(self, folder: Path) -> Producer:
        """Return the process of GroupMQ on the live database, which sends and works; it stays until the end.

        Args:
            folder: With its packages, see groupmq.py.
        """
        command = groupmq.command(folder, f"{self.server.url}/{LIVE}")
        return self._producer((groupmq.NAME, str(folder)), groupmq.NAME, command, {})

    def _producer(
        self, key: tuple[str, str], name: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> Producer:
        if key not in self._producers:
            producer = Producer(name, command, environment, self.directory)
            self._producers[key] = producer
            self._stack.callback(producer.close)
        return self._producers[key]

    @contextmanager
    def workers(self, arm: Arm, config: str, record: Path, flags: Sequence[str] = ()) -> Iterator[list[Worker]]:
        """Run the workers of an arm in this block."""
        environment = {CONFIG_VARIABLE: config, PATH_VARIABLE: str(record), COUNTDOWN_VARIABLE: str(arm.countdown)}
        started: list[Worker] = []
        try:
            for _ in range(arm.workers):
                name = f"worker-{next(self._names)}"
                started.append(Worker(_command(arm, name, flags), environment, self.directory, name))
            yield started
        finally:
            for worker in started:
                worker.kill()

    @contextmanager
    def record(self) -> Iterator[Path]:
        """Make a new, empty record for this block."""
        path = self.directory / f"record-{next(self._names)}"
        path.touch()
        try:
            yield path
        finally:
            path.unlink()

    # -- data --------------------------------------------------------------

    def clear(self) -> None:
        """Empty the live database and the results."""
        _flush(self.client)
        _flush(self._database(RESULTS))

    def keep(self, slot: int) -> None:
        """Copy the live data, so that each repetition starts from the very same backlog."""
        self._copy(self.client, self._database(COPIES + slot), COPIES + slot)

    def restore(self, slot: int) -> None:
        """Make the copy live."""
        self.clear()
        self._copy(self._database(COPIES + slot), self.client, LIVE)

    def drop(self, slot: int) -> None:
        """Forget the copy."""
        _flush(self._database(COPIES + slot))

    @staticmethod
    def _copy(source: redis.Redis, target: redis.Redis, number: int) -> None:
        _flush(target)
        pipe = source.pipeline(transaction=False)
        for key in source.scan_iter(count=1000):
            pipe.copy(key, key, destination_db=str(number))
        pipe.execute()


def _command(arm: Arm, name: str, flags: Sequence[str]) -> list[str]:
    """Return the module that is a worker of this arm, and its options."""
    app, slots = MODULES[arm.app], str(arm.concurrency)
    if arm.app == "dramatiq":
        return ["dramatiq", app, "--processes", "1", "--threads", slots, "--skip-logging", *flags]
    options = ["-n", f"{name}@bench", "-l", "WARNING", "-P", arm.pool, "-c", slots]
    return ["celery", "-A", app, "worker", *options, *_QUIET, *flags]


def _flush(client: redis.Redis) -> None:
    """Empty a database at once: by default servers free memory later, during the next measurement."""
    client.execute_command("FLUSHDB", "SYNC")
