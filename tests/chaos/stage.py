"""One test's world: a Redis of its own, workers, producers, the history, and what is left at the end."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import redis
from celery.result import AsyncResult
from redis.backoff import NoBackoff
from redis.retry import Retry

from celery_groupfifo import embedded
from celery_groupfifo.demo.history import Event, Tail, load, record
from celery_groupfifo.demo.processes import Process
from tests.chaos.app import CONF, DIRECTORY, LEASE_TTL, make_app
from tests.chaos.effects import Effects
from tests.chaos.fleet import Worker, python_path
from tests.proxy import Proxy
from tests.waiting import until

#: Keys of a gate that are not a group's: they stay when the last group has ended.
LASTING = ("fence", "stats", "seen", "pulse", "wake")
QUEUE = "celery"
CALL_OPTIONS = {"countdown", "max_lost", "ignore_result", "time_limit"}


class Watch:
    """What the history says so far.

    Attributes:
        open: Starts without an end, by group, seq and fence.
        started: Groups and seqs that were started.
        done: Groups and seqs that ended for good.
        told: Events of leases that their workers know to be lost.
        sent: Groups and seqs that were sent.
    """

    def __init__(self, directory: Path) -> None:
        self._tail = Tail(directory)
        self.open: dict[tuple[str, int, int], Event] = {}
        self.started: list[Event] = []
        self.done: set[tuple[str, int]] = set()
        self.sent: set[tuple[str, int]] = set()
        self.told: list[Event] = []

    def look(self) -> Watch:
        """Read what is new."""
        for event in self._tail.read():
            kind = event["ev"]
            if kind == "start":
                self.open[event["group"], event["seq"], event["fence"]] = event
                self.started.append(event)
            elif kind == "end":
                self.open.pop((event["group"], event["seq"], event["fence"]), None)
                if event["ok"] or event["reason"] == "failed":
                    self.done.add((event["group"], event["seq"]))
            elif kind == "gone":
                self.done.add((event["group"], event["seq"]))
            elif kind == "sent":
                self.sent.add((event["group"], event["seq"]))
            elif kind == "lease_lost":
                self.told.append(event)
        return self

    def starts(self, group: str, seq: int | None = None) -> list[Event]:
        """The starts of a group, or of one of its tasks, so far."""
        return [each for each in self.look().started if each["group"] == group and seq in (None, each["seq"])]

    def missing(self) -> set[tuple[str, int]]:
        """What was sent and has not ended for good."""
        self.look()
        return self.sent - self.done


class Stage:
    """See the module.

    Args:
        directory: For everything.
        server: The Redis; its data survives a kill.
        results: Keep the results of tasks that do not ignore them.
        conf: More settings of the app.
    """

    def __init__(self, directory: Path, server: embedded.Server, results: bool = False, **conf: Any) -> None:
        self.directory, self.server = directory, server
        (directory / "history").mkdir(parents=True)
        self.proxy = Proxy(server.port)
        self.url = f"{server.url}/0"
        self.by_proxy = f"redis://127.0.0.1:{self.proxy.port}/0"
        self.conf = {"broker_url": self.url, **({"result_backend": f"{server.url}/1"} if results else {}), **conf}
        self.app = make_app(**{**self.conf, "broker_url": self.by_proxy})
        self.redis: Any = redis.Redis.from_url(self.url, retry=Retry(NoBackoff(), 0), socket_timeout=5)
        self.watch = Watch(directory / "history")
        self.effects = Effects(directory / "effects")
        self.workers: list[Worker] = []
        self._producers: list[Process] = []
        self._threads: list[threading.Thread] = []
        self._failed: list[BaseException] = []

    # -- workers -----------------------------------------------------------

    def launch(
        self, slots: int = 4, by_proxy: bool = False, point: str = "", options: Iterable[str] = (), **conf: Any
    ) -> Worker:
        """Start one more worker, and return at once."""
        conf = {**self.conf, **({"broker_url": self.by_proxy} if by_proxy else {}), **conf}
        worker = Worker(self.directory, f"w{len(self.workers)}", conf, slots, options, point)
        self.workers.append(worker)
        return worker

    def start(self, many: int = 1, **options: Any) -> list[Worker]:
        """Start workers, and return when all of them take tasks."""
        workers = [self.launch(**options) for _ in range(many)]
        return [worker.ready() for worker in workers]

    def worker_of(self, start: Event) -> Worker:
        """Who runs, or ran, a task."""
        return next(worker for worker in self.workers if worker.hostname == start["worker"])

    # -- sending -----------------------------------------------------------

    def send(self, group: str, seq: int, what: str = "work", **more: Any) -> AsyncResult:
        """Send one task, through the proxy; what is no option of the call goes to the deed."""
        options = {name: more.pop(name) for name in CALL_OPTIONS & set(more)}
        result: AsyncResult = self.app.tasks["chaos.step"].apply_async((group, seq, what), more, **options)
        mine = self.directory / "history" / f"producer-{threading.get_ident()}.jsonl"
        record(mine, ev="sent", group=group, seq=seq, id=result.id)
        return result

    def revoke(self, group: str, seq: int, task_id: str) -> None:
        """Take back what waits."""
        self.app.control.revoke(task_id)
        record(self.directory / "history" / "revoked.jsonl", ev="gone", group=group, seq=seq, reason="revoked")

    def produce(self, send: Callable[[], object]) -> None:
        """Let a thread send; see `produced`."""

        def guarded() -> None:
            try:
                send()
            except BaseException as error:
                self._failed.append(error)

        self._threads.append(threading.Thread(target=guarded, daemon=True))
        self._threads[-1].start()

    def launch_producer(self, group: str) -> Process:
        """Start a process that sends to a group until it is killed, see producer.py."""
        environment = {"PYTHONPATH": python_path(), CONF: json.dumps(self.conf), DIRECTORY: str(self.directory)}
        command = ["-m", "tests.chaos.producer", group]
        self._producers.append(Process(group, command, self.directory / f"{group}.log", environment))
        return self._producers[-1]

    def produced(self, within: float = 60.0) -> None:
        """Wait until all producers have sent what they had to."""
        deadline = time.monotonic() + within
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
            assert not thread.is_alive(), "a producer still sends"
        assert not self._failed, self._failed

    # -- Redis -------------------------------------------------------------

    def restart_redis(self, down: float = 0.0) -> None:
        """Kill Redis, leave it down for a while, and start it with the data it had written."""
        self.server.kill()
        time.sleep(down)  # the fault's own length, no waiting for anything
        self.server.restart()

    def stall_redis(self, seconds: float) -> None:
        """Let Redis stand still for a while."""
        assert self.server.pid is not None
        os.kill(self.server.pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(self.server.pid, signal.SIGCONT)

    # -- the end -----------------------------------------------------------

    def left(self) -> Mapping[str, str]:
        """What the gate holds of groups: nothing, when all have ended."""
        found = {}
        for raw in self.redis.scan_iter(match="{groupfifo:0}:*", count=1000):
            name = raw.decode().removeprefix("{groupfifo:0}:")
            if name not in LASTING and not name.startswith(("p:", "calls:")):
                found[name] = self.redis.type(raw).decode()
        return found

    def drained(self, within: float = 30.0) -> None:
        """Wait until all that was sent has ended for good, and nothing is left at the gate."""
        until(lambda: not self.watch.missing(), lambda: f"not ended: {self.describe()}", within)
        until(lambda: not self.left(), lambda: f"left over: {self.describe()}", 10.0)

    def describe(self) -> str:
        """Why it does not end."""
        missing = sorted(self.watch.missing())
        flight = {key.decode(): value.decode() for key, value in self.redis.hgetall("{groupfifo:0}:flight").items()}
        due = self.redis.zrange("{groupfifo:0}:due", 0, 20, withscores=True)
        return (
            f"{len(missing)} missing, e.g. {missing[:8]}; flight {dict(list(flight.items())[:8])}; due {due}; "
            f"queue {self.redis.llen(QUEUE)}; now {self.redis.time()}; left {self.left()}; logs in {self.directory}"
        )

    @property
    def events(self) -> list[Event]:
        """The whole history."""
        return load([self.directory / "history"])

    def close(self) -> None:
        """End everything."""
        for worker in self.workers:
            worker.close()
        for producer in self._producers:
            producer.kill()
        self.app.close()
        self.redis.close()
        self.proxy.close()
        self.server.stop()


#: Until a dead worker's group has moved on: a lease, a sweep, and what a busy machine takes.
RECOVERY = LEASE_TTL + 1.0 + 0.7
