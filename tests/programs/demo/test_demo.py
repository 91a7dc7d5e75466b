"""The demo, as a user starts it: clean, judged by its own history, and gone when it is over."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

import celery_groupfifo
from celery_groupfifo.testing.checker import check, summary
from celery_groupfifo.testing.history import load
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(180)


def start_demo(directory: Path, tasks: int) -> subprocess.Popen[str]:
    chosen_elsewhere = {"INSTANCES", "WORKER_CONCURRENCY", "GROUPFIFO_REDIS_URL"}
    environment = {name: value for name, value in os.environ.items() if name not in chosen_elsewhere}
    # The package under test, installed or not.
    environment["PYTHONPATH"] = str(Path(celery_groupfifo.__file__).parents[1])
    environment["DEMO_TASKS"] = str(tasks)
    # A killed demo can't remove its server's data: pytest does.
    environment["TMPDIR"] = str(directory)
    return subprocess.Popen(
        [sys.executable, "-m", "demo", "--dir", str(directory)],
        env=environment,
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read_until(demo: subprocess.Popen[str], words: str) -> str:
    assert demo.stdout
    output = ""
    for line in demo.stdout:
        output += line
        if words in line:
            return output
    pytest.fail(f"the demo ended before it said {words!r}:\n{output}")


def left_behind(directory: Path, output: str) -> list[str]:
    """Whatever of a demo still runs; empty when all has ended, for which it gets a while."""
    port = re.search(r"on 127\.0\.0\.1:(\d+)", output)
    assert port, output
    found: list[str] = []

    def gone() -> bool:
        found[:] = [*_processes(directory), *_servers(int(port[1]))]
        return not found

    with suppress(AssertionError):  # for the tests to say
        until(gone)
    return found


def _processes(directory: Path) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("DEMO_HISTORY") == str(directory / "history"):
                found.append(f"{process.pid} {process.cmdline()}")
        except psutil.Error:  # ended, a zombie, or somebody else's
            continue
    return found


def _servers(port: int) -> list[str]:
    with socket.socket() as client:
        return [f"server on port {port}"] if client.connect_ex(("127.0.0.1", port)) == 0 else []


def test_demo_gives_a_clean_verdict(tmp_path: Path) -> None:
    demo = start_demo(tmp_path, tasks=200)
    output, _ = demo.communicate(timeout=150)
    assert demo.returncode == 0, output
    [line] = [line for line in output.splitlines() if line.startswith("VERDICT")]
    assert line.startswith("VERDICT clean: 200 of 200 messages in 60 groups"), output

    # Not only its own word: the history says the same, and that something happened at all.
    events = load([tmp_path / "history"])
    figures = summary(events)
    assert check(events).broken == ()
    assert figures.repeats["retry"] > 0
    assert [worker.name.partition("@")[0] for worker in figures.workers.values() if worker.killed]
    assert left_behind(tmp_path, output) == []


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    demo = start_demo(tmp_path, tasks=5000)
    output = read_until(demo, "they are up")
    demo.send_signal(signal.SIGINT)
    rest, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, output + rest
    assert left_behind(tmp_path, output) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells children of their parent's death")
def test_a_killed_demo_takes_everything_with_it(tmp_path: Path) -> None:
    demo = start_demo(tmp_path, tasks=5000)
    output = read_until(demo, "they are up")
    demo.kill()
    demo.communicate(timeout=60)
    assert left_behind(tmp_path, output) == []
