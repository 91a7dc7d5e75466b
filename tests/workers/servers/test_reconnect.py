"""Connections that break, and a server that restarts, under load: all as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import celery
import psutil
import pytest
import redis

from celery_groupfifo.testing import embedded
from tests.support.crews.load import Load
from tests.support.crews.workers import Crew
from tests.support.waiting import until


def cut(crew: Crew, kind: str) -> int:
    """Kill connections of the worker's main process: those to the broker, those to the gate, or all."""
    ports = {each.laddr.port for each in psutil.Process(crew.worker.pid).net_connections("tcp")}
    killed = 0
    for client in crew.redis.client_list():
        of_gate = client["name"].startswith("groupfifo")
        if int(client["addr"].split(":")[-1]) in ports and kind in ("all", "gate" if of_gate else "broker"):
            killed += crew.redis.client_kill_filter(_id=client["id"])
    return killed


def unharmed(crew: Crew, load: Load, children: set[int]) -> None:
    """All has run, once and in order; no process was replaced, and nothing counts as lost with one."""
    history = load.finish()
    load.check(history)
    assert {run.lost for run in history.runs} == {0}
    assert crew.worker.alive and set(crew.worker.children()) == children
    # Celery before 5.7 takes the greenlets that run at a reconnect for all that gevent has, and fetches only as much.
    if crew.pool != "gevent" or celery.VERSION >= (5, 7):
        crew.all_slots()


# Not the broker's on eventlet: there Celery's own worker ends with "Second simultaneous read on fileno", since kombu
# closes the socket of a consumer at its prefetch limit while its loop still waits for it.
@pytest.mark.parametrize(
    ("pool", "kind"),
    [(pool, kind) for pool in ("prefork", "threads", "gevent") for kind in ("broker", "gate", "all")]
    + [("eventlet", "gate")],
)
def test_killed_connections(make_crew: Callable[..., Crew], pool: str, kind: str) -> None:
    crew = make_crew(pool).ready()
    children = set(crew.worker.children())
    load = Load(crew, groups=20, each=20).send()
    for _ in range(5):
        load.progress(50)
        until(lambda: cut(crew, kind) > 0)  # it may not be there yet after the cut before
    unharmed(crew, load, children)


def answers(crew: Crew) -> bool:
    try:
        return bool(crew.redis.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture
def durable_server(tmp_path: Path) -> Iterator[embedded.Server]:
    with embedded.start(tmp_path / "server", appendonly=True) as server:
        yield server


@pytest.mark.parametrize("how", ["restart", "kill"])
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_restarted_server(
    make_crew: Callable[..., Crew], durable_server: embedded.Server, pool: str, how: str
) -> None:
    crew = make_crew(pool, server=durable_server, results=durable_server).ready()
    children = set(crew.worker.children())
    load = Load(crew, groups=20, each=20).send()
    for _ in range(2):
        load.progress(80)
        if how == "kill":
            durable_server.kill()
        durable_server.restart()
        until(lambda: answers(crew), "it has not loaded its data")
    unharmed(crew, load, children)


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent", "eventlet", "solo"])
def test_groups_do_not_wait_for_the_result_backend(
    make_crew: Callable[..., Crew], durable_server: embedded.Server, pool: str, key: str
) -> None:
    options = {"retry_policy": {"max_retries": 0}}
    slots = 1 if pool == "solo" else 2
    crew = make_crew(pool, slots, results=durable_server, result_backend_transport_options=options).ready()
    crew.send(key, 1, "wait", name=key)
    crew.send(key, 2, expires=datetime.now(timezone.utc))
    crew.send(key, 3, "fail")
    crew.send(key, 4, "reject")
    crew.send(key, 5)
    until(lambda: crew.history.group(key))
    durable_server.kill()
    crew.tell(key)
    crew.wait_for(key, [1, 3, 4, 5])
    assert crew.worker.alive
