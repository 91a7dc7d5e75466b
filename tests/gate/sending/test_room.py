"""Calls that wait for room in a full group, in every way to send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, group, signals
from celery.result import AsyncResult
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from celery_groupfifo import (
    GroupDraining,
    GroupFifo,
    GroupFifoTask,
    GroupFull,
    Groups,
    InvalidOption,
    PartiallyParked,
    park_many,
    park_on_commit,
)
from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.gate.keys import Quoted
from celery_groupfifo.gate.model import Entry, Ticket
from celery_groupfifo.sending import room
from celery_groupfifo.sending.context import Continuation, continuing
from celery_groupfifo.signals import group_parked
from tests.gate.sending.lines import in_line
from tests.support.waiting import HUNG, until

Options = dict[str, Any]
WAIT: Options = {"group_max_depth": 2, "group_overflow": "wait"}


class Pauses:
    """The pauses of waiting calls; and a clock for them, where a test moves it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self._pause, self._patch = 0, room.pause, monkeypatch
        monkeypatch.setattr(room, "pause", self._counted)

    def _counted(self, seconds: float, *rooms: room.Room) -> None:
        self.count += 1
        self._pause(seconds, *rooms)

    def move_the_clock(self, each: float, then: Callable[[int], object]) -> None:
        """Let each pause take so long, without sleeping; `then` is called with their number."""

        def pause(seconds: float, *rooms: room.Room) -> None:
            self.count += 1
            then(self.count)

        self._patch.setattr(room, "pause", pause)
        self._patch.setattr(room, "now", lambda: 1000 + each * self.count)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    return Pauses(monkeypatch)


@pytest.fixture
def make(redis_url: str) -> Iterator[Callable[..., Celery]]:
    made: list[Celery] = []

    def make(**conf: Any) -> Celery:
        app = Celery("rooms", broker=redis_url, backend=redis_url, set_as_current=False)
        app.conf.update(conf)
        made.append(app)

        def send(key: str) -> None: ...

        GroupFifo(app)
        app.task(base=GroupFifoTask, group_key="{key}", name="wait", lazy=False, shared=False, **WAIT)(send)
        app.task(base=GroupFifoTask, group_key="{key}", name="send", lazy=False, shared=False)(send)
        app.task(name="plain", lazy=False, shared=False)(send)
        return app

    yield make
    for app in made:
        app.backend.result_consumer.stop()
        app.close()


@pytest.fixture
def app(make: Callable[..., Celery]) -> Celery:
    return make()


@contextmanager
def waiting(pauses: Pauses, call: Callable[..., Any], *args: Any) -> Iterator[Future[Any]]:
    """A call in a thread, which waits for room by now."""
    with ThreadPoolExecutor(1) as threads:
        before = pauses.count
        future = threads.submit(call, *args)
        until(lambda: pauses.count > before + 1 or future.done())
        assert not future.done(), future
        yield future
        future.exception(timeout=HUNG)


WAYS: dict[str, Callable[[Celery, Options], Any]] = {
    "task": lambda app, options: app.tasks["wait"].apply_async(("k",), **options),
    "by its setting": lambda app, options: app.tasks["send"].apply_async(("k",), **options),
    "signature": lambda app, options: app.tasks["send"].s("k").set(**WAIT, **options).delay(),
    "by name": lambda app, options: app.send_task("unknown", ("k",), group_key="k", **WAIT, **options),
    "plain": lambda app, options: app.tasks["plain"].apply_async(("k",), group_key="k", **WAIT, **options),
    "bulk": lambda app, options: park_many([app.tasks["wait"].s("k").set(**options)])[0],
    "canvas": lambda app, options: group([app.tasks["wait"].s("k").set(**options)])()[0],
}


def fill(app: Celery, way: str = "task", ids: str = "abc") -> None:
    """Fill the group; the calls that follow are filled into the message of the first."""
    for id in ids:
        WAYS[way](app, {"task_id": id})


@pytest.mark.parametrize("way", WAYS)
def test_it_goes_on_when_there_is_room(make: Callable[..., Celery], pauses: Pauses, way: str) -> None:
    conf = {"groupfifo_max_depth": 2, "groupfifo_overflow": "wait"} if way == "by its setting" else {}
    app = make(**conf)
    told: list[str] = []
    for signal, name in ((signals.before_task_publish, "before"), (signals.after_task_publish, "after")):
        if way in ("signature", "by name"):
            signal.connect(lambda *_, name=name, **__: told.append(name), weak=False, dispatch_uid=name)
    group_parked.connect(lambda **_: told.append("parked"), weak=False, dispatch_uid="parked")
    try:
        fill(app, way)
        told.clear()
        with waiting(pauses, WAYS[way], app, {"task_id": "d"}) as call:
            assert in_line(app) == ["a", "b", "c"] and "parked" not in told
            Groups(app).revoke("b")
            result = call.result(timeout=HUNG)
        assert result.id == "d" and in_line(app) == ["a", "c", "d"]
        assert told == (["before", "after", "parked"] if way in ("signature", "by name") else ["parked"])
    finally:
        for signal, name in ((signals.before_task_publish, "before"), (signals.after_task_publish, "after")):
            signal.disconnect(dispatch_uid=name)
        group_parked.disconnect(dispatch_uid="parked")


