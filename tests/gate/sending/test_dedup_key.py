"""Duplicates by a key of their own, for every way to send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, chain, group
from celery.result import AsyncResult
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from celery_groupfifo import (
    DuplicateTask,
    GroupFifo,
    GroupFifoTask,
    InvalidGroupKey,
    MissingGroupKey,
    PartiallyParked,
    park_many,
    park_on_commit,
)
from celery_groupfifo.signals import group_parked
from tests.gate.sending.lines import in_line

Options = dict[str, Any]
Send = Callable[[Celery, str, Options], Any]


def make_app(url: str, **conf: Any) -> Celery:
    app = Celery("identities", broker=url, backend=url, set_as_current=False)
    app.conf.update(**conf)

    def send(key: str, what: str = "one") -> None: ...

    GroupFifo(app)
    named: dict[str, dict[str, Any]] = {
        "send": {},
        "template": {"group_dedup_key": "{what}"},
        "tuple": {"group_dedup_key": ("what",)},
        "callable": {"group_dedup_key": lambda what: what},
        "latest": {"group_dedup_key": "{what}", "group_on_duplicate": "keep_latest"},
    }
    for name, own in named.items():
        app.task(base=GroupFifoTask, group_key="{key}", name=name, lazy=False, shared=False, **own)(send)
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
        app.close()


def by(name: str) -> Send:
    return lambda app, what, options: app.tasks[name].apply_async(("k", what), **options)


#: Ways to send, and whether the key is the call's own or that of the task or the app.
WAYS: dict[str, tuple[str, Send]] = {
    "apply_async": ("call", by("send")),
    "signature": ("call", lambda app, what, options: app.tasks["send"].s("k", what).set(**options).delay()),
    "by name": ("call", lambda app, what, options: app.send_task("unknown", ("k", what), group_key="k", **options)),
    "plain": ("call", lambda app, what, options: app.tasks["plain"].apply_async(("k", what), group_key="k", **options)),
    "bulk": ("call", lambda app, what, options: park_many([app.tasks["send"].s("k", what).set(**options)])[0]),
    "eta": ("call", lambda app, what, options: app.tasks["send"].apply_async(("k", what), countdown=60, **options)),
    **{name: ("task", by(name)) for name in ("template", "tuple", "callable")},
    "bulk of a template": (
        "task",
        lambda app, what, options: park_many([app.tasks["template"].s("k", what).set(**options)])[0],
    ),
    "setting": ("setting", by("send")),
}


def sending(make: Callable[..., Celery], way: str, **options: Any) -> tuple[Celery, Callable[[str, str], Any]]:
    given, send = WAYS[way]
    app = make(**({"groupfifo_dedup_key": "{what}"} if given == "setting" else {}))

    def call(id: str, what: str) -> Any:
        own = {"group_dedup_key": what} if given == "call" else {}
        return send(app, what, {"task_id": id, **own, **options})

    call("head", "head")
    call("head 2", "head 2")  # what follows is filled into the message of the first
    return app, call


@pytest.mark.parametrize("way", WAYS)
def test_the_call_returns_the_result_of_the_task_that_is_there(make: Callable[..., Celery], way: str) -> None:
    app, send = sending(make, way)
    results = [send(id, what) for id, what in (("a", "one"), ("b", "one"), ("c", "two"), ("d", "one"))]
    assert [result.id for result in results] == ["a", "a", "c", "a"]
    assert AsyncResult("b", app=app).state == "PENDING"
    if way != "eta":
        assert in_line(app) == ["head", "head 2", "a", "c"]


@pytest.mark.parametrize("way", WAYS)
def test_it_raises(make: Callable[..., Celery], way: str) -> None:
    _, send = sending(make, way, group_on_duplicate="raise")
    send("a", "one")
    with pytest.raises(
        (DuplicateTask, PartiallyParked), match="Task b of group 'k' is a duplicate of task a, which is"
    ):
        send("b", "one")


@pytest.mark.parametrize("policy", ["replace", "keep_latest"])
@pytest.mark.parametrize("way", WAYS)
def test_the_newest_gets_the_place(make: Callable[..., Celery], way: str, policy: str) -> None:
    app, send = sending(make, way, group_on_duplicate=policy)
    results = [send(id, what) for id, what in (("a", "one"), ("b", "two"), ("c", "one"))]
    assert [result.id for result in results] == ["a", "b", "c"]
    assert [result.state for result in results] == ["REVOKED", "PENDING", "PENDING"]
    assert str(results[0].result) == "replaced by task c"
    if way != "eta":
        assert in_line(app) == ["head", "head 2", "c", "b"]


def test_the_latest_of_a_head_is_parked(make: Callable[..., Celery]) -> None:
    app = make()
    told: list[str] = []

    def on_parked(task_id: str, **_: Any) -> None:
        told.append(task_id)

    group_parked.connect(on_parked)
    for id in ("a", "b", "c"):
        app.tasks["latest"].apply_async(("k",), task_id=id)
    assert (in_line(app), told) == (["a", "c"], ["a", "b", "c"])


def test_after_the_end_it_counts_for_a_time(make: Callable[..., Celery]) -> None:
    app = make(groupfifo_dedup_for=60)
    app.tasks["template"].apply_async(("k",), task_id="a")
    app.control.revoke("a")
    assert app.tasks["template"].apply_async(("k",), task_id="b").id == "b", "it has not run"


@pytest.mark.parametrize("other", [{"group_dedup_key": "own"}, {"group_key": "other"}])
def test_another_key_of_the_call_wins(make: Callable[..., Celery], other: Options) -> None:
    app = make()
    app.tasks["template"].apply_async(("k",), task_id="a")
    assert app.tasks["template"].apply_async(("k",), task_id="b", **other).id == "b"


def test_a_header_gives_it(make: Callable[..., Celery]) -> None:
    app = make()
    for id in ("a", "b"):
        result = app.tasks["send"].apply_async(("k",), task_id=id, headers={"groupfifo_group_dedup_key": "x"})
    assert result.id == "a"


# -- parts of a canvas -------------------------------------------------------


def test_whoever_waits_for_a_part_of_a_canvas_learns_of_it(make: Callable[..., Celery]) -> None:
    """Its id is known before it is sent: it is no one's result to wait for in vain."""
    app = make()
    task = app.tasks["template"]
    first = task.apply_async(("k",), task_id="a")
    parts = group(task.si("k"), task.si("k", "two")).apply_async()
    assert [result.state for result in parts.results] == ["REVOKED", "PENDING"]
    assert str(parts.results[0].result) == "a duplicate of task a"
    last = chain(task.si("k"), task.si("k", "three")).apply_async()
    assert last.parent.state == "REVOKED"
    assert first.state == "PENDING"
    assert in_line(app) == ["a", parts.results[1].id]


