"""The reasons that doctor gives for the way of an app's sends are those by which the sends go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import pytest
from celery import Celery
from celery.signals import before_task_publish
from kombu import Exchange, Queue
from kombu.messaging import Producer

from celery_groupfifo import GroupFifoTask, Groups
from celery_groupfifo.groups import doctor
from celery_groupfifo.sending import reasons, short_way
from celery_groupfifo.sending.short_way import result_of


class Shadowed(GroupFifoTask):
    """Is shown under a name of its own."""

    def shadow_name(self, args: Any, kwargs: Any, options: Any) -> str:
        return "shadow"


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    app = Celery("reasons", broker=redis_url, set_as_current=False)
    app.conf.task_ignore_result = True
    app.conf.task_queues = [Queue("celery"), Queue("topical", Exchange("topics", "topic"), "t.#")]
    make(app, "send")
    yield app
    app.close()


def make(app: Celery, name: str, base: type[GroupFifoTask] = GroupFifoTask, **options: Any) -> None:
    @app.task(base=base, group_key="{key}", name=name, lazy=False, shared=False, **options)
    def send(key: str) -> None: ...


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the entries that were filled into templates."""
    found: list[str] = []

    def counted(call: Any, template: Any, entry: Any) -> Any:
        found.append(entry.id)
        return result_of(call, template, entry)

    monkeypatch.setattr(short_way, "result_of", counted)
    return found


def is_copied(app: Celery, name: str, copies: list[str]) -> bool:
    copies.clear()
    for _ in range(2):
        app.tasks[name].delay("k")
    return bool(copies)


@pytest.fixture(autouse=True)
def without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked who would answer only when the time is over."""
    monkeypatch.setattr(doctor, "check_workers", lambda app, reader: ())


def said(app: Celery) -> str:
    return next(check.what for check in Groups(app).doctor() if check.name == "sends")


def test_usual_sends(app: Celery, copies: list[str]) -> None:
    assert is_copied(app, "send", copies)
    assert said(app) == "In this process sends of ordered tasks are usual: they fill in a template."


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"base": Shadowed}, "shadow_name is not Celery's own (tests.gate.sending.test_reasons)"),
        ({"serializer": "pickle"}, "its serializer is pickle"),
        ({"compression": "zlib"}, "it is compressed"),
        ({"expires": 60}, "it expires"),
        ({"group_dedup_key": repr}, "its group_dedup_key is a callable"),
        ({"queue": "topical"}, "its queue is behind the topic exchange 'topics'"),
    ],
    ids=str,
)
def test_a_task_of_its_own_kind(app: Celery, copies: list[str], options: dict[str, Any], reason: str) -> None:
    make(app, "special", **options)
    assert is_copied(app, "send", copies) and not is_copied(app, "special", copies)
    assert reasons.of_task(app, app.tasks["special"]) == [reason] and reasons.of_task(app, app.tasks["send"]) == []
    assert f"1 task would go Celery's way: special ({reason})." in said(app)


def wrap(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    publish = Producer.publish

    @wraps(publish)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        return publish(self, *args, **kwargs)

    monkeypatch.setattr(Producer, "publish", wrapper)


def tell_events(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    app.conf.task_send_sent_event = True


def route(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    app.conf.task_routes = [lambda name, *args, **kwargs: None]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (wrap, "Producer.publish is not Celery's own (tests.gate.sending.test_reasons)"),
        (tell_events, "task_send_sent_event is set"),
        (route, "task_routes is not Celery's own (tests.gate.sending.test_reasons)"),
    ],
)
def test_an_app_whose_sends_are_seen_or_changed(
    app: Celery,
    copies: list[str],
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Celery, pytest.MonkeyPatch], None],
    reason: str,
) -> None:
    change(app, monkeypatch)
    assert not is_copied(app, "send", copies)
    assert reasons.of_app(app) == [reason]
    assert said(app) == f"In this process all sends go Celery's way, which takes longer: {reason}."


def test_an_app_with_a_receiver(app: Celery, copies: list[str]) -> None:
    def receiver(**_: Any) -> None: ...

    before_task_publish.connect(receiver)
    try:
        assert not is_copied(app, "send", copies)
        assert reasons.of_app(app) == ["before_task_publish has receivers (tests.gate.sending.test_reasons)"]
    finally:
        before_task_publish.disconnect(receiver)
    assert is_copied(app, "send", copies) and reasons.of_app(app) == []


def test_an_app_that_runs_its_tasks_in_place_needs_no_broker() -> None:
    app = Celery("eager", broker="nothing://", set_as_current=False)
    app.conf.task_always_eager = True
    assert reasons.of_app(app) == ["task_always_eager is set"]
