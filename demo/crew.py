"""The processes of the demo: workers, producers and Flower, started and stopped here."""

from __future__ import annotations

from pathlib import Path

from celery_groupfifo.testing.processes import Process, stop
from demo.options import Options

_APP = "demo.app"
_GRACE_SECONDS = 20.0
_HASTE_SECONDS = 3.0


class CrewError(Exception):
    """An unexpected end of a process of the demo."""


class Crew:
    """The processes of one demo.

    Attributes:
        workers: all that were started, in order; killed ones stay in the list.
        producers: the producers.
        flower: Flower, when it was started.
    """

    def __init__(self, options: Options, redis_url: str, line: str = "") -> None:
        """Prepare the processes, without starting any.

        Args:
            options: of the demo.
            redis_url: the server.
            line: first part of all keys, where the server is not ours alone.
        """
        self.workers: list[Process] = []
        self.producers: list[Process] = []
        self.flower: Process | None = None
        self._options = options
        self._environment = {
            "REDIS_URL": redis_url,
            "WORKER_CONCURRENCY": str(options.concurrency),
            "DEMO_HISTORY": str(options.history.resolve()),
            "DEMO_LEASE_TTL": str(options.lease_ttl),
            "DEMO_LINE": line,
        }

    def start_worker(self) -> Process:
        """Start one more worker and return it; its name has the next number."""
        name = f"messages-worker-{len(self.workers)}"
        slots = str(self._options.concurrency)
        command = [
            "-m",
            "celery",
            "-A",
            _APP,
            "worker",
            "-n",
            f"{name}@%h",
            "-c",
            slots,
            "--loglevel",
            "INFO",
        ]
        self.workers.append(self._start(name, command))
        return self.workers[-1]

    def start_producers(self, then: float | None) -> None:
        """Start the producers, who share messages and customers among them.

        Args:
            then: messages per second that they send together after their share; None to end instead.
        """
        many, tasks = self._options.producers, self._options.tasks
        for number in range(many):
            command = [
                "-m",
                "demo.producer",
                "--number",
                str(number),
                "--producers",
                str(many),
            ]
            command += ["--messages", str(tasks // many + (number < tasks % many))]
            command += ["--rate", str(self._options.rate / many)]
            command += ["--then", str(then / many)] if then else []
            self.producers.append(self._start(f"producer-{number}", command))

    def start_flower(self) -> str:
        """Start Flower and return its URL."""
        port = self._options.flower_port
        command = ["-m", "celery", "-A", _APP, "flower", f"--port={port}", "--address=127.0.0.1"]
        # Its buttons need no login: it is for this machine alone.
        self.flower = self._start("flower", command, FLOWER_UNAUTHENTICATED_API="1")
        return f"http://127.0.0.1:{port}"

    def check(self) -> None:
        """Check all processes.

        Raises:
            CrewError: one ended without being told to; the message has the end of its log.
        """
        for process in self._everybody():
            done = process in self.producers and process.exit_code == 0
            if process.exit_code is not None and not process.stopping and not done:
                raise CrewError(
                    f"{process.name} ended with exit code {process.exit_code}. "
                    f"The end of its log, {process.log}:\n"
                    f"{process.tail()}"
                )

    def stop_producers(self) -> None:
        """Let the producers finish the message at hand and end."""
        stop(self.producers, _GRACE_SECONDS)

    def stop_workers(self) -> float:
        """Stop the workers gracefully; return the seconds it took."""
        return stop(self.workers, _GRACE_SECONDS)

    def close(self) -> None:
        """Stop the processes that still run, quickly: the server stops next, and none of them may wait for it."""
        stop(self._everybody(), _HASTE_SECONDS)

    def _everybody(self) -> list[Process]:
        return [*self.producers, *self.workers, *([self.flower] if self.flower else [])]

    def _start(self, name: str, command: list[str], **more: str) -> Process:
        log: Path = self._options.directory / f"{name}.log"
        return Process(name, command, log, {**self._environment, **more})
