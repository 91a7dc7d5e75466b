"""One test's world: servers of its own, workers, producers, the history, and what is left at the end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from celery.result import AsyncResult

from celery_groupfifo.testing import embedded
from celery_groupfifo.testing.history import Event, Tail, load, record
from celery_groupfifo.testing.processes import Process
from tests.support.results import let_go
from tests.support.stages.app import CONF, DIRECTORY, LEASE_TTL, PATIENCE, make_app
from tests.support.stages.effects import Effects
from tests.support.stages.fleet import Worker, python_path
from tests.support.stages.node import Node
from tests.support.stored import lasts
from tests.support.waiting import HUNG, until


def only_leases(client: Any, due: bytes) -> bool:
    """Return whether nothing is due but leases of workers, which have them without tasks, too."""
    return all(member[:2] in (b"w ", b"v ") for member in client.zrange(due, 0, -1))


QUEUE = "celery"
CALL_OPTIONS = {
    "countdown",
    "eta",
    "expires",
    "group_key",
    "group_on_failure",
    "ignore_result",
    "group_max_lost",
    "queue",
    "task_id",
    "time_limit",
}
WORKER_OPTIONS = {"environment", "name", "options", "point", "suspendable"}
#: What the sender of a test does when the gate is away; workers have Celery's own policy.
PATIENT = {"task_publish_retry_policy": PATIENCE}


class Watch:
    """The history so far.

    Attributes:
        open: Starts without an end, by group, seq and fence.
        started: Groups and seqs that were started.
        done: Groups and seqs that ended for good.
        told: Events of leases that their workers know to be lost.
        sent: Groups and seqs that were sent.
        plain: Runs of plain tasks.
    """

    def __init__(self, directory: Path) -> None:
        self._tail = Tail(directory)
        self.open: dict[tuple[str, int, int], Event] = {}
        self.started: list[Event] = []
        self.done: set[tuple[str, int]] = set()
        self.sent: set[tuple[str, int]] = set()
        self.told: list[Event] = []
        self.plain: list[Event] = []

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
            elif kind == "plain":
                self.plain.append(event)
        return self

    def starts(self, group: str, seq: int | None = None) -> list[Event]:
        """The starts of a group, or of one of its tasks, so far."""
        return [each for each in self.look().started if each["group"] == group and seq in (None, each["seq"])]

    def missing(self) -> set[tuple[str, int]]:
        """Return the tasks that were sent and have not ended for good."""
        self.look()
        return self.sent - self.done


class Stage:
    """See the module.

    Args:
        directory: For everything.
        server: The gate's Redis; its data survives a kill.
        broker: The broker's, when it is another one.
        backend: The result backend's, when it is another one.
        results: Keep the results of tasks that do not ignore them.
        pool: Of its workers.
        module: With the app that they run.
        conf: More settings of the app.

    Attributes:
        gate: The gate's server.
        broker: The broker's, which may be the same.
        backend: The result backend's, which may be the same.
    """

    def __init__(
        self,
        directory: Path,
        server: embedded.Server,
        broker: embedded.Server | None = None,
        backend: embedded.Server | None = None,
        results: bool = False,
        pool: str = "prefork",
        module: str = "tests.support.stages.app",
        **conf: Any,
    ) -> None:
        self.directory, self.pool, self.module = directory, pool, module
        (directory / "history").mkdir(parents=True)
        self.gate = Node(server)
        self.broker = self.gate if broker is None else Node(broker)
        self.backend = self.gate if backend is None else Node(backend)
        self._results = results or backend is not None
        self._own = conf
        self.conf = self._conf(by_proxy=False)
        self.app = make_app(**{**self._conf(by_proxy=True), **PATIENT})
        self.redis, self.proxy = self.gate.redis, self.gate.proxy
        self.watch = Watch(directory / "history")
        self.effects = Effects(directory / "effects")
        self.workers: list[Worker] = []
        self._producers: list[Process] = []
        self._threads: list[threading.Thread] = []
        self._failed: list[BaseException] = []
        self._sent_results: list[AsyncResult] = []

    def _conf(self, by_proxy: bool) -> dict[str, Any]:
        conf = {"broker_url": self.broker.url(0, by_proxy)}
        if self.broker is not self.gate:
            conf["groupfifo_url"] = self.gate.url(0, by_proxy)
        if self._results:
            conf["result_backend"] = self.backend.url(1, by_proxy and self.backend is not self.gate)
        return {**conf, **self._own}

    # -- workers -----------------------------------------------------------

    def launch(self, slots: int = 4, by_proxy: bool = False, pool: str | None = None, **options: Any) -> Worker:
        """Start one more worker, and return at once; what is no option of the worker is a setting of its app."""
        mine = {name: options.pop(name) for name in WORKER_OPTIONS & set(options)}
        conf = {**self._conf(by_proxy), **options}
        name = mine.pop("name", f"w{len(self.workers)}")
        worker = Worker(self.directory, name, conf, slots, pool=pool or self.pool, module=self.module, **mine)
        self.workers.append(worker)
        return worker

    def start(self, many: int = 1, **options: Any) -> list[Worker]:
        """Start workers, and return when all of them take tasks."""
        workers = [self.launch(**options) for _ in range(many)]
        return [worker.ready() for worker in workers]

    def worker_of(self, start: Event) -> Worker:
        """Return the worker that runs, or ran, a task."""
        return next(worker for worker in self.workers if worker.hostname == start["worker"])

    # -- sending -----------------------------------------------------------

    def send(self, group: str, seq: int, what: str = "work", task: str = "chaos.step", **more: Any) -> AsyncResult:
        """Send one task, through the proxies; what is no option of the call goes to the deed."""
        options = {name: more.pop(name) for name in CALL_OPTIONS & set(more)}
        result: AsyncResult = self.app.tasks[task].apply_async((group, seq, what), more, **options)
        self._sent(group, seq, result)
        return result

    def send_by_name(self, name: str, group: str, seq: int, **options: Any) -> None:
        """Send a task that only the workers know."""
        self._sent(group, seq, self.app.send_task(name, (group, seq), group_key=group, **options))

    def _sent(self, group: str, seq: int, result: AsyncResult) -> None:
        self._sent_results.append(result)
        mine = self.directory / "history" / f"producer-{threading.get_ident()}.jsonl"
        record(mine, ev="sent", group=group, seq=seq, id=result.id)

    def send_plain(self, number: int, seconds: float = 0.0, **options: Any) -> None:
        """Send a plain task."""
        self.app.tasks["chaos.plain"].apply_async((number, seconds), **options)

    def revoke(self, group: str, seq: int, task_id: str) -> None:
        """Take back what waits."""
        self.app.control.revoke(task_id)
        self.gone(group, seq)

    def gone(self, group: str, seq: int) -> None:
        """Note that a task ends without a run."""
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
        command = ["-m", "tests.support.stages.producer", group]
        self._producers.append(Process(group, command, self.directory / f"{group}.log", environment))
        return self._producers[-1]

    def produced(self) -> None:
        """Wait until all producers have sent what they had to."""
        deadline = time.monotonic() + HUNG
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
            assert not thread.is_alive(), "a producer still sends"
        assert not self._failed, self._failed

    # -- the end -----------------------------------------------------------

    def left(self) -> Mapping[str, str]:
        """Return the keys that the gate holds of groups: none when all have ended."""
        found = {}
        for raw in self.redis.scan_iter(match="{groupfifo:*}:*", count=1000):
            name = raw.decode().split("}:", 1)[1]
            if lasts(name) or (name == "due" and only_leases(self.redis, raw)):
                continue
            found[name] = self.redis.type(raw).decode()
        return found

    def drained(self, within: float = HUNG) -> None:
        """Wait until all that was sent has ended for good, and nothing is left at the gate."""
        until(lambda: not self.watch.missing(), lambda: f"not ended: {self.describe()}", within)
        until(lambda: not self.left(), lambda: f"left over: {self.describe()}")

    def describe(self) -> str:
        """Why it does not end."""
        missing = sorted(self.watch.missing())
        flight = {key.decode(): value.decode() for key, value in self.redis.hgetall("{groupfifo:0}:groups").items()}
        due = self.redis.zrange("{groupfifo:0}:due", 0, 20, withscores=True)
        return (
            f"{len(missing)} missing, e.g. {missing[:8]}; flight {dict(list(flight.items())[:8])}; due {due}; "
            f"queue {self.broker.redis.llen(QUEUE)}; now {self.redis.time()}; left {self.left()}; "
            f"logs in {self.directory}"
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
        for result in self._sent_results:
            let_go(result)
        self.app.close()
        for node in {self.gate, self.broker, self.backend}:
            node.go_on()
            node.close()


#: Until a dead worker's group has moved on: a lease, a sweep, and what a calm machine takes.
RECOVERY = LEASE_TTL + 1.0 + 0.7
