"""`celery -A app groupfifo`, as a process of its own: found through the entry point that the package declares."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.support.crews.app import CONF
from tests.support.places import REPOSITORY

EMPTY = "It holds no task: is that the key? A pause of an empty group lasts until `resume`."


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A directory with the entry points of setup.cfg, as an installation has them."""
    setup = ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    info = tmp_path / "celery_groupfifo-0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: celery-groupfifo\nVersion: 0.0\n")
    declared = setup["options.entry_points"]["celery.commands"].strip()
    (info / "entry_points.txt").write_text(f"[celery.commands]\n{declared}\n")
    return tmp_path


def celery(
    installed: Path,
    url: str,
    *words: str,
    stdout: int = subprocess.PIPE,
    app: str = "tests.support.crews.app",
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    conf = json.dumps({"broker_url": url, "result_backend": url})
    path = os.pathsep.join([str(installed), str(REPOSITORY)])
    return subprocess.run(
        [sys.executable, "-m", "celery", *(["-A", app] if app else []), "groupfifo", *words],
        cwd=installed,
        env={**os.environ, "PYTHONPATH": path, CONF: conf, **variables},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )


def test_it_is_there_after_an_installation(installed: Path, redis_url: str) -> None:
    done = celery(installed, redis_url, "stats", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["groups"] == 0
    done = celery(installed, redis_url, "pause", "k", "--reason", "test", "--by", "anna")
    assert (done.returncode, done.stdout) == (0, f"Group 'k' is paused. {EMPTY}\n"), done.stderr
    done = celery(installed, redis_url, "explain", "k")
    assert done.stdout.startswith("Group 'k' is paused by anna since"), done.stderr


@pytest.mark.parametrize("words", [("list",), ("explain", "k"), ("doctor", "--json")])
def test_without_an_app_it_says_how_to_name_one(installed: Path, words: tuple[str, ...]) -> None:
    """Celery's default app has no settings, so it leads to no gate."""
    done = celery(installed, "", *words, app="", CELERY_CONFIG_MODULE="no_such_module")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No app is named: celery -A APP groupfifo" in done.stderr


def test_without_an_app_an_error_of_the_default_app_says_so(installed: Path) -> None:
    """With a celeryconfig.py in the directory, Celery's default app has its settings."""
    (installed / "settings_found.py").write_text('broker_url = "redis://localhost:1/0"\n')
    done = celery(installed, "", "list", app="", CELERY_CONFIG_MODULE="settings_found")
    assert done.returncode == 1
    assert "localhost:1" in done.stderr and "No app is named" in done.stderr


def test_watch_is_live_on_a_terminal(installed: Path, redis_url: str) -> None:
    """On a terminal each look is drawn over the last one, and scrolls nothing."""
    terminal, end = pty.openpty()
    words = ["watch", "--times", "2", "--interval", "0.1"]
    done = celery(installed, redis_url, *words, stdout=end, TERM="xterm", COLUMNS="20")
    os.close(end)
    seen = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert done.returncode == 0, done.stderr
    assert seen.count("\x1b[H") == 2 and seen.count("0 groups") == 2 and seen.count("\x1b[2J") == 1, seen
    assert all(len(line) <= 20 for line in re.sub(r"\x1b\[\w+", "", seen).split("\r\n"))


def test_exit_codes(installed: Path, redis_url: str) -> None:
    done = celery(installed, redis_url, "show", "nothing")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: Group 'nothing' holds no task: it was never used, or all of its tasks have ended.\n"
    assert celery(installed, redis_url, "list", "--sort", "x").returncode == 2
    done = celery(installed, "redis://127.0.0.1:1/0", "list")
    assert done.returncode == 1 and done.stderr.startswith("Error: The gate's Redis at redis://127.0.0.1:1/0 can't be")
    assert done.stderr.count("\n") == 1, "one sentence"
    done = celery(installed, "redis://127.0.0.1:1/0", "list", SHOP_REDIS="redis://127.0.0.1:1")
    assert done.stderr.endswith("\nThe environment variable SHOP_REDIS names this server.\n")
    done = celery(installed, "memory://", "list")
    assert done.returncode == 1 and "Error: The gate needs a Redis. Set groupfifo_url" in done.stderr


def test_nobody_to_ask_is_a_no(installed: Path, redis_url: str) -> None:
    celery(installed, redis_url, "pause", "k")
    done = celery(installed, redis_url, "purge", "k")
    assert done.returncode == 1
    assert done.stderr == (
        "Error: Revoke 0 tasks of group 'k'? Running tasks are not touched. This can't be undone. "
        "Nothing was done: nobody can be asked here. --yes says yes.\n"
    )
