"""Every way to send a task goes through the gate, and does what it does in Celery."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from celery import signals
from celery.result import AsyncResult, EagerResult

from celery_groupfifo import MissingGroupKey, park_many
from tests.support.crews.app import DIRECTORY, make_app
from tests.support.crews.workers import Crew, on
from tests.support.places import REPOSITORY
from tests.support.waiting import until

Send = Callable[[Crew, str, int], AsyncResult]

WAYS: dict[str, Send] = {
    "delay": lambda crew, key, number: crew.task("act").delay(key, number),
    "apply_async": lambda crew, key, number: crew.task("act").apply_async(kwargs={"key": key, "number": number}),
    "signature": lambda crew, key, number: crew.task("act").s(key, number).apply_async(),
    "partial": lambda crew, key, number: crew.task("act").s(number=number).delay(key),
    "by name": lambda crew, key, number: crew.app.send_task("worker.act", (key, number)),
    "signature by name": lambda crew, key, number: crew.app.signature("worker.act", (key, number)).delay(),
    "with a key": lambda crew, key, number: crew.task("act").apply_async(("other", number), group_key=key),
    "signature with a key": lambda crew, key, number: crew.task("act").s("other", number).set(group_key=key).delay(),
    "plain with a key": lambda crew, key, number: crew.task("plain").apply_async((number,), group_key=key),
    "plain by name": lambda crew, key, number: crew.app.send_task("worker.plain", (number,), group_key=key),
}


@pytest.fixture
def crew(crew: Crew) -> Iterator[Crew]:
    """Whatever runs in a test has a ticket: nothing goes to the broker by another way."""
    before = len(crew.history.runs)
    yield crew
    ungated = [run for run in crew.history.runs[before:] if not run.fence]
    assert not ungated, ungated


def sent(crew: Crew, key: str, send: Send, numbers: tuple[int, ...] = (1, 2, 3)) -> list[AsyncResult]:
    """Send these, and wait until they have run in this order."""
    results = [send(crew, key, number) for number in numbers]
    crew.keep(results)
    crew.wait_for(key, list(numbers))
    for result, number in zip(results, numbers, strict=True):
        crew.state(result, "SUCCESS")
        assert result.result == number
    return results


@on("prefork")
@pytest.mark.parametrize("way", list(WAYS))
def test_one_by_one(crew: Crew, key: str, way: str) -> None:
    sent(crew, key, WAYS[way])


@on("prefork")
def test_all_ways_share_one_line(crew: Crew, key: str) -> None:
    crew.send(key, 0, "wait", name="line")
    for number, way in enumerate(WAYS.values(), 1):
        crew.keep([way(crew, key, number)])
    crew.tell("line")
    crew.wait_for(key, list(range(len(WAYS) + 1)))


@on("prefork")
def test_a_client_that_knows_no_task(crew: Crew, key: str) -> None:
    command = [sys.executable, "-m", "tests.support.crews.client", crew.conf["broker_url"], key]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    crew.wait_for(key, [1, 2, 3])
    assert [run.id for run in crew.history.group(key)] == done.stdout.split()


@on("prefork")
def test_many_at_once(crew: Crew, key: str) -> None:
    numbers = list(range(25))
    results = park_many((crew.task("act").si(key, number) for number in numbers), chunk=10)
    crew.keep(results)
    crew.wait_for(key, numbers)
    assert [run.id for run in crew.history.group(key)] == [result.id for result in results]


@on("prefork")
def test_a_countdown_joins_late_and_blocks_nobody(crew: Crew, key: str) -> None:
    late = crew.send(key, 1, countdown=3)  # the others are sent long before
    crew.send(key, 2)
    crew.send(key, 3)
    crew.wait_for(key, [2, 3, 1])
    crew.state(late, "SUCCESS")


@on("prefork")
def test_etas_join_in_the_order_of_their_times(crew: Crew, key: str) -> None:
    now = datetime.now(timezone.utc)
    for number, seconds in ((1, 3.2), (2, 3.1), (3, 3), (4, -5)):  # all are sent long before
        eta = now + timedelta(seconds=seconds)
        crew.keep([crew.task("act").apply_async((key, number), eta=eta)])
    crew.wait_for(key, [4, 3, 2, 1])


@on("prefork")
def test_stamps_travel_along(crew: Crew, key: str) -> None:
    signature = crew.task("act").si(key, 1, "stamps")
    signature.stamp(tag="a stamp")
    result = signature.apply_async()
    crew.keep([result])
    crew.wait_for(key, [1])
    crew.state(result, "SUCCESS")
    assert result.result == {"tag": "a stamp"}


def test_priorities_order_groups_and_not_the_tasks_of_one(make_crew: Callable[..., Crew], key: str) -> None:
    crew = make_crew(slots=1)
    for number, priority in enumerate((9, 3, 0), 1):
        results = [crew.send(f"{key}-{priority}", each, "priority", priority=priority) for each in (1, 2)]
        mixed = crew.send(key, number, "priority", priority=priority)
    crew.worker.start().ready()
    until(lambda: not crew.left_over())
    firsts = [run.key for run in crew.history.runs if run.number == 1 and run.key != key]
    assert firsts == [f"{key}-0", f"{key}-3", f"{key}-9"], "0 is the most urgent on Redis"
    assert crew.history.numbers(key) == [1, 2, 3]
    assert (results[0].get(timeout=60), mixed.get(timeout=60)) == (0, 0)


def test_one_group_on_several_queues(make_crew: Callable[..., Crew], key: str) -> None:
    crew = make_crew()
    for queue in ("left", "right"):
        crew.another(queue, slots=2, options=("-Q", queue)).start().ready()
    for number in range(10):
        crew.send(key, number, queue="left" if number % 2 else "right")
    crew.wait_for(key, list(range(10)))
    assert [run.worker for run in crew.history.group(key)] == ["right@test", "left@test"] * 5


def test_publish_signals_and_event_come_once(make_crew: Callable[..., Crew], key: str) -> None:
    crew = make_crew(task_send_sent_event=True)
    seen: list[tuple[str, str]] = []

    def before(headers: dict[str, Any], **kwargs: Any) -> None:
        seen.append(("before", headers["id"]))

    def after(headers: dict[str, Any], **kwargs: Any) -> None:
        seen.append(("after", headers["id"]))

    signals.before_task_publish.connect(before)
    signals.after_task_publish.connect(after)
    try:
        with crew.app.connection_for_read() as connection:
            ids: list[str] = []
            receiver = crew.app.events.Receiver(connection, {"task-sent": lambda event: ids.append(event["uuid"])})
            events = receiver.itercapture(limit=None, timeout=60, wakeup=False)

            def capture() -> None:
                while len(ids) < 3:
                    next(events)

            others = crew.redis.pubsub_numpat()
            thread = threading.Thread(target=capture)
            thread.start()
            until(lambda: crew.redis.pubsub_numpat() > others, "nobody listens to events")
            results = [crew.send(key, 1), crew.send(key, 2), crew.task("add").delay(1, 2)]
            thread.join(60)
    finally:
        signals.before_task_publish.disconnect(before)
        signals.after_task_publish.disconnect(after)
    expected = [result.id for result in results]
    assert seen == [(when, id) for id in expected for when in ("before", "after")]
    assert ids == expected, "the last one, which is no ordered task, tells that no more will come"


def test_in_place(make_crew: Callable[..., Crew], key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    crew = make_crew()
    monkeypatch.setenv(DIRECTORY, str(crew.directory))
    eager = make_app(**crew.conf, task_always_eager=True)
    act = eager.tasks["worker.act"]
    results = [act.delay(key, 1), act.apply_async((key, 2)), act.s(key, 3).delay(), act.apply((key, 4))]
    assert [result.get() for result in results] == [1, 2, 3, 4]
    assert all(isinstance(result, EagerResult) for result in results)
    assert not crew.left_over() and crew.redis.llen("celery") == 0
    assert act(key, 5) == 5, "called as a function"
    eager.close()


def test_without_a_key_nothing_is_sent(make_crew: Callable[..., Crew]) -> None:
    crew = make_crew()
    for send in (
        lambda: crew.task("act").apply_async((None, 1)),
        lambda: crew.task("act").map([("a", 1)]).apply_async(),
        lambda: crew.task("act").starmap([("a", 1)]).apply_async(),
        lambda: crew.task("act").chunks([("a", 1)], 1).apply_async(),
    ):
        with pytest.raises(MissingGroupKey):
            send()
    assert not crew.left_over() and crew.redis.llen("celery") == 0
