"""The examples run as their READMEs say: real workers, the order that is shown, and a clean stop."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.project.examples.project import EXAMPLES, Example, steps
from tests.support.waiting import until

NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/README.md"))

Make = Callable[[str], Example]


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Make]:
    """A function that makes an example ready to run."""
    made: list[Example] = []

    def make(name: str) -> Example:
        made.append(Example(name, tmp_path))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_each_is_in_the_list() -> None:
    listed = (EXAMPLES / "README.md").read_text("utf-8")
    assert NAMES == ["django", "fastapi", "messages", "migrate-from-lock"]
    assert all(f"| [{name}]({name}) |" in listed for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_begins_with_its_requirements_and_leaves_nothing_running(name: str) -> None:
    said = list(steps((EXAMPLES / name / "README.md").read_text("utf-8")))
    assert said[0].words == ["pip", "install", "-r", "requirements.txt"]
    started = sum(step.runs_on for step in said)
    killed = {word for step in said if step.words[0] == "kill" for word in step.words[1:]}
    assert killed == {f"%{number}" for number in range(1, started + 1)}


@pytest.mark.parametrize("name", ["django", "fastapi"])
def test_it_shows_the_order_that_its_readme_shows(example: Make, name: str) -> None:
    running = example(name)
    expected = [step.output for step in running.steps if step.output]
    running.take()
    assert len(expected) == 1 and expected[0] in running.shown.values()


def test_migrate_from_lock(example: Make) -> None:
    running = example("migrate-from-lock")
    running.take()
    before = running.shown["python send.py before"].split()
    assert before != sorted(before) == [*"1234"], "the lock loses the order, and no message"
    assert running.shown["python send.py during"] == running.shown["python send.py after"] == "1 2 3 4"


def test_messages(example: Make) -> None:
    """Three instances, and the dashboard where the old one was."""
    running = example("messages")
    running.take("python -m celery_groupfifo.cluster status")
    address = f"http://localhost:{running.ports['7777']}/admin/queues"
    with urlopen(f"{address}/groups", timeout=20) as page:
        assert "Groups" in page.read().decode()

    def workers() -> list[str]:
        with urlopen(f"{address}/groups/workers/data", timeout=20) as answer:
            return sorted(worker["name"].partition("@")[0] for worker in json.load(answer)["workers"])

    until(lambda: workers() == [f"messages-worker-{number}" for number in (1, 2, 3)], lambda: str(workers()))
    running.take()
    status = running.shown["python -m celery_groupfifo.cluster status"]
    assert status.count("messages-worker-") == 3
    assert "" not in (running.shown[f"python -m celery_groupfifo.cluster {verb}"] for verb in ("reload", "stop"))