@pytest.mark.parametrize("way", WAYS)
def test_it_gives_up(make: Callable[..., Celery], pauses: Pauses, way: str) -> None:
    app = make(groupfifo_max_depth=2, groupfifo_overflow="wait", groupfifo_overflow_timeout=0.1)
    fill(app, way)
    with pytest.raises((GroupFull, PartiallyParked), match=r"as many .* no room for 0\.1 s \(group_overflow_timeout"):
        WAYS[way](app, {"task_id": "d"})
    assert pauses.count > 1 and in_line(app) == ["a", "b", "c"]
    pauses.count = 0
    with pytest.raises((GroupFull, PartiallyParked), match="no room for 0 s"):
        WAYS[way](app, {"task_id": "d", "group_overflow_timeout": 0})
    assert pauses.count == 0, "it does not wait at all"


def test_no_limit(make: Callable[..., Celery], pauses: Pauses) -> None:
    app = make(groupfifo_overflow_timeout=None)
    fill(app)
    pauses.move_the_clock(1e6, lambda count: count == 5 and Groups(app).revoke("c"))
    fill(app, ids="d")
    assert pauses.count == 5 and in_line(app) == ["a", "b", "d"]


@pytest.mark.parametrize("way", ["task", "by name", "bulk"])
def test_a_group_that_drains_meanwhile(app: Celery, pauses: Pauses, way: str) -> None:
    fill(app)
    with waiting(pauses, WAYS[way], app, {"task_id": "d"}) as call:
        Groups(app).drain("k")
        error = call.exception(timeout=HUNG)
    assert isinstance(getattr(error, "cause", error), GroupDraining), error


@pytest.mark.parametrize("way", ["task", "signature", "by name", "plain", "bulk"])
def test_it_holds_no_producer(make: Callable[..., Celery], pauses: Pauses, way: str) -> None:
    """All other sends of the process would wait, too: those of plain tasks, and those that the group waits for."""
    app = make(broker_pool_limit=1)
    fill(app, way)
    with waiting(pauses, WAYS[way], app, {"task_id": "d"}) as call, ThreadPoolExecutor(1) as threads:
        sent = threads.submit(app.tasks["plain"].delay, "k")
        try:
            assert isinstance(sent.result(timeout=HUNG / 3), AsyncResult)
        finally:
            Groups(app).revoke("b")
    assert call.result().id == "d"


@pytest.mark.parametrize("way", ["task", "by name", "bulk"])
def test_a_run_does_not_wait_for_itself(app: Celery, pauses: Pauses, way: str) -> None:
    fill(app)
    ticket = Ticket("0", 1, 0, 0, "a", Quoted("k"))
    with continuing(Continuation(ticket, "k", 0)):
        with pytest.raises((GroupFull, PartiallyParked), match="sent by a run of this group, task a: the group"):
            WAYS[way](app, {"task_id": "d"})
        assert pauses.count == 0
    with continuing(Continuation(ticket, "another", 0)), waiting(pauses, WAYS[way], app, {"task_id": "d"}):
        Groups(app).revoke("b")
    assert in_line(app) == ["a", "c", "d"]


def test_the_eta_comes_no_later(app: Celery, pauses: Pauses, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(app)
    seen: list[int] = []
    park, park_all = gate_of(app).park, gate_of(app).park_all

    def one(entry: Entry, *more: Any) -> Any:
        seen.append(entry.delay)
        return park(entry, *more)

    def all_of(entries: list[Entry], *more: Any) -> Any:
        seen.extend(entry.delay for entry in entries)
        return park_all(entries, *more)

    monkeypatch.setattr(gate_of(app), "park", one)
    monkeypatch.setattr(gate_of(app), "park_all", all_of)
    pauses.move_the_clock(4, lambda count: count == 2 and Groups(app).revoke("b"))
    app.tasks["wait"].apply_async(("k",), task_id="d", countdown=10)
    pauses.count = 0
    pauses.move_the_clock(4, lambda count: count == 2 and Groups(app).revoke("c"))
    park_many([app.tasks["wait"].s("k").set(task_id="e", countdown=10)])
    assert [round(delay, -3) for delay in seen] == [10_000, 6_000, 2_000] * 2


def test_a_duplicate_that_comes_meanwhile(app: Celery, pauses: Pauses) -> None:
    """The call returns the result of that task."""
    fill(app)
    same = {"group_dedup_key": "{key}"}
    with waiting(pauses, WAYS["task"], app, {"task_id": "d", **same}) as call:
        app.tasks["wait"].apply_async(("k",), task_id="e", group_max_depth=9, **same)
        assert call.result(timeout=HUNG).id == "e"
    assert in_line(app) == ["a", "b", "c", "e"]


def test_producers_at_the_same_time(app: Celery, pauses: Pauses) -> None:
    """The bound is exact, and each producer's calls keep their order."""

    def produce(name: str) -> None:
        for number in range(8):
            WAYS["task" if number % 2 else "by name"](app, {"task_id": f"{name}{number}"})

    done: list[str] = []
    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(produce, name) for name in "abcd"]
        until(lambda: pauses.count)
        while not all(call.done() for call in calls) or in_line(app):
            if line := in_line(app):
                assert len(line) <= 3
                Groups(app).skip("k", line[0])
                done.append(line[0])
        for call in calls:
            call.result(timeout=HUNG)
    for name in "abcd":
        assert [each for each in done if each[0] == name] == [f"{name}{number}" for number in range(8)]


