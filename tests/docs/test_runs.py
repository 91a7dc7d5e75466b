"""The examples run as they stand, against a server of their own."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import redis

from celery_groupfifo.testing import embedded
from tests.docs.commands import commands
from tests.docs.pages import PAGES, ROOT, TUTORIAL, blocks, files, name

#: Libraries that the tests' environment does not have: what imports them is only type-checked.
ABSENT = re.compile(r"^(?:from|import) (?:django|fastapi)\b", re.MULTILINE)
FILES = [
    pytest.param(page, file, id=f"{name(page)}-{file}")
    for page in PAGES
    for file, code in files(page).items()
    if not ABSENT.search(code) and not file.startswith(("test_", "conftest"))
]
#: The steps of the tutorial that need no worker: from "Send tasks" to "Pause and resume".
STEPS = ("## 5.", "## 8.")


@pytest.fixture(scope="module")
def server() -> Iterator[embedded.Server]:
    with embedded.start(appendonly=False) as server:
        yield server


@pytest.fixture
def project(server: embedded.Server, tmp_path: Path) -> Path:
    """A directory for the files of a page; the server is empty."""
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return tmp_path


def write(page: Path, server: embedded.Server, project: Path) -> None:
    for file, code in files(page).items():
        (project / file).write_text(re.sub(r"redis://localhost:\d+", server.url, code), "utf-8")


def run(project: Path, *words: str, **variables: str) -> str:
    """Run a command in a project, and return its output; it has to end well."""
    environment: Mapping[str, str] = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, *(["-m", "celery", *words[1:]] if words[0] == "celery" else words[1:])]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize(("page", "file"), FILES)
def test_an_example_runs(page: Path, file: str, server: embedded.Server, project: Path) -> None:
    write(page, server, project)
    run(project, "python", "-W", "error:::celery_groupfifo", file)


def test_the_tests_of_the_how_to_pass(server: embedded.Server, project: Path) -> None:
    write(ROOT / "docs" / "how-to" / "testing.md", server, project)
    # as the page says; here pytest-celery is installed
    said = run(project, "python", "-m", "pytest", "-p", "celery.contrib.pytest", "-p", "no:celery", "-q")
    assert "5 passed" in said


def test_the_tutorials_commands_say_what_it_shows(server: embedded.Server, project: Path) -> None:
    write(TUTORIAL, server, project)
    text = TUTORIAL.read_text("utf-8")
    first, last = (text[: text.index(step)].count("\n") for step in STEPS)
    shown = 0
    for block in blocks(text):
        if block.language != "console" or not first < block.line < last or "flower" in block.code:
            continue
        for said in re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]:
            line, _, output = said.partition("\n")
            (words,) = commands(line)
            answer = run(project, *words)
            assert not output.strip() or answer.strip() == output.strip()
            shown += bool(output.strip())
    assert shown >= 2
