"""The bound of a group's depth, for every way to send: what the caller gets, and what becomes of the dropped task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, signals
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from celery_groupfifo import (
    GroupFifo,
    GroupFifoTask,
    GroupFull,
    InvalidOption,
    PartiallyParked,
    park_many,
    park_on_commit,
)
from celery_groupfifo.signals import group_parked
from tests.gate.sending.lines import in_line
from tests.support.proxy import Proxy

Options = dict[str, Any]
Send = Callable[[Celery, Options], Any]


def make_app(url: str, **conf: Any) -> Celery:
    app = Celery("depths", broker=url, backend=url, set_as_current=False)
    app.conf.update(conf)

    def send(key: str) -> None: ...

    GroupFifo(app)
    own = {"group_max_depth": 2}
    for overflow in ("raise", "drop_new", "drop_oldest"):
        more = {**own, "group_overflow": overflow}
        app.task(base=GroupFifoTask, group_key="{key}", name=overflow, lazy=False, shared=False, **more)(send)
    app.task(base=GroupFifoTask, group_key="{key}", name="send", lazy=False, shared=False)(send)
    app.task(name="plain", lazy=False, shared=False)(send)
    return app


@pytest.fixture
def make(redis_url: str) -> Iterator[Callable[..., Celery]]:
    made: list[Celery] = []

    def make(url: str = redis_url, **conf: Any) -> Celery:
        made.append(make_app(url, **conf))
        return made[-1]

    yield make
    for app in made:
        app.backend.result_consumer.stop()
        app.close()


WAYS: dict[str, Send] = {
    "apply_async": lambda app, options: app.tasks["send"].apply_async(("k",), **options),
    "signature": lambda app, options: app.tasks["send"].s("k").set(**options).delay(),
    "by name": lambda app, options: app.send_task("unknown", ("k",), group_key="k", **options),
    "plain": lambda app, options: app.tasks["plain"].apply_async(("k",), group_key="k", **options),
    "bulk": lambda app, options: park_many([app.tasks["send"].s("k").set(**options)])[0],
}


#: How the bound is given, for each way that knows it.
GIVEN = [(way, given) for given in ("call", "setting") for way in WAYS]
GIVEN += [(way, "task") for way in ("apply_async", "signature", "bulk")]


def sending(make: Callable[..., Celery], given: str, way: str, overflow: str) -> tuple[Celery, Callable[[str], Any]]:
    """An app, and a send of a task with this bound, given in this way."""
    said = {"max_depth": 2, "overflow": overflow}
    if given == "task":
        app = make()
        task = app.tasks[overflow]
        sends: dict[str, Callable[[str], Any]] = {
            "apply_async": lambda id: task.apply_async(("k",), task_id=id),
            "signature": lambda id: task.s("k").set(task_id=id).delay(),
            "bulk": lambda id: park_many([task.s("k").set(task_id=id)])[0],
        }
        return app, sends[way]
    options = {f"group_{name}": value for name, value in said.items()} if given == "call" else {}
    conf = {f"groupfifo_{name}": value for name, value in said.items()} if given == "setting" else {}
    app = make(**conf)
    return app, lambda id: WAYS[way](app, {**options, "task_id": id})


@pytest.mark.parametrize(("way", "given"), GIVEN)
def test_it_raises(make: Callable[..., Celery], given: str, way: str) -> None:
    app, send = sending(make, given, way, "raise")
    for id in ("a", "b", "c"):  # the later ones are filled into the message of the first
        send(id)
    with pytest.raises((GroupFull, PartiallyParked), match=r"Task d was not parked: group 'k' has as many"):
        send("d")
    assert in_line(app) == ["a", "b", "c"]
    assert AsyncResult("d", app=app).state == "PENDING"


@pytest.mark.parametrize(("way", "given"), GIVEN)
def test_the_new_one_is_dropped(make: Callable[..., Celery], given: str, way: str) -> None:
    """Its call returns a result, and whoever waits for that learns of it."""
    app, send = sending(make, given, way, "drop_new")
    for id in ("a", "b", "c"):
        send(id)
    result = send("d")
    assert (result.id, result.state) == ("d", "REVOKED")
    with pytest.raises(TaskRevokedError):
        result.get(timeout=5)
    assert in_line(app) == ["a", "b", "c"]


@pytest.mark.parametrize(("way", "given"), GIVEN)
def test_the_oldest_is_dropped(make: Callable[..., Celery], given: str, way: str) -> None:
    app, send = sending(make, given, way, "drop_oldest")
    results = {id: send(id) for id in ("a", "b", "c", "d")}
    assert {id: result.state for id, result in results.items()} == {
        "a": "PENDING",
        "b": "REVOKED",
        "c": "PENDING",
        "d": "PENDING",
    }
    assert in_line(app) == ["a", "c", "d"]


@pytest.mark.parametrize(("overflow", "gone"), [("drop_new", "d"), ("drop_oldest", "b")])
def test_signals_and_the_chord_are_told(make: Callable[..., Celery], overflow: str, gone: str) -> None:
    app = make()
    task = app.tasks[overflow]
    revoked: list[tuple[str, str]] = []
    parked: list[str] = []

    def on_revoked(request: Any, sender: Any, **_: Any) -> None:
        revoked.append((sender.name, request.id))

    def on_parked(task_id: str, **_: Any) -> None:
        parked.append(task_id)

    signals.task_revoked.connect(on_revoked)
    group_parked.connect(on_parked)
    for id in ("a", "b", "c", "d"):
        task.apply_async(("k",), task_id=id)
    assert revoked == [(overflow, gone)]
    assert parked == (["a", "b", "c"] if overflow == "drop_new" else ["a", "b", "c", "d"])


def test_a_call_wins_over_the_task_and_this_over_the_setting(make: Callable[..., Celery]) -> None:
    app = make(groupfifo_max_depth=1, groupfifo_overflow="drop_oldest")
    app.tasks["raise"].apply_async(("k",), task_id="a")
    app.tasks["raise"].apply_async(("k",), task_id="b")
    app.tasks["raise"].apply_async(("k",), task_id="c")
    with pytest.raises(GroupFull, match="group_max_depth=2"):
        app.tasks["raise"].apply_async(("k",), task_id="d")
    app.tasks["raise"].apply_async(("k",), task_id="d", group_max_depth=3)
    with pytest.raises(GroupFull, match="group_max_depth=1"):
        app.tasks["raise"].apply_async(("k",), task_id="e", group_max_depth=1)
    assert app.tasks["raise"].apply_async(("k",), task_id="e", group_overflow="drop_new").state == "REVOKED"
    assert in_line(app) == ["a", "b", "c", "d"]
    app.tasks["send"].apply_async(("k",), task_id="f")
    assert in_line(app) == ["a", "c", "d", "f"], "one call drops one task"


def test_a_bound_that_changes_counts_at_once(make: Callable[..., Celery]) -> None:
    """Usual calls are filled into the message of an earlier one, made under another bound."""
    app = make()
    send = app.tasks["send"]
    for id in ("a", "b", "c"):
        send.apply_async(("k",), task_id=id)
    send.group_max_depth = 2
    with pytest.raises(GroupFull):
        send.apply_async(("k",), task_id="d")
    send.group_overflow = "drop_oldest"
    send.apply_async(("k",), task_id="d")
    assert in_line(app) == ["a", "c", "d"]
    send.group_max_depth = None
    send.apply_async(("k",), task_id="e")
    assert in_line(app) == ["a", "c", "d", "e"]


@pytest.mark.parametrize("overflow", ["raise", "drop_new", "drop_oldest"])
def test_a_bulk_beyond(make: Callable[..., Celery], overflow: str) -> None:
    app = make()
    calls = [app.tasks[overflow].s("k").set(task_id=id) for id in "abcdef"]
    if overflow == "raise":
        with pytest.raises(PartiallyParked, match=r"3 signatures were parked, then: Task d of|3 signatures .* Task d"):
            park_many(calls, chunk=5)
        assert in_line(app) == ["a", "b", "c"]
        return
    results = park_many(calls, chunk=5)
    states = "".join(result.state[0] for result in results)
    assert (states, in_line(app)) == (
        ("PPPRRR", ["a", "b", "c"]) if overflow == "drop_new" else ("PRRRPP", ["a", "e", "f"])
    )


@pytest.mark.parametrize("overflow", ["raise", "drop_new", "drop_oldest"])
def test_at_a_commit(make: Callable[..., Celery], tmp_path: Path, overflow: str) -> None:
    app = make()
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db")
    with Session(engine) as session:
        results = [park_on_commit(session, app.tasks[overflow].s("k").set(task_id=id)) for id in "abcd"]
        if overflow == "raise":
            with pytest.raises(PartiallyParked, match="Task d was not parked: group 'k' has as many"):
                session.commit()
        else:
            session.commit()
    engine.dispose()
    assert in_line(app) == (["a", "c", "d"] if overflow == "drop_oldest" else ["a", "b", "c"])
    assert [result.id for result in results if result.state == "REVOKED"] == {
        "raise": [],
        "drop_new": ["d"],
        "drop_oldest": ["b"],
    }[overflow]


def test_a_lost_reply_loses_no_state(make: Callable[..., Celery], redis_url: str) -> None:
    """The first answer named the dropped task; so does that of the repetition."""
    host, _, database = redis_url.removeprefix("redis://").partition("/")
    with Proxy(int(host.rpartition(":")[2])) as proxy:
        app = make(f"redis://127.0.0.1:{proxy.port}/{database}", result_backend=redis_url)
        send = app.tasks["drop_oldest"]
        for id in ("a", "b", "c"):
            send.apply_async(("k",), task_id=id)
        proxy.lose_replies(1, "park")
        send.apply_async(("k",), task_id="d")
        assert proxy.lost == 1
        assert in_line(app) == ["a", "c", "d"]
        assert AsyncResult("b", app=app).state == "REVOKED"


def test_a_backend_that_fails_costs_no_task(
    make: Callable[..., Celery], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The new task is parked: an error would make its sender send it again."""
    app = make()

    def mark_as_revoked(*_: Any, **more: Any) -> None:
        raise OSError("no backend")

    for id in ("a", "b", "c"):
        app.tasks["drop_oldest"].apply_async(("k",), task_id=id)
    monkeypatch.setattr(app.backend, "mark_as_revoked", mark_as_revoked)
    app.tasks["drop_oldest"].apply_async(("k",), task_id="d")
    assert in_line(app) == ["a", "c", "d"]
    assert "the result backend does not know of 1 of them, from b on" in caplog.text


@pytest.mark.parametrize(("name", "value"), [("max_depth", 0), ("max_depth", "many"), ("overflow", "later")])
def test_a_wrong_value_is_an_error(make: Callable[..., Celery], name: str, value: Any) -> None:
    with pytest.raises(InvalidOption, match=rf"group_{name}={value!r} does not work: set it to "):
        make().tasks["send"].apply_async(("k",), **{f"group_{name}": value})


def test_in_place_there_is_no_line(make: Callable[..., Celery]) -> None:
    app = make(task_always_eager=True, task_eager_propagates=True)
    for _ in range(5):
        assert app.tasks["raise"].apply_async(("k",)).state == "SUCCESS"
    with pytest.raises(InvalidOption):
        app.tasks["raise"].apply_async(("k",), group_overflow="never")
