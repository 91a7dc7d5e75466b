"""Real tasks, a real worker, a real Flower: what its Tasks page says of parked tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from celery_groupfifo import Groups
from celery_groupfifo.testing import embedded
from tests.programs.flower.process import FlowerProcess
from tests.support.crews.workers import Crew
from tests.support.databases import Database
from tests.support.waiting import until

#: `celery`, in a process where we are not installed.
WITHOUT_US = """
import sys, types
from celery import Celery
from celery.__main__ import main
sys.modules["celery_groupfifo"] = None
module = sys.modules["tests.support.crews.app"] = types.ModuleType("tests.support.crews.app")
module.app = Celery("other", broker=sys.argv.pop(1))
main()
"""
Start = Callable[..., FlowerProcess]


@pytest.fixture
def crew(redis_server: embedded.Server, redis_url: str, tmp_path: Path) -> Iterator[Crew]:
    """It sends `task-sent`, and its worker task events. No worker is started yet."""
    more: dict[str, Any] = {"task_send_sent_event": True, "worker_send_task_events": True}
    crew = Crew(tmp_path, redis_url, Database.RESULTS.of(redis_server.url), slots=2, **more)
    yield crew
    crew.close()


@pytest.fixture
def start(crew: Crew, tmp_path: Path) -> Iterator[Start]:
    """Starts Flower, which then hears events."""
    started = []

    def go(*options: str, **more: Any) -> FlowerProcess:
        listening = crew.redis.pubsub_numpat()
        started.append(FlowerProcess(tmp_path, crew.conf, *options, **more))
        started[-1].ready()
        until(lambda: crew.redis.pubsub_numpat() > listening, lambda: started[-1].log)
        return started[-1]

    yield go
    for flower in started:
        flower.close()


def working(crew: Crew, flower: FlowerProcess) -> None:
    """Start the worker; Flower has heard of it then."""
    crew.worker.start().ready()
    crew.keep([crew.task("add").delay(1, 2)])
    until(lambda: flower.workers() == ["one@test"], lambda: str(flower.workers()))


def becomes(flower: FlowerProcess, task_id: str, state: str) -> dict[str, Any]:
    until(lambda: flower.task(task_id).get("state") == state, lambda: f"{flower.task(task_id)} is not {state}")
    return flower.task(task_id)


def sent(flower: FlowerProcess) -> float:
    """Return the number of `task-sent` events of ordered tasks that came in."""
    lines = flower.get("/metrics").splitlines()
    ours = [line for line in lines if line.startswith("flower_events_total") and 'task="worker.act"' in line]
    return sum(float(line.rsplit(" ", 1)[1]) for line in ours if 'type="task-sent"' in line)


def test_parked_tasks_on_the_tasks_page(crew: Crew, start: Start) -> None:
    flower = start()
    working(crew, flower)

    first = crew.send("<b>é</b>", 1, "wait", name="go")
    second = crew.send("<b>é</b>", 2)
    third = crew.send("<b>é</b>", 3)
    dropped = crew.send("<b>é</b>", 4)
    purged = crew.send("other", 1, "wait", name="go"), crew.send("other", 2), crew.send("other", 3)

    assert becomes(flower, first.id, "STARTED")["group_key"] == "<b>é</b>"
    pending = becomes(flower, second.id, "PENDING")
    assert pending["group_key"] == "<b>é</b>"
    assert pending["worker"] is None
    assert pending["sent"] is not None
    assert flower.json("/api/tasks?state=PENDING").keys() >= {second.id, third.id}
    until(lambda: flower.task(purged[2].id) != {})

    crew.app.control.revoke([third.id, dropped.id])
    assert Groups(crew.app).purge("other") == 2
    for gone in (third, dropped, *purged[1:]):
        assert becomes(flower, gone.id, "REVOKED")["revoked"] is not None
        assert gone.state == "REVOKED"

    crew.tell("go")
    done = becomes(flower, second.id, "SUCCESS")
    assert (done["group_key"], done["sent"], done["worker"]) == ("<b>é</b>", pending["sent"], "one@test")
    assert becomes(flower, first.id, "SUCCESS")["group_key"] == "<b>é</b>"
    assert flower.workers() == ["one@test"], "a client is no worker"
    assert sent(flower) == 7, "neither a release nor a hand-off sends a task"
    assert 'data-column="group_key">Group<' in flower.get("/tasks")
    assert "&lt;b&gt;é&lt;/b&gt;" in flower.get(f"/task/{second.id}")
    assert "groupfifo_up 1.0" in flower.get("/metrics")


def test_a_skipped_head_and_a_held_retry(crew: Crew, start: Start) -> None:
    flower = start()
    working(crew, flower)

    held = crew.send("k", 1, "retry", delay=60)
    becomes(flower, held.id, "RETRY")
    behind = crew.send("k", 2)
    becomes(flower, behind.id, "PENDING")
    until(lambda: Groups(crew.app).get("k").state == "held")  # the event goes out before the run's end is stored
    Groups(crew.app).skip("k", held.id)

    becomes(flower, held.id, "REVOKED")
    becomes(flower, behind.id, "SUCCESS")
    assert flower.workers() == ["one@test"]
    assert sent(flower) == 2, "a retry is not sent a second time"


def test_the_group_comes_from_the_worker_when_nobody_sends_task_sent(crew: Crew, start: Start) -> None:
    crew.app.conf.task_send_sent_event = False
    flower = start()
    working(crew, flower)
    result = crew.send("k", 1)

    done = becomes(flower, result.id, "SUCCESS")
    assert done["sent"] is None
    until(lambda: flower.task(result.id)["group_key"] == "k")


def test_a_saved_state_is_read_with_us_and_without(crew: Crew, start: Start) -> None:
    flower = start("--persistent=True", "--db=state")
    result = crew.send("k", 1)
    becomes(flower, result.id, "PENDING")
    flower.stop()

    other = start("--persistent=True", "--db=state", program=("-c", WITHOUT_US, crew.conf["broker_url"]))
    assert becomes(other, result.id, "PENDING").get("group_key") is None
    assert "groupfifo_up" not in other.get("/metrics")
    crew.worker.start().ready()
    becomes(other, result.id, "SUCCESS")
    other.stop()
    assert "Failed to load state" not in other.log

    again = start("--persistent=True", "--db=state")
    assert becomes(again, result.id, "SUCCESS")["worker"] == "one@test"
    assert "Failed to load state" not in again.log
