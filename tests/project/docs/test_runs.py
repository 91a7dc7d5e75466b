"""The examples run as they are, against a server of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from celery_groupfifo.testing import embedded
from tests.project.docs.pages import PAGES, TUTORIAL, files, name
from tests.project.docs.project import Project
from tests.support.places import DOCS

#: Code of a Django project needs its settings, so it is only type-checked here; examples/django runs.
DJANGO = re.compile(r"^(?:from|import) django\b", re.MULTILINE)
FILES = [
    pytest.param(page, file, id=f"{name(page)}-{file}")
    for page in PAGES
    for file, code in files(page).items()
    if not DJANGO.search(code) and not file.startswith(("test_", "conftest"))
]


@pytest.fixture(scope="module")
def server() -> Iterator[embedded.Server]:
    with embedded.start(appendonly=False) as server:
        yield server


@pytest.fixture
def empty(server: embedded.Server) -> embedded.Server:
    """The server, without data of other pages."""
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return server


@pytest.mark.parametrize(("page", "file"), FILES)
def test_an_example_runs(page: Path, file: str, empty: embedded.Server, tmp_path: Path) -> None:
    Project(page, tmp_path, empty).run("python", "-W", "error:::celery_groupfifo", file)


def test_the_tests_of_the_how_to_pass(empty: embedded.Server, tmp_path: Path) -> None:
    project = Project(DOCS / "how-to" / "testing.md", tmp_path, empty)
    # as the page says; here pytest-celery is installed
    said = project.run("python", "-m", "pytest", "-p", "celery.contrib.pytest", "-p", "no:celery", "-q")
    assert "5 passed" in said


def test_commands_of_the_tutorial_say_what_it_shows(empty: embedded.Server, tmp_path: Path) -> None:
    """Those that need no worker: from "Send tasks" to "Pause and resume"."""
    project = Project(TUTORIAL, tmp_path, empty)
    steps = project.commands("python send.py", "celery -A shop groupfifo", after="## 5.", before="## 8.")
    for words, output in steps:
        said = project.run(*words)
        assert not output or said.strip() == output
    assert [output for _, output in steps if output] == ["Group 'anna' is paused.", "Group 'anna' goes on."]
