"""An example, run as its README says: its commands in a copy of its folder, with free ports."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import requires, version
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import NamedTuple

from packaging.requirements import Requirement

from celery_groupfifo.testing.children import free_port
from celery_groupfifo.testing.processes import Process
from tests.project.docs.pages import blocks
from tests.support.places import REPOSITORY
from tests.support.waiting import until

EXAMPLES = REPOSITORY / "examples"
#: What a server prints or logs when it can be used.
READY = {"embedded": " on 127.0.0.1:", "worker": " ready.", "uvicorn": "Uvicorn running on", "flower": "Visit me at"}


class Step(NamedTuple):
    """A command of a README.

    Attributes:
        words: The command.
        runs_on: True when it ends with `&`.
        output: What the README shows of it.
    """

    words: list[str]
    runs_on: bool
    output: str


def steps(readme: str) -> Iterator[Step]:
    """The commands of a README, in their order."""
    for block in blocks(readme):
        if block.language == "console":
            for said in re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]:
                line, _, output = said.partition("\n")
                words = shlex.split(line, comments=True)
                yield Step([word for word in words if word != "&"], "&" in words, output.strip())


class Example:
    """An example in a copy of its folder.

    Args:
        name: Of its folder.
        directory: For the copy, and the logs.

    Attributes:
        shown: What each command that ends has printed, by its words.
        ports: The free ports that stand in for those that its README names.
    """

    def __init__(self, name: str, directory: Path) -> None:
        self.directory = directory / name
        copytree(EXAMPLES / name, self.directory, ignore=ignore_patterns("__pycache__", "cluster", "*.db"))
        self.steps = list(steps((self.directory / "README.md").read_text("utf-8")))
        self.shown: dict[str, str] = {}
        self.ports: dict[str, int] = {}
        self._jobs: list[Process] = []
        self._environment = {"PYTHONPATH": str(REPOSITORY), "TMPDIR": str(directory), "PYTHONUNBUFFERED": "1"}

    def take(self, *programs: str) -> None:
        """Take the steps up to the first one that begins so; without any, all that are left."""
        while self.steps and not (programs and shlex.join(self.steps[0].words).startswith(programs)):
            self._take(self.steps.pop(0))

    def close(self) -> None:
        """Kill what is left."""
        for job in self._jobs:
            job.kill()

    def _take(self, step: Step) -> None:
        if step.words[0] == "pip":
            self._check_requirements()
        elif step.words[0] == "kill":
            self._stop([self._jobs[int(word.removeprefix("%")) - 1] for word in step.words[1:]])
        elif step.runs_on:
            self._start(self._with_ports(step.words))
        else:
            self._run(step)

    def _check_requirements(self) -> None:
        """Check that what a user installs is here, too, from the extras of the tests."""
        extras = {Requirement(line).name for line in requires("celery-groupfifo") or []}
        for line in (self.directory / "requirements.txt").read_text("utf-8").splitlines():
            wanted = Requirement(line)
            assert wanted.name == "celery-groupfifo" or wanted.name in extras, line
            assert wanted.specifier.contains(version(wanted.name)), line

    def _with_ports(self, words: list[str]) -> list[str]:
        words = [part for word in words for part in (word.split("=") if word.startswith("--port=") else [word])]
        if "--port" in words:
            at = words.index("--port") + 1
            port = self.ports.setdefault(words[at], free_port())
            name = "REDIS_URL" if "celery_groupfifo.testing.embedded" in words else "API_URL"
            self._environment[name] = f"{'redis' if name == 'REDIS_URL' else 'http'}://localhost:{port}"
            words = [*words[: at - 1], f"--port={port}", *words[at + 1 :]]
        return words

    def _start(self, words: list[str]) -> None:
        ready = next(text for name, text in READY.items() if any(name in word for word in words))
        log = self.directory.parent / f"job-{len(self._jobs) + 1}.log"
        job = Process(words[0], _arguments(words), log, self._environment, self.directory)
        self._jobs.append(job)
        until(lambda: ready in log.read_text(), lambda: job.tail(30), within=60)

    def _run(self, step: Step) -> None:
        done = subprocess.run(
            [sys.executable, *_arguments(step.words)],
            cwd=self.directory,
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            timeout=100,
        )
        logs = "\n".join(job.tail(15) for job in self._jobs)
        assert done.returncode == 0, f"{shlex.join(step.words)}\n{done.stdout}{done.stderr}\n{logs}"
        self.shown[shlex.join(step.words)] = done.stdout.strip()
        assert not step.output or done.stdout.strip() == step.output

    def _stop(self, jobs: list[Process]) -> None:
        """Tell jobs to end, as `kill` does: each ends in time, and of that signal or well."""
        for job in jobs:
            job.terminate()
        for job in jobs:
            until(lambda job=job: job.exit_code is not None, lambda job=job: job.tail(30), within=30)  # type: ignore[misc]
            assert job.exit_code in (0, -15), job.tail(30)


def _arguments(words: list[str]) -> list[str]:
    """Return the arguments for the interpreter."""
    return words[1:] if words[0] == "python" else ["-m", *words]
