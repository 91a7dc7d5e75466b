"""New arguments for a parked task, for every way to send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from celery_groupfifo import (
    DuplicateTask,
    GroupFifo,
    GroupFifoTask,
    Groups,
    PartiallyParked,
    park_many,
    park_on_commit,
)
from celery_groupfifo.signals import group_parked
from tests.gate.sending.lines import in_line
from tests.support.proxy import Proxy

Options = dict[str, Any]
Send = Callable[[Celery, int, Options], Any]


def make_app(url: str, **conf: Any) -> Celery:
    app = Celery("replacing", broker=url, set_as_current=False)
    app.conf.update(task_ignore_result=True, **conf)

    def send(key: str, number: int) -> None: ...

    GroupFifo(app)
    own = {"group_on_duplicate": "replace"}
    app.task(base=GroupFifoTask, group_key="{key}", name="send", lazy=False, shared=False)(send)
    app.task(base=GroupFifoTask, group_key="{key}", name="newest", lazy=False, shared=False, **own)(send)
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


WAYS: dict[str, Send] = {
    "apply_async": lambda app, number, options: app.tasks["send"].apply_async(("k", number), **options),
    "a task of its own": lambda app, number, options: app.tasks["newest"].apply_async(("k", number), **options),
    "signature": lambda app, number, options: app.tasks["send"].s("k", number).set(**options).delay(),
    "by name": lambda app, number, options: app.send_task("unknown", ("k", number), group_key="k", **options),
    "plain": lambda app, number, options: app.tasks["plain"].apply_async(("k", number), group_key="k", **options),
    "bulk": lambda app, number, options: park_many([app.tasks["send"].s("k", number).set(**options)])[0],
}


def numbers(app: Celery) -> dict[str, str]:
    """The shown arguments of the parked tasks."""
    return {task.task_id: str(task.args) for task in Groups(app).tasks("k")}


@pytest.mark.parametrize("given", ["call", "setting"])
@pytest.mark.parametrize("way", WAYS)
def test_a_parked_task_gets_the_arguments(make: Callable[..., Celery], way: str, given: str) -> None:
    options = {"group_on_duplicate": "replace"} if given == "call" and way != "a task of its own" else {}
    app = make(**({"groupfifo_on_duplicate": "replace"} if given == "setting" else {}))
    for number, id in enumerate(("a", "b", "c")):  # the later ones are filled into the message of the first
        WAYS[way](app, number, {**options, "task_id": id})
    assert WAYS[way](app, 77, {**options, "task_id": "b"}).id == "b"
    assert in_line(app) == ["a", "b", "c"]
    assert {id: "77" in text for id, text in numbers(app).items()} == {"b": True, "c": False}
    with pytest.raises((DuplicateTask, PartiallyParked), match="Task a of group 'k' can't be replaced"):
        WAYS[way](app, 78, {**options, "task_id": "a"})


def test_it_is_parked_once(make: Callable[..., Celery]) -> None:
    app = make()
    told: list[str] = []

    def on_parked(task_id: str, **_: Any) -> None:
        told.append(task_id)

    group_parked.connect(on_parked)
    for number, id in enumerate(("a", "b", "b", "b", "c")):
        app.tasks["newest"].apply_async(("k", number), task_id=id)
    assert told == ["a", "b", "c"]


def test_in_a_bulk(make: Callable[..., Celery]) -> None:
    app = make()
    calls = [app.tasks["newest"].s("k", 70 + n).set(task_id=id) for n, id in enumerate("abcbb")]
    assert [result.id for result in park_many(calls)] == ["a", "b", "c", "b", "b"]
    assert in_line(app) == ["a", "b", "c"]
    assert "74" in numbers(app)["b"]
    with pytest.raises(PartiallyParked, match="Task a of group 'k' can't be replaced") as caught:
        park_many([app.tasks["newest"].s("k", 80 + n).set(task_id=id) for n, id in enumerate("bad")])
    assert [result.id for result in caught.value.parked] == ["b", "d"]
    assert in_line(app) == ["a", "b", "c", "d"] and "80" in numbers(app)["b"]


def test_at_a_commit(make: Callable[..., Celery], tmp_path: Path) -> None:
    app = make()
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db")
    with Session(engine) as session:
        for number, id in enumerate(("a", "b", "b")):
            park_on_commit(session, app.tasks["newest"].s("k", 70 + number).set(task_id=id))
        session.commit()
    engine.dispose()
    assert in_line(app) == ["a", "b"] and "72" in numbers(app)["b"]


def test_a_repeated_call_does_it_once(make: Callable[..., Celery], redis_url: str) -> None:
    host, _, database = redis_url.removeprefix("redis://").partition("/")
    with Proxy(int(host.rpartition(":")[2])) as proxy:
        app = make(f"redis://127.0.0.1:{proxy.port}/{database}")
        for number, id in enumerate(("a", "b", "c")):
            app.tasks["newest"].apply_async(("k", number), task_id=id)
        for lost in ("park", "exchange"):
            proxy.lose_replies(1, lost)
            app.tasks["newest"].apply_async(("k", 77), task_id="b")
        assert proxy.lost == 2
        assert in_line(app) == ["a", "b", "c"] and "77" in numbers(app)["b"]
