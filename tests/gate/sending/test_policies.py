"""The policies of a call for an id that is there already, and for an ETA: the call's, the task's or the app's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
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
    InvalidOption,
    PartiallyParked,
    park_many,
    park_on_commit,
)
from tests.gate.sending.lines import in_line
from tests.support.proxy import Proxy

Options = dict[str, Any]
Send = Callable[[Celery, Options], Any]


def make_app(url: str, **conf: Any) -> Celery:
    app = Celery("policies", broker=url, set_as_current=False)
    app.conf.update(task_ignore_result=True, **conf)

    def send(key: str) -> None: ...

    GroupFifo(app)
    own = {"group_eta": "reject", "group_on_duplicate": "raise"}
    app.task(base=GroupFifoTask, group_key="{key}", name="send", lazy=False, shared=False)(send)
    app.task(base=GroupFifoTask, group_key="{key}", name="strict", lazy=False, shared=False, **own)(send)
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


def later() -> datetime:
    return datetime.now(timezone.utc) + timedelta(hours=1)


WAYS: dict[str, Send] = {
    "apply_async": lambda app, options: app.tasks["send"].apply_async(("k",), **options),
    "a task of its own": lambda app, options: app.tasks["strict"].apply_async(("k",), **options),
    "signature": lambda app, options: app.tasks["send"].s("k").set(**options).delay(),
    "by name": lambda app, options: app.send_task("unknown", ("k",), group_key="k", **options),
    "plain": lambda app, options: app.tasks["plain"].apply_async(("k",), group_key="k", **options),
}
#: How a policy is given: with the call, or as a setting; the second way above has it on the task, too.
GIVEN = ["call", "setting"]


@pytest.fixture(params=GIVEN)
def given(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def policy(given: str, name: str, value: str) -> tuple[Options, Options]:
    """The options of a call and the settings of an app that say it."""
    return ({f"group_{name}": value}, {}) if given == "call" else ({}, {f"groupfifo_{name}": value})


@pytest.mark.parametrize("way", WAYS)
def test_a_duplicate_raises(make: Callable[..., Celery], given: str, way: str) -> None:
    options, conf = policy(given, "on_duplicate", "raise")
    app = make(**conf)
    for id in ("a", "b", "c"):  # the later ones are filled into the message of the first
        WAYS[way](app, {**options, "task_id": id})
    with pytest.raises(DuplicateTask, match=r"Task b of group 'k' is parked or running already"):
        WAYS[way](app, {**options, "task_id": "b"})
    assert in_line(app) == ["a", "b", "c"]
    WAYS[way](app, {**options, "task_id": "d"})
    assert in_line(app) == ["a", "b", "c", "d"]


def test_a_calls_policy_wins_over_the_tasks_and_this_over_the_setting(make: Callable[..., Celery]) -> None:
    app = make(groupfifo_on_duplicate="raise", groupfifo_eta="reject")
    app.tasks["send"].apply_async(("k",), task_id="a")
    own = {"group_on_duplicate": "return_existing", "group_eta": "at_due"}

    def run(key: str) -> None: ...

    weak = app.task(base=GroupFifoTask, group_key="{key}", name="weak", lazy=False, shared=False, **own)(run)
    assert weak.apply_async(("k",), task_id="a").id == "a"
    weak.apply_async(("k",), countdown=60, task_id="late")
    with pytest.raises(DuplicateTask):
        weak.apply_async(("k",), task_id="a", group_on_duplicate="raise")
    with pytest.raises(InvalidOption):
        weak.apply_async(("k",), countdown=60, group_eta="reject")
    assert app.tasks["strict"].apply_async(("k",), task_id="a", group_on_duplicate="return_existing").id == "a"
    app.tasks["strict"].apply_async(("k",), countdown=60, group_eta="at_due", task_id="later")
    assert Groups(app).get("k").depth == 3


def test_a_policy_that_changes_counts_at_once(make: Callable[..., Celery]) -> None:
    """Usual calls are filled into the message of an earlier one, made under another policy."""
    app = make()
    send = app.tasks["send"]
    for id in ("a", "b"):
        send.apply_async(("k",), task_id=id)
        send.apply_async(("k",), task_id=f"{id}-late", countdown=60)
    send.group_on_duplicate, send.group_eta = "raise", "reject"
    with pytest.raises(DuplicateTask):
        send.apply_async(("k",), task_id="a")
    with pytest.raises(InvalidOption):
        send.apply_async(("k",), countdown=60)
    send.group_on_duplicate = send.group_eta = None
    assert send.apply_async(("k",), task_id="a").id == "a"
    send.apply_async(("k",), countdown=60)


def test_one_of_a_bulk_raises_and_the_others_are_parked(make: Callable[..., Celery]) -> None:
    app = make()
    strict = app.tasks["strict"]
    calls = [strict.s("k").set(task_id=id) for id in ("a", "b", "a", "c", "b")]
    with pytest.raises(PartiallyParked, match=r"3 signatures were parked, then: Task a of group 'k'") as caught:
        park_many(calls)
    assert isinstance(caught.value.__cause__, DuplicateTask)
    assert [result.id for result in caught.value.parked] == ["a", "b", "c"]
    assert in_line(app) == ["a", "b", "c"]


def test_a_repeated_park_is_no_duplicate(make: Callable[..., Celery], redis_url: str) -> None:
    """Its first answer was lost: the task that is there is the call's own."""
    host, _, database = redis_url.removeprefix("redis://").partition("/")
    with Proxy(int(host.rpartition(":")[2])) as proxy:
        app = make(f"redis://127.0.0.1:{proxy.port}/{database}")
        send = app.tasks["strict"]
        send.apply_async(("k",), task_id="a")
        proxy.lose_replies(1, "park")
        send.apply_async(("k",), task_id="b")
        assert proxy.lost == 1
        assert in_line(app) == ["a", "b"]


