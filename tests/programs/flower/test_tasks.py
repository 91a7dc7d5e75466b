"""Our events in Flower's state, and who sends them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from celery.events.state import State, Task
from flower.utils.search import TaskSearchEngine

from celery_groupfifo import Groups, park_many
from celery_groupfifo.flower import tasks
from celery_groupfifo.sending import revoke
from tests.support.crews.app import make_app
from tests.support.waiting import until

Events = list[dict[str, Any]]


# -- what Flower makes of them -----------------------------------------------


@pytest.fixture
def state() -> State:
    """With one task that was sent."""
    state = State()
    state.search_engine = TaskSearchEngine()
    hear(state, "task-sent", uuid="1", name="send", group_key="k", clock=1)
    return state


def hear(state: State, kind: str, **fields: Any) -> None:
    event = {"type": kind, "hostname": "host", "timestamp": time.time(), "local_received": time.time(), **fields}
    state.event(event)
    if kind.startswith("groupfifo-"):
        tasks.take(state, event)


def test_a_revoked_task(state: State) -> None:
    hear(state, "groupfifo-revoked", uuids=["1", "unknown"])

    assert state.tasks["1"].state == "REVOKED"
    assert state.tasks["1"].revoked is not None
    assert state.search_engine.matching_ids("state:REVOKED") == {"1"}
    assert list(state.tasks) == ["1"], "a task that Flower does not know is left alone"
    assert not state.workers, "a client is no worker"


def test_a_task_that_ended_stays_as_it_is(state: State) -> None:
    hear(state, "task-succeeded", uuid="1", clock=2)
    hear(state, "groupfifo-revoked", uuids=["1"])

    assert (state.tasks["1"].state, state.tasks["1"].revoked) == ("SUCCESS", None)


@pytest.mark.parametrize("kind", ["groupfifo-begun", "groupfifo-finished"])
def test_the_group_of_a_run(state: State, kind: str) -> None:
    hear(state, kind, uuid="1", key="moved")
    hear(state, kind, uuid="unknown", key="k")
    hear(state, "groupfifo-tickets-lost", count=3)

    assert state.tasks["1"].group_key == "moved"
    assert list(state.tasks) == ["1"]


def test_the_column_and_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(Task):
        pass

    columns = {"name": "Name"}
    assert tasks.extend(Other, columns, "name,uuid,state") == "name,uuid,group_key,state"
    assert tasks.extend(Other, columns, "name,uuid,group_key,state") == "name,uuid,group_key,state"
    assert tasks.extend(Other, columns, "name") == "name,group_key"
    assert columns == {"name": "Name", "group_key": "Group"}
    assert Other(uuid="1").as_dict()["group_key"] is None
    assert Other._fields.count("group_key") == 1


# -- who sends them ------------------------------------------------------------


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    app = make_app(broker_url=redis_url, result_backend=redis_url, task_send_sent_event=True)
    yield app
    app.close()


@pytest.fixture
def heard(app: Celery) -> Iterator[Callable[[], Events]]:
    """Gives all events that were sent until now; the last one is the test's own."""
    events: Events = []
    done = threading.Event()

    def listen() -> None:
        with app.connection_for_read() as connection:
            receiver = app.events.Receiver(connection, {"*": events.append})
            for _ in receiver.itercapture(limit=None, timeout=None, wakeup=False):
                if done.is_set():
                    return

    def send(kind: str) -> None:
        with app.events.default_dispatcher() as dispatcher:
            dispatcher.send(kind)

    thread = threading.Thread(target=listen)
    thread.start()

    def told() -> bool:
        send("test-begin")
        return bool(events)

    until(told)

    def until_now() -> Events:
        send("test-now")
        until(lambda: events[-1]["type"] == "test-now")
        return [event for event in events if not event["type"].startswith("test-")]

    yield until_now
    done.set()
    send("test-end")
    thread.join(60)


def test_a_park_sends_one_event_that_names_the_group(app: Celery, heard: Callable[[], Events]) -> None:
    act = app.tasks["worker.act"]
    one = act.apply_async(("k", 1), task_id="one")
    act.apply_async(("k", 1), task_id="one")  # is there already
    many = park_many([act.s("m", number) for number in range(3)])
    plain = app.tasks["worker.add"].delay(1, 2)

    expected = [(one.id, "k"), *((result.id, "m") for result in many), (plain.id, None)]
    assert [(event["uuid"], event.get("group_key")) for event in heard()] == expected
    assert {event["type"] for event in heard()} == {"task-sent"}


def test_nothing_is_sent_by_default(app: Celery, heard: Callable[[], Events]) -> None:
    app.conf.task_send_sent_event = False
    app.tasks["worker.act"].delay("k", 1)
    park_many([app.tasks["worker.act"].s("k", 2)])

    assert heard() == []


def test_one_event_for_each_operation(app: Celery, heard: Callable[[], Events]) -> None:
    app.conf.task_send_sent_event = False
    act, groups = app.tasks["worker.act"], Groups(app)
    ids = [act.delay("k", number).id for number in range(8)]
    later = act.apply_async(("k", 9), countdown=60).id
    groups.skip("k", ids[0])
    groups.drop("k", ids[1])
    groups.revoke(ids[2])
    app.control.revoke([ids[3], ids[4], "unknown"])
    groups.purge("k")
    groups.purge("k")  # nothing is left

    events = [event for event in heard() if event["type"] == "groupfifo-revoked"]
    expected = [[ids[0]], [ids[1]], [ids[2]], ids[3:5], [*ids[5:], later]]
    assert [sorted(event["uuids"]) for event in events] == [sorted(each) for each in expected]
    assert len({event["hostname"] for event in events}) == 1


def test_a_broker_that_takes_no_event_stops_nobody(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    result = app.tasks["worker.act"].delay("k", 1)

    def broken(*_: Any, **__: Any) -> None:
        raise ConnectionError("as told")

    monkeypatch.setattr(app.events, "Dispatcher", broken)
    assert revoke.revoke_parked(app, result.id)
    assert result.state == "REVOKED"
