"""Workers that are killed, frozen and stopped, each deed in the history."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from celery_groupfifo.testing.history import record
from celery_groupfifo.testing.processes import Process
from tests.support.places import REPOSITORY
from tests.support.stages.app import CONF, DIRECTORY
from tests.support.stages.points import POINT
from tests.support.waiting import until

#: See suspendable/sitecustomize.py.
SUSPENDABLE, SLEPT = Path(__file__).parent / "suspendable", "SUSPENDED_SECONDS"


def python_path() -> str:
    """Return the path on which a process finds what we found; what was put first stays first."""
    return os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(REPOSITORY)])


#: Children of a killed worker are gone within this time, on a busy machine; their tasks wait for a word for longer.
BURIED_WITHIN = 30.0


class Worker:
    """One life of a worker.

    Args:
        directory: Of the test.
        name: Of the node; no two lives share one.
        conf: Of its app.
        slots: Of its pool.
        options: More words for the command line.
        point: Where it kills itself, see points.py.
        pool: prefork, threads, gevent, solo or custom.
        module: With its app.
        environment: More variables.
        suspendable: While it is frozen, its monotonic clock stands still, as on a machine that is suspended.

    Attributes:
        frozen: Whether it stands still.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        conf: dict[str, Any],
        slots: int,
        options: Iterable[str] = (),
        point: str = "",
        pool: str = "prefork",
        module: str = "tests.support.stages.app",
        environment: Mapping[str, str] | None = None,
        suspendable: bool = False,
    ) -> None:
        self.directory, self.name, self.slots = directory, name, slots
        self.hostname = f"{name}@chaos"
        self.frozen = False
        self._marks = directory / "history" / f"nemesis-{name}.jsonl"
        command = ["-m", "tests.support.launch", module, "-n", self.hostname, "-P", pool, "-c", str(slots)]
        command += ["--loglevel", "INFO", *options]
        variables = {
            "PYTHONPATH": python_path(),
            CONF: json.dumps(conf),
            DIRECTORY: str(directory),
            POINT: point,
            "TMPDIR": str(directory),  # a process that is killed removes no folder of its own
            **(environment or {}),
        }
        self._slept = directory / f"{name}.slept" if suspendable else None
        self._frozen_at = 0.0
        if self._slept is not None:
            self._slept.write_text("0")
            variables |= {"PYTHONPATH": f"{SUSPENDABLE}{os.pathsep}{python_path()}", SLEPT: str(self._slept)}
        self.process = Process(name, command, directory / f"{name}.log", variables)
        self._known: set[int] = {self.process.pid}
        self._dead: set[int] = set()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.exit_code is None

    @property
    def log(self) -> str:
        return self.process.log.read_text(errors="replace")

    def logs(self, text: str) -> None:
        """Return when its log has the text: it writes after it did what the log tells."""
        until(lambda: text in self.log, lambda: self.log[-3000:])

    def ready(self) -> Worker:
        """Return when it takes tasks."""
        mine = self.directory / "history" / f"{self.pid}.jsonl"
        until(lambda: mine.exists() or not self.alive, lambda: self.log[-3000:])
        assert self.alive, self.log[-3000:]
        self.tree()
        return self

    def children(self) -> list[int]:
        """Ids of its pool's processes."""
        try:
            return [child.pid for child in psutil.Process(self.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def tree(self) -> list[int]:
        """Ids of all its processes so far, without those that were killed one by one."""
        self._known.update(self.children())
        return sorted(self._known - self._dead)

    # -- deeds -------------------------------------------------------------

    def kill(self) -> None:
        """As a lost machine: all its processes at once."""
        self._signal(signal.SIGSTOP)  # so that no child is born between the look and the deed
        self._mark()
        self.process.kill()
        self._wait_for(self.tree())
        self._mark()

    def kill_main(self) -> None:
        """Only its main process, and wait until the others are gone: that is the system's and Celery's part."""
        self._mark()
        self.process.stopping = True
        os.kill(self.pid, signal.SIGKILL)
        self._wait_for(self.tree())
        self._mark()

    def kill_child(self, pid: int) -> None:
        """One process of its pool."""
        self._mark([pid])
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self._wait_for([pid])
        self._mark([pid])
        self._dead.add(pid)

    def buried(self) -> None:
        """It has killed itself at a fault point: note by when it was dead."""
        until(lambda: not self.alive, f"{self.name} lives")
        self._wait_for(self.tree())
        self._mark()

    def freeze(self, seconds: float) -> None:
        """Let all its processes stand still; `thaw` must follow, about so many seconds later."""
        self.frozen = True
        self._signal(signal.SIGSTOP)
        self._frozen_at = time.monotonic()
        record(self._marks, ev="pause", target=self.tree(), worker=self.hostname, until=time.monotonic() + seconds)

    def thaw(self) -> None:
        """Let them go on."""
        record(self._marks, ev="thaw", target=self.tree(), worker=self.hostname)
        if self._slept is not None:
            self._slept.write_text(str(float(self._slept.read_text()) + time.monotonic() - self._frozen_at))
        self._signal(signal.SIGCONT)
        self.frozen = False

    def stop(self) -> None:
        """Ask it to end in good order; returns at once."""
        self.process.terminate()

    def wait(self) -> int:
        """Wait for its end, and return its exit code."""
        until(lambda: not self.alive, lambda: self.log[-3000:])
        assert self.process.exit_code is not None
        return self.process.exit_code

    def close(self) -> None:
        """Leave nothing of it behind, and write nothing to the history."""
        self.process.kill()
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # children that outlived it

    def _signal(self, number: signal.Signals) -> None:
        if self.alive:
            os.killpg(self.pid, number)

    def _mark(self, target: list[int] | None = None) -> None:
        record(self._marks, ev="kill", target=target or self.tree(), worker=self.hostname)

    def _wait_for(self, pids: list[int]) -> None:
        until(lambda: not any(_lives(pid) for pid in pids), f"some of {pids} live", BURIED_WITHIN)


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
