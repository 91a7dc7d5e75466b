"""The gate's metrics: what they count, and that they never wait for a Redis that does not answer."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.request import urlopen

import pytest
from celery import Celery
from prometheus_client import CollectorRegistry, generate_latest

from celery_groupfifo import metrics
from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.gate.keys import quote
from celery_groupfifo.gate.model import Ticket
from celery_groupfifo.gate.observations import Observations, Seen, Sent
from celery_groupfifo.metrics.command import address, run
from celery_groupfifo.testing import embedded
from celery_groupfifo.testing.children import free_port
from tests.support.crews.app import make_app
from tests.support.waiting import until

TASK = "worker.act"
#: A scrape of a Redis that hangs takes half a second; a call of the gate that waits for it takes ten.
PATIENCE = 4.0


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    app = make_app(broker_url=redis_url, task_ignore_result=True)
    yield app
    app.close()


def values(app: Celery, **options: Any) -> dict[str, float]:
    registry = CollectorRegistry()
    metrics.register(app, registry, **options)
    return parsed(generate_latest(registry).decode())


def parsed(text: str) -> dict[str, float]:
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def begin(app: Celery) -> Ticket:
    """Take the next ticket of the queue, as a worker would."""
    gate = gate_of(app)
    raw = gate.store.client.rpop("celery")
    ticket = Ticket.parse(raw.split(b'"', 6)[5].decode())
    assert ticket is not None
    begun = gate.begin(ticket._replace(lane="0"), quote("me"))
    assert begun is not None
    return begun


def test_an_idle_gate(app: Celery) -> None:
    found = values(app)

    assert found.pop("groupfifo_up") == 1
    assert set(found.values()) == {0}


def test_what_was_observed(app: Celery) -> None:
    gate = gate_of(app)
    told = Observations(gate.store, gate.keyspace)
    for id in "ab":  # at the same time
        told.start(Seen(Sent(told.draw(quote("k"), id), 1, quote("k")), id, id), TASK, False, 0)
    app.conf.groupfifo_mode = "observe"
    found = values(app)
    assert found['groupfifo_observed_runs_total{kind="all"}'] == 2
    assert found['groupfifo_observed_runs_total{kind="overlaps"}'] == 1


def test_groups_by_state(app: Celery) -> None:
    task = app.tasks[TASK]
    for key in ("a", "b", "c"):
        for number in range(2):
            task.delay(key, number)
    task.apply_async(("later", 1), countdown=60)
    begin(app)
    found = values(app)

    assert found['groupfifo_groups{state="running"}'] == 1
    assert found['groupfifo_groups{state="waiting"}'] == 2
    assert found['groupfifo_groups{state="held"}'] == 1
    assert found['groupfifo_tasks{state="running"}'] == 1
    assert found['groupfifo_tasks{state="waiting"}'] == 2
    assert found['groupfifo_tasks{state="held"}'] == 0
    assert found['groupfifo_tasks{state="parked"}'] == 4, "in line, or with an ETA"
    assert found["groupfifo_scheduled_tasks"] == 1
    assert found["groupfifo_tasks_parked_total"] == 7


def test_the_oldest_task_waits_in_line(app: Celery) -> None:
    app.tasks[TASK].delay("a", 1)
    app.tasks[TASK].delay("a", 2)
    begin(app)
    time.sleep(0.2)

    assert 0.2 <= values(app)["groupfifo_oldest_task_age_seconds"] < 60


def test_the_oldest_task_waits_for_a_slot(app: Celery) -> None:
    """Nobody consumes: no line, yet a task that waits."""
    app.tasks[TASK].delay("a", 1)
    time.sleep(0.2)

    assert 0.2 <= values(app)["groupfifo_oldest_task_age_seconds"] < 60


def test_the_oldest_task_is_found_among_many_groups(app: Celery) -> None:
    """One snapshot looks at a part of them; after some all have been seen."""
    gate = gate_of(app)
    keys, now = gate.keyspace.partitions[0], int(time.time() * 1e6)
    pipe = gate.store.client.pipeline(transaction=False)
    for number in range(5000):
        pipe.hset(keys.groups, f"g{number}", "- 0 0").rpush(keys.line(quote(f"g{number}")), f"{now} id")
    pipe.lset(keys.line(quote("g4321")), 0, f"{now - 3_600_000_000} id").execute()
    snapshots = metrics.Snapshots(app, max_age=0)

    ages = [snapshot.oldest_age for _ in range(14) if (snapshot := snapshots.get()[1])]
    assert len(ages) == 14
    assert ages[-1] >= 3600


def test_totals_come_from_the_gate(app: Celery) -> None:
    keys = gate_of(app).keyspace.partitions[0]
    app.tasks[TASK].delay("a", 1)
    gate_of(app).store.client.hset(keys.stats, mapping={"tickets_lost": 3, "tasks_reclaimed": 5, "unknown": 7})
    found = values(app)

    assert (found["groupfifo_tickets_lost_total"], found["groupfifo_tasks_reclaimed_total"]) == (3, 5)


def test_a_stalled_redis_costs_less_than_a_timeout_of_the_gate(tmp_path: Path) -> None:
    with embedded.start(appendonly=False) as server:
        app = make_app(broker_url=f"{server.url}/0", task_ignore_result=True)
        app.tasks[TASK].delay("a", 1)
        registry = CollectorRegistry()
        metrics.register(app, registry, max_age=0)
        before = parsed(generate_latest(registry).decode())
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
        try:
            for _ in range(2):
                started = time.monotonic()
                during = parsed(generate_latest(registry).decode())
                assert time.monotonic() - started < PATIENCE
                assert (before.pop("groupfifo_up", 1), during.pop("groupfifo_up")) == (1, 0)
                assert during.keys() == before.keys()
                assert during["groupfifo_tasks_parked_total"] == 1
        finally:
            os.kill(server.pid, signal.SIGCONT)
        until(lambda: parsed(generate_latest(registry).decode())["groupfifo_up"] == 1)
        app.close()


def test_a_redis_that_never_answered_has_no_figures() -> None:
    """A counter that starts at 0 would count as a restart."""
    with socket.socket() as listening:  # accepts, and says nothing
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        app = make_app(broker_url=f"redis://127.0.0.1:{listening.getsockname()[1]}/0")
        started = time.monotonic()
        found = values(app)
        assert time.monotonic() - started < PATIENCE
        assert found == {"groupfifo_up": 0}


def test_a_snapshot_serves_for_a_while(app: Celery) -> None:
    registry = CollectorRegistry()
    metrics.register(app, registry, max_age=60)
    generate_latest(registry)
    app.tasks[TASK].delay("a", 1)

    assert parsed(generate_latest(registry).decode())['groupfifo_tasks{state="waiting"}'] == 0


def test_metrics_are_served(app: Celery) -> None:
    port = free_port()
    done = Event()
    thread = Thread(target=metrics.serve, args=(app, "127.0.0.1", port, done))
    thread.start()
    try:
        until(lambda: _get(port) is not None)
        assert parsed(_get(port) or "")["groupfifo_up"] == 1
    finally:
        done.set()
        thread.join(60)


def _get(port: int) -> str | None:
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            return str(answer.read().decode())
    except OSError:
        return None


def test_the_command_prints(
    redis_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    from demo import config
    from demo.app import app as demo

    monkeypatch.setattr(config, "broker_url", redis_url)
    demo.conf.broker_url = redis_url
    assert metrics.main(["-A", "demo.app"]) == 0
    assert "groupfifo_up 1.0" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["-A", "no.such.app"], ["-A", "demo.app", "--listen", "x:y"], []])
def test_wrong_words_are_told(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        metrics.main(words)
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_an_address() -> None:
    assert address("0.0.0.0:9808") == ("0.0.0.0", 9808)
    assert address(":9808") == address("9808") == ("127.0.0.1", 9808)
    assert address("[::1]:9808") == ("::1", 9808)
    with pytest.raises(ValueError, match=r"^'x' is no port$"):
        address("host:x")


def test_an_app_that_cannot_be_loaded_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        metrics.main(["-A", "no.such.app"])
    assert ended.value.code == 2
    assert "The app 'no.such.app' can't be loaded" in capsys.readouterr().err


def test_an_address_in_use_is_a_sentence(app: Celery, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert run(app, ("127.0.0.1", port)) == 1
    assert f"Can't listen at 127.0.0.1:{port}" in capsys.readouterr().err
