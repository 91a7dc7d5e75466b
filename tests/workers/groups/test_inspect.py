"""`celery inspect groupfifo…`: what a worker says of its runs, on pools of each kind, and while Redis is away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from celery_groupfifo import Groups
from celery_groupfifo.testing import embedded
from tests.support.crews.app import CONF
from tests.support.crews.workers import Crew
from tests.support.waiting import until

VERBS = ("groupfifo", "groupfifo_leases", "groupfifo_chains", "groupfifo_refused")
NODE = "one@test"
#: So long that only what is told to sweep sweeps.
CALM = {"groupfifo_lease_ttl": 240, "groupfifo_sweep_interval": 60}

MakeCrew = Callable[..., Crew]


@pytest.fixture
def make_crew(tmp_path: Path) -> Iterator[MakeCrew]:
    crews: list[Crew] = []

    def make(server: embedded.Server, pool: str, **conf: Any) -> Crew:
        crew = Crew(tmp_path, f"{server.url}/11", f"{server.url}/12", pool, 1 if pool == "solo" else 2, **conf)
        crew.redis.flushdb()
        crews.append(crew)
        crew.worker.start().ready()
        return crew

    yield make
    for crew in crews:
        crew.close()


def ask(crew: Crew, verb: str) -> Any:
    for _ in range(20):  # what is asked before the worker listens is lost
        answers = crew.app.control.inspect(destination=[NODE], timeout=3, limit=1)._request(verb)
        if answers:
            return answers[NODE]
    raise AssertionError(crew.worker.log[-2000:])


def only(items: list[dict[str, Any]]) -> dict[str, Any]:
    assert len(items) == 1, items
    return items[0]


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_a_lease_and_its_chain(redis_server: embedded.Server, make_crew: MakeCrew, pool: str) -> None:
    crew = make_crew(redis_server, pool)
    assert [ask(crew, verb) for verb in VERBS[1:]] == [[], [], {"calls": []}]
    crew.send("k", 0)
    crew.send("k", 1)
    result = crew.send("k", 2, "wait", name="go")
    until(lambda: crew.history.numbers("k") == [0, 1, 2])
    run = crew.history.group("k")[-1]
    lease = only(ask(crew, "groupfifo_leases"))
    assert (lease["key"], lease["task"], lease["task_id"]) == ("k", "worker.act", result.id)
    assert (lease["fence"], lease["pid"], lease["attempt"], lease["lost"]) == (run.fence, run.pid, 1, 0)
    assert lease["state"] == "running" and 0 < lease["lease_left"] <= 30 and "T" in lease["since"]
    chain = only(ask(crew, "groupfifo_chains"))
    assert (chain["task_id"], chain["key"]) == (result.id, "k") and 1 <= chain["runs"] <= 3
    every = ask(crew, "groupfifo")
    assert every["leases"][0]["fence"] == run.fence and every["chains"][0]["delivery"] == chain["delivery"]
    assert every["namespace"] == "groupfifo" and every["gate"] == f"{redis_server.url}/11" and not every["stopping"]
    crew.tell("go")
    crew.wait_for("k", [0, 1, 2])
    until(lambda: ask(crew, "groupfifo_leases") == [])


def test_a_run_that_waits_for_a_slot(redis_server: embedded.Server, make_crew: MakeCrew) -> None:
    """On the solo pool nobody answers while a task runs; what the rate limit keeps back has a lease all the same."""
    crew = make_crew(redis_server, "solo")
    assert ask(crew, "groupfifo_leases") == []
    crew.app.control.rate_limit("worker.limited", "1/h", reply=True)
    for number in range(2):
        crew.send(f"k{number}", number, task="limited")
    until(lambda: len(ask(crew, "groupfifo_leases")) == 1 and len(crew.history.runs) == 1)
    lease = only(ask(crew, "groupfifo_leases"))
    assert (lease["key"], lease["state"], lease["pid"]) == ("k1", "waiting for a slot", None)


def test_a_second_attempt_and_a_long_chain(redis_server: embedded.Server, make_crew: MakeCrew) -> None:
    crew = make_crew(redis_server, "threads")
    for number in range(20):
        crew.send("k", number)
    crew.send("k", 20, "wait", name="go")
    until(lambda: len(crew.history.numbers("k")) == 21)
    assert only(ask(crew, "groupfifo_chains"))["runs"] > 5
    crew.tell("go")
    crew.send("r", 0, "retry", delay=0.1)
    crew.send("s", 0, "wait", name="on")
    until(lambda: len(crew.history.numbers("r")) == 2 and crew.history.numbers("s") == [0])
    crew.tell("on")


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_what_redis_could_not_take(make_crew: MakeCrew, pool: str, redis_server: embedded.Server) -> None:
    """The broker answers, the gate does not: the end of a run is kept, and told by the verb and by doctor."""
    with embedded.start(appendonly=False) as gate:
        crew = make_crew(redis_server, pool, groupfifo_url=f"{gate.url}/0")
        crew.send("k", 0, "wait", name="go")
        until(lambda: crew.history.numbers("k") == [0])
        import redis

        with redis.Redis.from_url(gate.url) as admin:
            # What it may read it may read; a renewal and an end it can't write.
            admin.config_set("min-replicas-to-write", 1)
            crew.tell("go")
            until(lambda: ask(crew, "groupfifo_refused")["calls"])
            refused = only(ask(crew, "groupfifo_refused")["calls"])
            assert (refused["key"], refused["task"], refused["attempt"]) == ("k", "worker.act", 1)
            assert refused["call"] == "finish" and "NOREPLICAS" in refused["why"]
            assert only(ask(crew, "groupfifo_leases"))["state"] == "ending"
            checks = {check.name: check for check in Groups(crew.app).doctor()}
            assert not checks["refused"].ok and f"1 on {NODE}" in checks["refused"].what
            admin.config_set("min-replicas-to-write", 0)
        until(lambda: ask(crew, "groupfifo_refused")["calls"] == [])
        until(lambda: ask(crew, "groupfifo_leases") == [])
        crew.worker.kill()


def test_sweep_now(redis_server: embedded.Server, make_crew: MakeCrew) -> None:
    crew = make_crew(redis_server, "threads", **CALM)
    pulse = "{groupfifo:0}:pulse"
    until(lambda: crew.redis.exists(pulse))
    before = crew.redis.get(pulse)
    answer = crew.app.control.broadcast("groupfifo_sweep", reply=True, destination=[NODE], timeout=60, limit=1)
    assert answer == [{NODE: {"ok": "sweeping"}}]
    until(lambda: crew.redis.get(pulse) != before)


def test_a_worker_without_ordered_tasks_says_so() -> None:
    from celery.worker.control import Panel

    import celery_groupfifo.worker.inspect  # noqa: F401 - it adds the verbs

    class Consumer:
        pass

    class State:
        consumer = Consumer()

    for verb in (*VERBS, "groupfifo_sweep"):
        assert "uses no groups" in Panel.data[verb](State())["error"]


def celery(crew: Crew, *words: str) -> str:
    environment = {**os.environ, CONF: json.dumps(crew.conf), "PYTHONPATH": os.getcwd()}
    command = [sys.executable, "-m", "celery", "-A", "tests.support.crews.app", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_on_the_command_line(redis_server: embedded.Server, make_crew: MakeCrew) -> None:
    crew = make_crew(redis_server, "threads")
    listed = celery(crew, "inspect", "--list")
    assert all(f" {verb} " in listed for verb in VERBS)
    assert "Show the leases that the worker holds" in " ".join(listed.split())
    assert "groupfifo_sweep" in celery(crew, "control", "--list")
    crew.send("k", 0, "wait", name="go")
    until(lambda: crew.history.numbers("k") == [0])
    answer = json.loads(celery(crew, "inspect", "groupfifo_leases", "--json", "-t", "5", "-d", NODE))
    assert only(answer[NODE])["key"] == "k"
    assert "sweeping" in celery(crew, "control", "groupfifo_sweep", "-t", "5", "-d", NODE)
    crew.tell("go")