def test_at_a_commit_the_result_is_that_of_the_task_that_is_there(make: Callable[..., Celery], tmp_path: Path) -> None:
    app = make()
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db")
    with Session(engine) as session:
        results = [park_on_commit(session, app.tasks["template"].s("k").set(task_id=id)) for id in ("a", "b")]
        with pytest.raises(MissingGroupKey, match="The dedup key of template needs 'what', which is None"):
            park_on_commit(session, app.tasks["template"].s("k", None))
        session.commit()
    engine.dispose()
    assert [result.id for result in results] == ["a", "a"]
    assert in_line(app) == ["a"]


def test_in_a_bulk(make: Callable[..., Celery]) -> None:
    app = make()
    calls = [app.tasks["template"].s("k", what).set(task_id=id) for id, what in zip("abcd", "xyxy", strict=True)]
    assert [result.id for result in park_many(calls)] == ["a", "b", "a", "b"]
    calls = [app.tasks["latest"].s("k", what).set(task_id=id) for id, what in zip("efg", "zyz", strict=True)]
    assert [result.id for result in park_many(calls)] == ["e", "f", "g"]
    assert in_line(app) == ["a", "f", "g"]


# -- what does not work ------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ("", InvalidGroupKey, "The dedup key of send is empty"),
        (5, InvalidGroupKey, "The dedup key of send is 5: it has to be a text"),
        ("x" * 513, InvalidGroupKey, "The dedup key of send has 513 bytes"),
    ],
)
def test_a_wrong_one_of_a_call(make: Callable[..., Celery], wrong: object, error: type[Exception], words: str) -> None:
    app = make()
    with pytest.raises(error, match=words):
        app.tasks["send"].apply_async(("k",), group_dedup_key=wrong)
    assert in_line(app) == []


def test_one_that_can_not_be_made(make: Callable[..., Celery]) -> None:
    app = make(groupfifo_dedup_key="{what}")
    with pytest.raises(MissingGroupKey, match="The dedup key of send needs 'what', which is None"):
        app.tasks["send"].delay("k", None)
    with pytest.raises(MissingGroupKey, match=r"The dedup key '{what}' of unknown can't be built, as the task's code"):
        app.send_task("unknown", ("k",), group_key="k")
    with pytest.raises(MissingGroupKey, match="group_dedup_key callable of callable returned None"):
        app.tasks["callable"].delay("k", None)
    assert in_line(app) == []


def test_without_a_group_it_means_nothing(make: Callable[..., Celery]) -> None:
    with pytest.raises(MissingGroupKey, match="plain was sent with group_dedup_key, but belongs to no group"):
        make().tasks["plain"].apply_async(("k",), group_dedup_key="x")