FUTURE: dict[str, Callable[[], Options]] = {
    "countdown": lambda: {"countdown": 60},
    "eta": lambda: {"eta": later()},
}


@pytest.mark.parametrize("time", FUTURE)
@pytest.mark.parametrize("way", WAYS)
def test_an_eta_is_rejected(make: Callable[..., Celery], given: str, way: str, time: str) -> None:
    options, conf = policy(given, "eta", "reject")
    app = make(**conf)
    with pytest.raises(InvalidOption, match=r"was sent with (countdown|eta)=.*, and its group_eta is 'reject'"):
        WAYS[way](app, {**options, **FUTURE[time]()})
    assert in_line(app) == []
    WAYS[way](app, {**options, "eta": datetime(2020, 1, 1, tzinfo=timezone.utc), "task_id": "a"})
    WAYS[way](app, {**options, "countdown": 0, "task_id": "b"})
    assert in_line(app) == ["a", "b"]


@pytest.mark.parametrize("said", ["at_due", "reserve"])
@pytest.mark.parametrize("year", [5140, 9999])
def test_an_eta_that_never_comes(make: Callable[..., Celery], said: str, year: int) -> None:
    app = make()
    app.tasks["send"].apply_async(("k",), eta=datetime(year, 1, 1), group_eta=said, task_id="a")
    found, groups = Groups(app).find("a"), Groups(app)
    assert found is not None and found.due is not None
    assert 94 < (found.due - later()) / timedelta(days=365.25) < 96
    assert (groups.stats().scheduled, groups.stats().held) == (int(said == "at_due"), int(said == "reserve"))
    groups.revoke("a")


def test_an_eta_in_a_bulk_is_rejected(make: Callable[..., Celery]) -> None:
    app = make()
    strict = app.tasks["strict"]
    with pytest.raises(PartiallyParked, match="its group_eta is 'reject'"):
        park_many([strict.s("k").set(task_id="a"), strict.s("k").set(task_id="b", countdown=5), strict.s("k")])
    assert in_line(app) == ["a"]


def test_at_a_commit(make: Callable[..., Celery], tmp_path: Path) -> None:
    """An ETA is refused at once; whether an id is there is known at the commit."""
    app = make()
    strict = app.tasks["strict"]
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db")
    with Session(engine) as session:
        with pytest.raises(InvalidOption, match="its group_eta is 'reject'"):
            park_on_commit(session, strict.s("k").set(countdown=5))
        for _ in range(2):
            park_on_commit(session, strict.s("k").set(task_id="a"))
        with pytest.raises(PartiallyParked, match="Task a of group 'k' is parked or running already"):
            session.commit()
    engine.dispose()
    assert in_line(app) == ["a"]


@pytest.mark.parametrize("time", FUTURE)
def test_in_place(make: Callable[..., Celery], time: str) -> None:
    app = make("redis://localhost:1/0", task_always_eager=True, task_eager_propagates=True)
    for call in (app.tasks["strict"].apply_async, app.tasks["strict"].apply):
        with pytest.raises(InvalidOption, match="its group_eta is 'reject'"):
            call(("k",), **FUTURE[time]())
        call(("k",))
    app.tasks["strict"].apply_async(("k",), group_eta="at_due", **FUTURE[time]())
