"""`celery report`, `celery inspect conf` and our own commands, as a user calls them: no password of the gate's URL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from celery_groupfifo.testing import embedded
from tests.support.crews.app import CONF, DIRECTORY
from tests.support.crews.workers import Crew
from tests.support.databases import Database
from tests.support.places import REPOSITORY

#: The default user takes any password.
SECRET = "geheimnis"


@pytest.fixture(params=["user part", "query"])
def crew(request: pytest.FixtureRequest, redis_server: embedded.Server, tmp_path: Path) -> Iterator[Crew]:
    """A worker whose gate has a URL with a password."""
    url = f"redis://127.0.0.1:{redis_server.port}/12"
    own = {
        "user part": url.replace("redis://", f"redis://default:{SECRET}@"),
        "query": f"{url}?username=default&password={SECRET}",
    }[request.param]
    broker, results = (each.of(redis_server.url) for each in (Database.OWN, Database.RESULTS))
    crew = Crew(tmp_path, broker, results, "threads", 1, groupfifo_url=own)
    yield crew
    crew.close()


def celery(crew: Crew, *words: str) -> str:
    """Return the output of a command."""
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "tests.support.crews.app", *words],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            CONF: json.dumps(crew.conf),
            DIRECTORY: str(crew.directory),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_celerys_own_commands(crew: Crew) -> None:
    crew.ready()
    for words in (["report"], ["inspect", "conf"], ["inspect", "report"], ["inspect", "groupfifo"]):
        said = celery(crew, *words)
        assert "**" in said and "/12" in said, said
        assert SECRET not in said
    assert SECRET not in crew.worker.log


def test_the_doctor_finds_the_same_settings_in_worker_and_command(crew: Crew) -> None:
    crew.ready()
    said = subprocess.run(
        [sys.executable, "-c", DOCTOR],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), CONF: json.dumps(crew.conf), DIRECTORY: str(crew.directory)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "settings True" in said.stdout and SECRET not in said.stdout + said.stderr, said.stderr


DOCTOR = """
from celery_groupfifo import Groups
from tests.support.crews.app import app
for check in Groups(app).doctor():
    print(check.name, check.ok, check.what)
"""
