"""The number of commands that clients send to Redis for a task, from its call to its end.

They are counted in the output of MONITOR, as only that tells a client's command from one of a script:
`INFO commandstats` and `total_commands_processed` add both up. MONITOR slows Redis down, so nothing is timed here.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import redis

from benchmarks.bench import Arm, Bench
from benchmarks.scenarios.base import Metrics
from benchmarks.scenarios.watch import Watch, progress_of

_LINE = re.compile(rb'^\+(\d+\.\d+) \[\d+ (\S+)\] "([^"]+)"', re.MULTILINE)


class Monitor:
    """A collector of MONITOR's output, which it parses only at the end, to keep up."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.sendall(b"MONITOR\r\n")
        self._socket.recv(5)  # +OK
        self._chunks: list[bytes] = []
        self._thread = threading.Thread(target=self._collect)
        self._thread.start()

    def _collect(self) -> None:
        while chunk := self._socket.recv(1 << 20):
            self._chunks.append(chunk)

    def close(self) -> None:
        """Stop collecting."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def commands(self, since: float, until: float, but_from: set[str]) -> Counter[str]:
        """Return the commands of clients between two times of day, by name, without those of some addresses."""
        found: Counter[str] = Counter()
        for at, source, name in _LINE.findall(b"".join(self._chunks)):
            if source != b"lua" and since <= float(at) <= until and source.decode() not in but_from:
                found[name.decode().upper()] += 1
        return found


@contextmanager
def monitored(port: int) -> Iterator[Monitor]:
    """Collect the output of MONITOR in this block."""
    monitor = Monitor(port)
    try:
        yield monitor
    finally:
        monitor.close()


@dataclass
class Commands:
    """Calls, and then a backlog, under MONITOR.

    Attributes:
        count: Tasks of the backlog.
    """

    count: int
    name: str = "commands"
    repeatable: bool = False

    @property
    def arms(self) -> Mapping[str, Arm]:
        """Return the arms, see `Scenario`."""
        return {"plain": Arm("plain"), "grouped": Arm("grouped")}

    def measure(self, bench: Bench, arm: str) -> Metrics:
        """Count the commands of an arm. Returns per task: `send`, `work`, `total`, and each command under its name."""
        chosen, config = self.arms[arm], bench.config()
        with redis.Redis.from_url(f"{bench.server.url}/0", single_connection_client=True) as client:
            ours = {str(client.client_info()["addr"])}
            sent = self._sending(bench, chosen, config, ours)
            worked = self._working(bench, chosen, config, client, ours)
        names = {f"send {name}": each for name, each in sent.items()} | {
            f"work {name}": each for name, each in worked.items()
        }
        send, work = sum(sent.values()), sum(worked.values())
        return {"send": send, "work": work, "total": send + work, **names}

    def close(self, bench: Bench) -> None:
        """Empty the databases, see `Scenario`."""
        bench.clear()

    def _sending(self, bench: Bench, arm: Arm, config: str, ours: set[str]) -> dict[str, float]:
        producer, calls = bench.producer(arm.app, config), 200
        bench.clear()
        producer.ask("send", tasks=arm.tasks, count=20, groups=100)
        with monitored(bench.server.port) as monitor:
            since = time.time()
            producer.ask("send", tasks=arm.tasks, count=calls, groups=100)
            until = time.time()
        return {name: number / calls for name, number in monitor.commands(since, until, ours).items()}

    def _working(self, bench: Bench, arm: Arm, config: str, client: redis.Redis, ours: set[str]) -> dict[str, float]:
        bench.clear()
        bench.producer(arm.app, config).ask("fill", tasks=arm.tasks, count=self.count, groups=100)
        with bench.record() as record:
            progress = progress_of(arm, client, record)
            with monitored(bench.server.port) as monitor, bench.workers(arm, config, record) as workers:
                watch = Watch(client, bench.server.pid, progress, workers, patience=60)
                start = watch.until(self.count // 4)
                end = watch.until(self.count - self.count // 10)  # the last tasks leave idle workers behind
        tasks = end.done - start.done
        return {name: n / tasks for name, n in monitor.commands(start.clock, end.clock, ours).items()}