# -- in bulk -------------------------------------------------------------------


def moved(app: Celery, call: Future[Any], key: str = "k") -> list[str]:
    """Take heads out until the call is over; return the ids in the order of the line."""
    heads: list[str] = []
    while not call.done() or in_line(app, key):
        if line := in_line(app, key):
            Groups(app).skip(key, line[0])
            heads.append(line[0])
    return heads


@pytest.mark.parametrize("bounds", [(2,), (2, 5), (1, 0), (3, 0, 1)])
def test_a_bulk_waits_in_order(app: Celery, pauses: Pauses, bounds: tuple[int, ...]) -> None:
    """Those that may have more before them, or any number, do not overtake; other groups do not wait."""
    calls = []
    for at, id in enumerate("abcdefghij"):
        most = bounds[at % len(bounds)]
        calls.append(app.tasks["send"].s("k").set(task_id=id, **({**WAIT, "group_max_depth": most} if most else {})))
    calls.insert(4, app.tasks["wait"].s("other").set(task_id="x"))
    with waiting(pauses, lambda: park_many(calls, chunk=8)) as call:
        until(lambda: in_line(app, "other") == ["x"] or len(bounds) > 1)
        heads = moved(app, call)
    assert heads == list("abcdefghij")
    assert [result.id for result in call.result()] == [*"abcd", "x", *"efghij"]
    assert in_line(app, "other") == ["x"]


def test_a_bulk_gives_up(app: Celery, pauses: Pauses) -> None:
    calls = [app.tasks["wait"].s("k").set(task_id=id, group_overflow_timeout=0.05) for id in "abcde"]
    calls.append(app.tasks["wait"].s("other").set(task_id="x"))
    with pytest.raises(PartiallyParked, match=r"4 signatures .* then: Task d .* no room for 0\.05 s") as error:
        park_many(calls)
    assert [result.id for result in error.value.parked] == ["a", "b", "c", "x"]
    assert in_line(app) == ["a", "b", "c"] and in_line(app, "other") == ["x"]


def test_the_timeout_of_a_bulk_counts_from_the_last_that_found_room(app: Celery, pauses: Pauses) -> None:
    """As with single calls, each of which waits for so long."""
    fill(app)
    going = iter("abcdef")
    pauses.move_the_clock(0.6, lambda count: count % 3 == 0 and Groups(app).skip("k", next(going)))
    calls = [app.tasks["wait"].s("k").set(task_id=id, group_overflow_timeout=2) for id in "defg"]
    assert [result.id for result in park_many(calls)] == list("defg")
    assert pauses.count == 12


def test_at_a_commit_nobody_waits(app: Celery, pauses: Pauses, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db")
    with Session(engine) as session:
        for id in "abcd":
            park_on_commit(session, app.tasks["wait"].s("k").set(task_id=id))
        with pytest.raises(PartiallyParked, match="3 signatures were parked, then: Task d was not parked"):
            session.commit()
    engine.dispose()
    assert pauses.count == 0 and in_line(app) == ["a", "b", "c"]


# -- the rest --------------------------------------------------------------------


def test_pauses_grow_and_differ(monkeypatch: pytest.MonkeyPatch, app: Celery) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    fill(app)
    monkeypatch.setattr(room, "now", lambda: 1000 + sum(slept))
    with pytest.raises(GroupFull):
        fill(app, ids="d")
    assert 0.005 <= slept[0] <= 0.01 and len(slept) < 150 and len(set(slept)) > len(slept) / 2
    assert max(slept) <= 0.5 and min(slept[15:-1]) >= 0.25


def test_nothing_is_left_of_a_call_that_gave_up(app: Celery) -> None:
    fill(app)
    keys = set(gate_of(app).store.client.keys("*groupfifo*"))
    with pytest.raises(GroupFull):
        WAYS["task"](app, {"task_id": "d", "group_overflow_timeout": 0.05})
    assert set(gate_of(app).store.client.keys("*groupfifo*")) == keys


@pytest.mark.parametrize("value", [-1, "10", True])
def test_a_wrong_timeout_is_an_error(app: Celery, value: Any) -> None:
    with pytest.raises(InvalidOption, match=rf"group_overflow_timeout={value!r} does not work: set it to a number"):
        app.tasks["send"].apply_async(("k",), group_overflow_timeout=value)


def test_in_place_nobody_waits(make: Callable[..., Celery]) -> None:
    app = make(task_always_eager=True)
    assert [app.tasks["wait"].delay("k").state for _ in range(5)] == ["SUCCESS"] * 5
