"""The watch over a run: its progress, and its cost between two moments."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import redis

from benchmarks import recording
from benchmarks.bench import Arm
from benchmarks.processes import BenchmarkError, Worker, cpu_seconds

#: Seconds between two polls: often enough for runs of a second, seldom enough to cost next to nothing.
POLL_SECONDS = 0.01

Progress = Callable[[], int]
"""Returns the number of tasks done."""


def finished_runs(client: redis.Redis) -> Progress:
    """Return the progress by the gate's own count of tasks that ended."""
    return lambda: int(client.hget("{groupfifo:0}:stats", "tasks_finished") or 0)


def acknowledged(client: redis.Redis) -> Progress:
    """Return the progress by the messages left at the broker: in the queue, or delivered and not acknowledged."""

    def left() -> int:
        pipe = client.pipeline(transaction=False)
        pipe.llen("celery")
        pipe.hlen("unacked")
        return sum(pipe.execute())

    total = left()
    return lambda: total - left()


def dramatiq_acknowledged(client: redis.Redis) -> Progress:
    """Return the progress by the messages that Dramatiq keeps until they are acknowledged."""
    total = client.hlen("dramatiq:default.msgs")
    return lambda: total - client.hlen("dramatiq:default.msgs")


def recorded(record: Path) -> Progress:
    """Return the progress by the record that the tasks write."""
    return lambda: recording.runs(record)


def progress_of(arm: Arm, client: redis.Redis, record: Path) -> Progress:
    """Return the cheapest way to read the progress of an arm. To be called before its workers start."""
    if arm.tasks[0].endswith("step"):
        return recorded(record)
    if arm.app == "dramatiq":
        return dramatiq_acknowledged(client)
    at_gate = arm.app == "grouped" and arm.tasks in (("noop",), ("batched",))
    return finished_runs(client) if at_gate else acknowledged(client)


@dataclass(frozen=True)
class Point:
    """The state of a run at a moment.

    Attributes:
        time: Monotonic.
        clock: The time of day, as in MONITOR's output.
        done: Tasks.
        workers: CPU seconds of each worker's main process; None: the system does not tell.
        server: CPU seconds of the Redis server.
        scripts: Microseconds that Redis has spent in scripts.
    """

    time: float
    clock: float
    done: int
    workers: tuple[float | None, ...]
    server: float | None
    scripts: float


def script_time(client: redis.Redis) -> tuple[int, float]:
    """Return the number of script calls so far, and their microseconds in Redis, including the commands they called."""
    stats = client.info("commandstats").get("cmdstat_evalsha", {})
    return int(stats.get("calls", 0)), float(stats.get("usec", 0))


def server_seconds(client: redis.Redis) -> float:
    """Return the CPU seconds of a server's main thread so far, by its own count; where it has none, of all threads."""
    used = client.info("cpu")
    return sum(float(used.get(f"used_cpu_{kind}_main_thread", used[f"used_cpu_{kind}"])) for kind in ("user", "sys"))


class Watch:
    """The watch over workers and their backlog.

    Args:
        client: Of the server.
        server_pid: Its process.
        progress: Returns the number of tasks done.
        workers: The workers.
        patience: Seconds after which a run that is not done is given up.
    """

    def __init__(
        self,
        client: redis.Redis,
        server_pid: int | None,
        progress: Progress,
        workers: Sequence[Worker],
        patience: float = 120.0,
    ) -> None:
        self._client, self._server_pid = client, server_pid
        self._progress, self._workers, self._patience = progress, workers, patience

    def until(self, done: int) -> Point:
        """Wait until so many tasks are done.

        Args:
            done: Tasks.

        Returns:
            The state at that moment.

        Raises:
            BenchmarkError: A worker ended, or the tasks were not done in time.
        """
        began = time.monotonic()
        while True:
            now, seen = time.monotonic(), self._progress()
            if seen >= done:
                return self._point(now, seen)
            for worker in self._workers:
                worker.check()
            if now - began > self._patience:
                raise BenchmarkError(f"After {self._patience:.0f} s only {seen} of {done} tasks were done.")
            time.sleep(POLL_SECONDS)

    def _point(self, now: float, done: int) -> Point:
        return Point(
            time=now,
            clock=time.time(),
            done=done,
            workers=tuple(cpu_seconds(worker.pid) for worker in self._workers),
            server=cpu_seconds(self._server_pid) if self._server_pid else None,
            scripts=script_time(self._client)[1],
        )


def cost(start: Point, end: Point) -> dict[str, float]:
    """Return the figures between two points.

    Returns:
        `rate` (tasks/s), `cpu_us` (of the workers' main processes, per task), `server_us` (CPU of Redis, per task),
        `script_us` (per task), `balance` (the least busy worker's CPU by the busiest one's), `span` (s).

    Raises:
        BenchmarkError: No task was done between them.
    """
    tasks, span = end.done - start.done, end.time - start.time
    if tasks <= 0 or span <= 0:
        raise BenchmarkError("Nothing was left to measure after the warm-up: the backlog is too short.")
    found = {"rate": tasks / span, "span": span, "script_us": (end.scripts - start.scripts) / tasks}
    spent = [after - before for before, after in zip(start.workers, end.workers, strict=True) if before and after]
    if spent:
        found |= {"cpu_us": sum(spent) / tasks * 1e6, "balance": min(spent) / max(spent)}
    if start.server and end.server:
        found["server_us"] = (end.server - start.server) / tasks * 1e6
    return found
