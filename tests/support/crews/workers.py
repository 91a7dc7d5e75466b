"""Worker processes, and a crew: a worker with an app that sends to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from celery.result import AsyncResult

from celery_groupfifo.testing.children import dying_with_us
from tests.support.crews.app import CONF, DIRECTORY, make_app
from tests.support.crews.history import History
from tests.support.places import REPOSITORY
from tests.support.results import let_go
from tests.support.stored import all_stored, lasts
from tests.support.waiting import HUNG, until

#: What `Crew.send` gives to the call; anything else goes to the deed.
OPTIONS = {"countdown", "expires", "time_limit", "soft_time_limit", "priority", "queue", "headers", "task_id"}
OPTIONS |= {"group_max_lost", "group_on_failure", "group_block_for", "group_break_after", "group_max_hold"}
OPTIONS |= {"group_dedup_key", "group_dedup_for", "group_order_by", "group_reorder_window"}
OPTIONS |= {"group_on_retry", "group_eta", "group_on_duplicate", "group_max_depth", "group_overflow"}
OPTIONS |= {"group_concurrency", "group_rate", "group_hold_until", "group_overflow_timeout"}
OPTIONS |= {"group_fair_key", "group_fair_weight"}


def on(*pools: str) -> pytest.MarkDecorator:
    """Run a test on these pools only."""
    return pytest.mark.parametrize("pool_crew", pools, indirect=True, scope="session")


class Worker:
    """One worker process, in a session of its own.

    Args:
        directory: For its log, and for what its tasks write.
        conf: Of its app.
        pool: prefork, threads, gevent, eventlet or solo.
        slots: Tasks at once.
        name: Of the node.
        options: More words for the command line.
        root: Of the tree whose package it runs.
    """

    def __init__(
        self,
        directory: Path,
        conf: dict[str, Any],
        pool: str = "prefork",
        slots: int = 4,
        name: str = "one",
        options: Sequence[str] = (),
        root: Path = REPOSITORY,
    ) -> None:
        self.directory, self.pool, self.slots, self.name = directory, pool, slots, name
        self._root = root
        self.log_file = directory / f"{name}.log"
        command = [
            sys.executable,
            "-m",
            "tests.support.launch",
            "tests.support.crews.app",
            "-P",
            pool,
            "-c",
            str(slots),
        ]
        command += ["-n", f"{name}@test", "-l", "INFO", "--without-mingle", "--without-gossip", "--without-heartbeat"]
        self._command = dying_with_us([*command, *options])
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(root),
            CONF: json.dumps(conf),
            DIRECTORY: str(directory),
            "TMPDIR": str(directory),  # a process that is killed removes no folder of its own
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._read_from = 0

    def start(self) -> Worker:
        """Start it; see `ready`."""
        self._read_from = self.log_file.stat().st_size if self.log_file.exists() else 0
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._root,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def ready(self) -> Worker:
        """Return when it takes tasks."""
        until(lambda: " ready." in self.log or not self.alive, lambda: self.log[-2000:])
        assert self.alive, self.log[-2000:]
        return self

    def logs(self, text: str) -> None:
        """Return when its log has the text: it writes after it did what the log tells."""
        until(lambda: text in self.log, lambda: self.log[-2000:])

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        """Return its log since its last start."""
        with self.log_file.open("rb") as log:
            log.seek(self._read_from)
            return log.read().decode(errors="replace")

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def children(self) -> list[int]:
        """Ids of its child processes."""
        return [child.pid for child in psutil.Process(self.pid).children()]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its main process."""
        self.process.send_signal(number)

    def wait(self, within: float = HUNG) -> int:
        """Wait for its end, and return its exit code."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end within {within} s: {self.log[-3000:]}") from None

    def kill(self) -> None:
        """End it and its children as a lost machine would."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait(HUNG)


