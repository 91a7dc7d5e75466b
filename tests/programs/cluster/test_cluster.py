"""A cluster on this machine, for real: scaled and reloaded under traffic, nothing is lost or repeated."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import redis

from celery_groupfifo.cluster.command import count
from celery_groupfifo.cluster.processes import _from_proc, _from_ps, table
from celery_groupfifo.testing.checker import check
from celery_groupfifo.testing.history import load
from tests.programs.cluster.conftest import Site
from tests.support.waiting import until

SLOW_APP = """\
import os, time
from celery import Celery
from celery_groupfifo import GroupFifoTask

app = Celery("slow", broker=os.environ["REDIS_URL"])
app.conf.task_ignore_result = True

@app.task(base=GroupFifoTask, group_key="{key}", name="slow.work")
def work(key, seconds):
    open("began", "a").write(key)
    time.sleep(seconds)
"""


@pytest.mark.timeout(300)  # it starts seven processes, one after the other
def test_scale_and_reload_under_traffic(site: Site) -> None:
    site.run("start", "--instances", "2", "--concurrency", "2")
    words = ["-m", "demo.producer", "--messages", "100000", "--rate", "60"]
    producer = subprocess.Popen([sys.executable, *words], cwd=site.directory, env=site.environment)
    try:
        until(lambda: site.history.exists() and check(load([site.history]), drained=False))
        assert "messages-worker-3 is up" in site.run("scale", "--instances", "3")
        before = site.started(1, 2, 3)
        said = site.run("reload")
        after = site.started(1, 2, 3)
        assert said.count("is up") == said.count("has ended") == 4
        assert not set(after) & set(before)
        assert "3 of 3 up" in site.run("status")
        assert "SIGTERM to messages-worker-3" in site.run("scale", INSTANCES="2")
    finally:
        producer.send_signal(signal.SIGTERM)
        producer.wait(60)

    until(lambda: not check(load([site.history])).lost, lambda: check(load([site.history])).lost)
    said = site.run("stop")
    assert "SIGQUIT" not in said
    events = load([site.history])
    assert check(events).broken == ()
    assert sum(event["ev"] == "sent" for event in events) > 200
    workers = {event["worker"].split("@")[0] for event in events if event["ev"] == "start"}
    assert workers == {f"messages-worker-{number}" for number in (1, 2, 3, 4)}
    assert "Nothing is running" in site.run("status")


def test_what_does_not_end_goes_back_to_its_group(site: Site, redis_url: str) -> None:
    (site.directory / "slow.py").write_text(SLOW_APP)
    send = "import slow; slow.work.delay('key', 600); slow.work.delay('key', 0)"
    stop = "from celery_groupfifo.cluster import command, manager; manager.STOP_SECONDS = 12"
    site.run("start", "-A", "slow", "-i", "1", "-c", "1")
    subprocess.run([sys.executable, "-c", send], cwd=site.directory, env=site.environment, check=True)
    until(lambda: (site.directory / "began").exists())

    done = subprocess.run(
        [sys.executable, "-c", f"{stop}; exit(command.main(['stop']))"],
        cwd=site.directory,
        env=site.environment,
        capture_output=True,
    )
    assert done.returncode == 0, done
    assert b"SIGQUIT to messages-worker-1" in done.stdout
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen("celery") == 1, "its ticket waits for the next worker"
        assert client.hlen("{groupfifo:0}:entries") == 2
    assert (site.directory / "began").read_text() == "key"


def test_a_dead_instance_is_seen_and_started_again(site: Site) -> None:
    site.run("start", "-i", "2", "-c", "1")
    assert "scale, reload or stop" in site.run("start", code=1)
    site.instance(2).kill()
    until(lambda: site.instance(2).process() is None)

    said = site.run("status", code=1)
    assert "died: see its log" in said
    assert "1 of 2 up" in said
    assert "messages-worker-2 is up" in site.run("scale", "-i", "2")
    assert "2 of 2 up, 0 tasks on 2 slots" in site.run("status"), "the slots of the start are remembered"
    site.run("stop")


def test_an_app_that_does_not_start(site: Site) -> None:
    (site.directory / "slow.py").write_text(SLOW_APP)
    said = site.run("start", "-A", "slow", "-i", "1", code=1, WORKER_OPTIONS="--no-such-option")
    assert "messages-worker-1 did not start" in said
    assert "no-such-option" in said
    assert "can't be loaded" in site.run("start", "-A", "no.such.app", code=1)
    assert "how many instances" in site.run("scale", code=2)
    assert "start it" in site.run("reload", code=1)


def test_new_code_that_does_not_start_leaves_the_old_running(site: Site) -> None:
    (site.directory / "slow.py").write_text(SLOW_APP)
    site.run("start", "-A", "slow", "-i", "2", "-c", "1")
    before = site.started(1, 2)

    assert "messages-worker-3 did not start" in site.run("reload", code=1, WORKER_OPTIONS="--no-such-option")
    (site.directory / "slow.py").write_text("app = half_written(")
    assert "can't be loaded" in site.run("reload", code=1)
    (site.directory / "slow.py").write_text(SLOW_APP)
    assert site.started(1, 2) == before
    assert "2 of 2 up" in site.run("status")
    assert "messages-worker-3 is up" in site.run("scale", "-i", "3"), "the options that failed are forgotten"
    site.run("stop")


def test_a_broker_that_is_away(site: Site) -> None:
    (site.directory / "away.py").write_text(
        "import os\nfrom celery import Celery\napp = Celery(broker='redis://localhost:1')\n"
    )
    said = site.run("start", "-A", "away", "-i", "1", code=1)
    assert "localhost:1" in said
    assert "can't be reached" in said and "REDIS_URL of the demo's app" in said
    (site.directory / "named.py").write_text("from away import Celery, os\napp = Celery(broker=os.environ['OURS'])\n")
    said = site.run("start", "-A", "named", "-i", "1", code=1, OURS="redis://:geheim@localhost:1/0")
    assert "set OURS, which names it" in said and "geheim" not in said
    assert said.count("\n") == 1, "one sentence"
    assert "Nothing is running" in site.run("status", "-A", "away")


def test_a_pid_of_somebody_else_is_left_alone(site: Site) -> None:
    """Timeline: a machine restarts, and the pid of the file is given to another process."""
    site.cluster.mkdir()
    site.instance(1).pid_file.write_text(f"{os.getpid()}\nanother start\n")
    assert site.instance(1).process() is None
    assert "died" in site.run("status", code=1)
    site.run("stop")
    assert not site.instance(1).pid_file.exists()


def test_a_worker_that_still_starts_can_be_stopped(site: Site) -> None:
    site.cluster.mkdir()
    instance = site.instance(1)
    instance.start("demo.app", [], {"REDIS_URL": site.environment["REDIS_URL"]})
    assert "SIGQUIT" not in site.run("stop"), "it ends before the time of a warm stop is over"
    assert instance.process() is None


def test_both_ways_to_list_processes_agree() -> None:
    ours = {process.pid: process for process in _from_ps()}[os.getpid()]
    again = {process.pid: process for process in _from_proc()}[os.getpid()]
    assert (ours.pid, ours.group) == (again.pid, again.group)
    assert ours.started == {process.pid: process for process in _from_ps()}[os.getpid()].started
    assert abs(ours.kilobytes - again.kilobytes) < 20_000
    assert os.getppid() in table()


def test_how_many() -> None:
    assert count("3") == 3
    assert count("max") >= 1
    for word in ("0", "-1", "many"):
        with pytest.raises(ValueError):
            count(word)
