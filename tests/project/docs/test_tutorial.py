"""The tutorial, followed from the first worker to the killed one: what it says of each step is seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from celery_groupfifo.testing import embedded
from celery_groupfifo.testing.processes import Process
from tests.project.docs.pages import TUTORIAL
from tests.project.docs.project import Project
from tests.support.waiting import until

CUSTOMERS = ("anna", "ben", "carl")
#: Seconds of the tutorial: five messages of a second, and a lease with a sweep. And what a busy machine adds.
BATCH, RECOVERY, ROOM = 5, 6, 15

#: Seconds that the retry waits here: nobody waits for them, and on a busy machine ten are soon over.
PATIENT = 600

_RUN = re.compile(r"(\w+): ([\w ]+) \(fence (\d+), attempt (\d+)\)")


class Run(NamedTuple):
    """A line that the task prints."""

    customer: str
    text: str
    fence: int
    attempt: int


class Tutorial:
    """The project and its workers."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.workers: dict[str, Process] = {}

    def start_workers(self) -> None:
        for words, _ in self.project.commands("celery -A shop worker"):
            name = words[words.index("-n") + 1].partition("@")[0]
            self.workers[name] = self.project.start(name, *words)
        for worker in self.workers.values():
            _ready(worker)

    def runs(self, customer: str) -> list[Run]:
        """The runs of a customer, in the order of their fences."""
        said = "\n".join(worker.log.read_text() for worker in self.workers.values())
        found = {Run(who, text, int(fence), int(attempt)) for who, text, fence, attempt in _RUN.findall(said)}
        return sorted((run for run in found if run.customer == customer), key=lambda run: run.fence)

    def texts(self, customer: str) -> list[str]:
        return [run.text for run in self.runs(customer)]

    def step(self, number: int, program: str) -> list[str]:
        """Take the commands of a step that begin so, and return what they print."""
        taken = self.project.commands(program, after=f"## {number}.", before=f"## {number + 1}.")
        assert taken
        said = []
        for words, output in taken:
            said.append(self.project.run(*words))
            assert not output or said[-1].strip() == output
        return said


@pytest.fixture
def tutorial(tmp_path: Path) -> Iterator[Tutorial]:
    with embedded.start() as server:
        tutorial = Tutorial(Project(TUTORIAL, tmp_path, server))
        app = tmp_path / "shop.py"
        app.write_text(app.read_text("utf-8").replace("countdown=10", f"countdown={PATIENT}"), "utf-8")
        yield tutorial
        for worker in tutorial.workers.values():
            worker.kill()


def test_each_step_shows_what_it_says(tutorial: Tutorial) -> None:
    tutorial.start_workers()
    batch = [f"message {number}" for number in range(1, 6)]

    tutorial.step(5, "python send.py")
    until(lambda: all(tutorial.texts(each) == batch for each in CUSTOMERS), within=3 * BATCH + ROOM)
    begun = [[run.fence for run in tutorial.runs(each)] for each in CUSTOMERS]
    assert max(fences[0] for fences in begun) < min(fences[-1] for fences in begun), "customers run at the same time"

    tutorial.step(8, "python -c")
    until(lambda: "fails at first" in tutorial.texts("anna"))
    (explained,) = until_said(tutorial)
    assert "waits for retry 1 of 3 of shop.send_message" in explained and "1 task waits behind it" in explained
    assert "behind it" not in tutorial.texts("anna")
    tutorial.step(8, "celery -A shop groupfifo retry")
    until(lambda: "behind it" in tutorial.texts("anna"))
    first, second, behind = tutorial.runs("anna")[5:]
    assert (first.text, first.attempt) == ("fails at first", 1)
    assert (second.text, second.attempt, behind.text) == ("fails at first", 2, "behind it")

    before = {each: tutorial.runs(each)[-1].fence for each in CUSTOMERS}

    def since(customer: str) -> list[str]:
        """Return texts of the new batch that have run, each once: what the killed worker was running comes twice."""
        texts = [run.text for run in tutorial.runs(customer) if run.fence > before[customer]]
        return list(dict.fromkeys(text for text in texts if text != "behind it"))

    tutorial.step(9, "python send.py")
    until(lambda: any(since(each) for each in CUSTOMERS))
    tutorial.workers["one"].kill()
    until(lambda: all(since(each) == batch for each in CUSTOMERS), within=BATCH + RECOVERY + ROOM)


def _ready(worker: Process) -> None:
    until(lambda: " ready." in worker.log.read_text(), lambda: worker.tail(20), within=60)


def until_said(tutorial: Tutorial) -> list[str]:
    """Wait for what `explain` says once the worker has told the gate of the retry."""
    said: list[str] = []

    def retried() -> bool:
        said[:] = tutorial.step(8, "celery -A shop groupfifo explain")
        return "waits for retry" in said[0]

    until(retried)
    return said