class Crew:
    """A worker and an app that sends to it, on a database of their own.

    Args:
        directory: For logs and history.
        url: Of the broker. Its database is emptied at the start; that of the gate when it is no Redis.
        backend: URL of the results' database.
        pool: Of the worker.
        slots: Of the worker.
        conf: More settings of the app.
    """

    def __init__(
        self, directory: Path, url: str, backend: str, pool: str = "prefork", slots: int = 4, **conf: Any
    ) -> None:
        self.directory, self.pool, self.slots = directory, pool, slots
        self.conf = {"broker_url": url, "result_backend": backend, **conf}
        self.redis = redis.Redis.from_url(url if url.startswith(("redis", "unix")) else conf["groupfifo_url"])
        self.app = make_app(**self.conf)
        self.worker = Worker(directory, self.conf, pool, slots)
        self._others: list[Worker] = []
        self._results: list[AsyncResult] = []

    # -- workers -----------------------------------------------------------

    @property
    def workers(self) -> list[Worker]:
        return [self.worker, *self._others]

    def ready(self) -> Crew:
        """With a worker that lives, and nothing left of earlier tests."""
        if not self.worker.alive or self.left_over():
            self.worker.kill()
            self.redis.flushdb()
            (self.directory / "history").unlink(missing_ok=True)
            self.worker.start().ready()
        return self

    def another(self, name: str, **options: Any) -> Worker:
        """One more worker, not yet started."""
        worker = Worker(self.directory, {**self.conf, **options.pop("conf", {})}, name=name, **options)
        self._others.append(worker)
        return worker

    def close(self) -> None:
        """End the workers, and let go of the server. How they stop in good order is in test_shutdown.py."""
        for worker in self.workers:
            worker.kill()
        for result in self._results:
            let_go(result)
        self.app.close()
        self.redis.close()

    # -- sending -----------------------------------------------------------

    def task(self, name: str) -> Any:
        """A task of app.py."""
        return self.app.tasks[f"worker.{name}"]

    def send(self, key: str, number: int, deed: str = "succeed", task: str = "act", **more: Any) -> AsyncResult:
        """Send one task; what is no option of the call goes to the deed."""
        options = {name: more.pop(name) for name in OPTIONS & set(more)}
        result = self.task(task).apply_async((key, number, deed), more, **options)
        self.keep([result])
        return result

    def line_up(self, key: str) -> Callable[[], None]:
        """Hold a group up by a task, number 0, until all of its tasks were sent; the answer lets it go on."""
        self.send(key, 0, "wait", name=f"{key}-0")
        return lambda: self.tell(f"{key}-0")

    def keep(self, results: Iterable[AsyncResult]) -> None:
        """Look after results that the test itself does not need."""
        self._results += results

    def tell(self, name: str) -> None:
        """Let the tasks go on that wait for this word."""
        (self.directory / name).touch()

    # -- what happened -----------------------------------------------------

    @property
    def history(self) -> History:
        return History.read(self.directory / "history")

    def wait_for(self, key: str, numbers: list[int]) -> None:
        """Wait until a group has made these runs and left nothing behind, and check that they were in line."""

        def done() -> bool:
            runs = self.history.group(key)
            return len(runs) >= len(numbers) and runs[-1].ended and not self.left_over()

        until(done, lambda: f"{self.history.group(key)}; left over: {self.left_over()}")
        assert self.history.numbers(key) == numbers, f"{self.history.numbers(key)} are not {numbers}"
        self.history.assert_in_line(key)

    def wait_for_runs(self, key: str, numbers: list[int]) -> None:
        """Wait until a group has made these runs, whatever other groups do."""
        done = lambda: len(self.history.group(key)) >= len(numbers) and self.history.group(key)[-1].ended  # noqa: E731
        until(done, lambda: str(self.history.group(key)))
        assert self.history.numbers(key) == numbers, f"{self.history.numbers(key)} are not {numbers}"
        self.history.assert_in_line(key)

    def state(self, result: AsyncResult, wanted: str) -> None:
        """Wait until the state of a task is known, and check it."""
        until(lambda: result.state == wanted, lambda: f"{result.state} is not {wanted}")

    def left_over(self) -> dict[str, Any]:
        """Return the keys that the gate holds of groups: none when all have ended."""
        left: dict[str, Any] = {}
        for raw in self.redis.scan_iter(match="{groupfifo:0}:*", count=1000):
            name = raw.decode().removeprefix("{groupfifo:0}:")
            if not lasts(name):
                left[name] = self.redis.type(raw)
        if all(member[:2] in (b"w ", b"v ") for member in self.redis.zrange("{groupfifo:0}:due", 0, -1)):
            left.pop("due", None)  # workers have leases without tasks, too
        for field in all_stored(self.redis.hkeys("{groupfifo:0}:begins")):
            if field.startswith((b"i ", b"n ", b"o ", b"m ")):
                left[field.decode()] = "an identity, or an order value"
        return left

    def begun(self) -> int:
        """Return the number of tasks with a lease."""
        return sum(b"\nr " in state for state in self.redis.hvals("{groupfifo:0}:groups"))

    def all_slots(self) -> None:
        """Every slot of the worker runs a task at the same time."""
        name = f"crowd-{os.urandom(4).hex()}"
        results = [
            self.send(f"{name}-{number}", number, "meet", name=name, crowd=self.slots) for number in range(self.slots)
        ]
        for number, result in enumerate(results):
            self.state(result, "SUCCESS")
            assert self.history.numbers(f"{name}-{number}") == [number], self.history.group(f"{name}-{number}")
