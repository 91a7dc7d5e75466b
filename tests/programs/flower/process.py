"""A Flower process, and what it says over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from celery_groupfifo.testing.children import dying_with_us, free_port
from tests.support.crews.app import CONF, DIRECTORY
from tests.support.places import REPOSITORY
from tests.support.waiting import until


class FlowerProcess:
    """`celery flower` for the app of the worker tests.

    Args:
        directory: For its log, its database, and what tasks write.
        conf: Of the app.
        options: More words for the command line.
        program: What runs; `celery` unless given.
        open_api: Whether everybody may act.
    """

    def __init__(
        self,
        directory: Path,
        conf: dict[str, Any],
        *options: str,
        program: tuple[str, ...] = ("-m", "celery"),
        open_api: bool = True,
    ) -> None:
        self.port = free_port()
        command = [sys.executable, *program, "-A", "tests.support.crews.app", "flower", "--address=127.0.0.1"]
        self._log = directory / f"flower-{self.port}.log"
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "FLOWER_UNAUTHENTICATED_API": str(int(open_api))}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                dying_with_us([*command, f"--port={self.port}", *options]),
                cwd=directory,
                env={**environment, CONF: json.dumps(conf), DIRECTORY: str(directory)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        """Return its log."""
        return self._log.read_text(errors="replace")

    def ready(self) -> FlowerProcess:
        """Return when it answers."""
        until(lambda: self.get("/healthcheck") == "OK" or self.process.poll() is not None, lambda: self.log)
        assert self.process.poll() is None, self.log
        return self

    def get(self, path: str, patience: float = 5) -> str:
        """An answer's text; none when there is no answer, or an error."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=patience) as answer:
                return str(answer.read().decode())
        except HTTPError as error:
            error.close()
            return ""
        except OSError:
            return ""

    def json(self, path: str) -> Any:
        """An answer's values; none when there is no answer."""
        return json.loads(self.get(path) or "{}")

    def task(self, task_id: str) -> dict[str, Any]:
        """Return what it knows of a task; nothing when it does not know it."""
        return dict(self.json(f"/api/task/info/{task_id}"))

    def workers(self) -> list[str]:
        """The names on the Workers page."""
        return [worker["hostname"] for worker in self.json("/workers?json=1").get("data", [])]

    def stop(self) -> None:
        """As an operator does; it saves its state then."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def close(self) -> None:
        """End it in any case."""
        self.process.kill()
        self.process.wait(60)
