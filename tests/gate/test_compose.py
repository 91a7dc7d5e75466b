"""Entries that `park_many` copies are those that `apply_async` would have parked, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from functools import wraps
from typing import Any

import pytest
from celery import Celery
from celery._state import _task_stack
from celery.canvas import Signature
from celery.signals import after_task_publish, before_task_publish
from celery.utils.saferepr import saferepr
from hypothesis import given
from hypothesis import strategies as st
from kombu.serialization import registry

from celery_groupfifo import GroupFifoTask, PartiallyParked, park_many
from celery_groupfifo.gate.gate import gate_of
from celery_groupfifo.sending import bulk_templates as compose
from celery_groupfifo.signals import group_parked


class Loud(GroupFifoTask):
    """Overrides the sending."""

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        return super().apply_async(args, {**(kwargs or {}), "more": "loud"}, **options)


class Shadowed(GroupFifoTask):
    """Is shown under a name of its own."""

    def shadow_name(self, args: Any, kwargs: Any, options: Any) -> str:
        return f"send-{args}"


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    app = Celery("compose", broker=redis_url, set_as_current=False)
    app.conf.task_ignore_result = True

    def send(key: str, number: Any = 0, *, more: Any = None) -> None: ...

    def make(name: str, base: type[GroupFifoTask] = GroupFifoTask, **options: Any) -> None:
        app.task(base=base, group_key="{key}", name=name, lazy=False, shared=False, **options)(send)

    make("send")
    make("percent %s %(id)s", priority=6)
    make("pickled", serializer="pickle")
    make("packed", compression="zlib")
    make("untyped", typing=False)
    make("elsewhere", queue="else", time_limit=30, soft_time_limit=20)
    make("short", expires=60)
    make("kept", ignore_result=False)
    make("loud", Loud)
    make("shadowed", Shadowed)
    app.task(name="plain", lazy=False, shared=False)(send)
    yield app
    app.close()


CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]] = {
    "usual": (("k", 1), {}, {}),
    "no arguments but the key": (("k",), {}, {}),
    "keywords": (("k",), {"number": 2, "more": "it's"}, {}),
    "quotes, percents and other letters": (("k%s'\"\\ ü\n\0", "100 % %(id)s 'x'"), {}, {}),
    "long": (("k", "x" * 3000), {}, {}),
    "nested": (("k", [1, {"a": (1, 2)}]), {"more": {"b": None}}, {}),
    "rich": (("k", datetime(2030, 1, 1, tzinfo=timezone.utc)), {}, {}),
    "numbers": (("k", 1.5), {"more": 2**80}, {}),
    "truth": (("k", True), {"more": None}, {}),
    "key": (("k", 1), {}, {"group_key": "other % ü"}),
    "queue": (("k", 1), {}, {"queue": "q2"}),
    "priority": (("k", 1), {}, {"priority": 3}),
    "truth as priority": (("k", 1), {}, {"priority": True}),
    "queue none": (("k", 1), {}, {"queue": None}),
    "link": (("k", 1), {}, {"link": Signature("after", args=(1,), options={"task_id": "then"})}),
    "link_error": (("k", 1), {}, {"link_error": Signature("failed", options={"task_id": "then"})}),
    "expires": (("k", 1), {}, {"expires": datetime(2030, 1, 1, tzinfo=timezone.utc)}),
    "eta": (("k", 1), {}, {"eta": datetime(2030, 1, 1, tzinfo=timezone.utc)}),
    "headers": (("k", 1), {}, {"headers": {"x": "y"}}),
    "shadow": (("k", 1), {}, {"shadow": "s"}),
    "pickle": (("k", 1), {}, {"serializer": "pickle"}),
    "compression": (("k", 1), {}, {"compression": "zlib"}),
    "routing key": (("k", 1), {}, {"routing_key": "celery"}),
    "reply_to": (("k", 1), {}, {"reply_to": "me"}),
    "reprs": (("k", 1), {}, {"argsrepr": "…", "kwargsrepr": "…"}),
    "root and parent": (("k", 1), {}, {"root_id": "r", "parent_id": "p"}),
    "group": (("k", 1), {}, {"group_id": "g", "group_index": 1}),
    "ignored": (("k", 1), {}, {"ignore_result": True}),
    "limits": (("k", 1), {}, {"time_limit": 9, "soft_time_limit": 8}),
    "group_max_lost": (("k", 1), {}, {"group_max_lost": 2}),
    "stamps": (("k", 1), {}, {"stamped_headers": ["s"], "s": "v"}),
}
COPIED = ("send", "percent %s %(id)s", "untyped", "elsewhere", "kept")
OTHERS = ("pickled", "packed", "loud", "shadowed")


def signature(app: Celery, task: str, call: str, task_id: str) -> Any:
    args, kwargs, options = CALLS[call]
    return app.tasks[task].signature(args, kwargs, {**options, "task_id": task_id})


def stored(app: Celery, task_id: str) -> bytes:
    """An entry, without the time of its park; the database is emptied."""
    gate = gate_of(app)
    text = gate.store.client.hget(gate.keyspace.partitions[0].entries, task_id)
    gate.store.client.flushdb()
    return bytes(text.split(b" ", 1)[1])


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the entries that were copied."""
    found: list[str] = []
    make = compose.Composer.compose

    def counted(self: compose.Composer, signature: Any) -> Any:
        made = make(self, signature)
        if made is not None:
            found.append(made[0].id)
        return made

    monkeypatch.setattr(compose.Composer, "compose", counted)
    return found


def second_of_many(app: Celery, task: str, call: str) -> bytes:
    """The stored entry of a call that came after another one of its kind."""
    first = signature(app, task, call, "first")
    first["args"] = ("before", *(7 for _ in first["args"][1:]))
    park_many([first, signature(app, task, call, "same")])
    return stored(app, "same")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("task", [*COPIED, *OTHERS])
def test_the_entry_is_the_one_of_apply_async(app: Celery, task: str, call: str) -> None:
    assert second_of_many(app, task, call) == stored_alone(app, task, call)


def stored_alone(app: Celery, task: str, call: str) -> bytes:
    signature(app, task, call, "same").apply_async()
    return stored(app, "same")


@pytest.mark.parametrize("task", COPIED)
@pytest.mark.parametrize("call", ["usual", "keywords", "nested", "rich", "key", "queue", "priority"])
def test_usual_calls_are_copied(app: Celery, task: str, call: str, copies: list[str]) -> None:
    second_of_many(app, task, call)
    assert copies == ["same"]


@pytest.mark.parametrize(
    ("task", "call"),
    [
        *((task, "usual") for task in (*OTHERS, "short")),
        *(("send", call) for call in ("link", "link_error", "expires", "eta", "headers", "group", "stamps")),
    ],
)
def test_unusual_calls_are_not(app: Celery, task: str, call: str, copies: list[str]) -> None:
    second_of_many(app, task, call)
    assert copies == []


@pytest.mark.parametrize("options", [{"countdown": 60}, {"expires": 60}], ids=str)
def test_times_from_now_are_not(app: Celery, options: dict[str, Any], copies: list[str]) -> None:
    park_many(app.tasks["send"].signature(("k", number), {}, dict(options)) for number in range(3))
    assert copies == []


def test_calls_inside_a_task_are_not(app: Celery, copies: list[str]) -> None:
    """They name their parent and its root, and may take its priority."""
    parent = app.tasks["plain"]
    parent.push_request(id="parent", root_id="root", called_directly=False)
    _task_stack.push(parent)
    try:
        results = park_many(app.tasks["send"].s("k", number) for number in range(3))
    finally:
        _task_stack.pop()
        parent.pop_request()
    assert copies == []
    assert b'"root_id": "root", "parent_id": "parent"' in stored(app, results[-1].id)


def _wrapped(function: Any) -> Any:
    @wraps(function)
    def counting(*args: Any, **kwargs: Any) -> Any:
        wrapper.calls += 1
        return function(*args, **kwargs)

    wrapper: Any = counting
    wrapper.calls = 0
    return wrapper


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (lambda app: type(app.tasks["send"]), "apply_async"),
        (lambda app: Signature, "apply_async"),
        (lambda app: app, "send_task"),
        (lambda app: app.amqp, "create_task_message"),
        (lambda app: app.amqp.send_task_message, "send"),
        (lambda app: app.amqp.router, "route"),
        (lambda app: registry._encoders["json"], "encoder"),
    ],
    ids=[
        "task's apply_async",
        "signature's apply_async",
        "send_task",
        "create_task_message",
        "send_task_message",
        "route",
        "encoder",
    ],
)
def test_whatever_is_wrapped_sees_each_call(
    app: Celery, owner: Any, name: str, copies: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = owner(app)
    wrapper = _wrapped(getattr(owner, name))
    if owner is registry._encoders["json"]:
        monkeypatch.setitem(registry._encoders, "json", owner._replace(**{name: wrapper}))
    else:
        monkeypatch.setattr(owner, name, wrapper)
    park_many(app.tasks["send"].s("k", number) for number in range(3))
    assert wrapper.calls >= 3
    assert copies == []


def router(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **_: Any) -> dict[str, Any]:
    return {"queue": f"q-{args[0]}"}


@pytest.mark.parametrize(
    "conf",
    [{"task_routes": router}, {"task_send_sent_event": True}, {"task_always_eager": True}],
    ids=lambda conf: next(iter(conf)),
)
def test_what_an_app_wants_to_see_or_decide_is_left_to_it(app: Celery, conf: Any, copies: list[str]) -> None:
    app.conf.update(conf)
    app.amqp.flush_routes()
    park_many(app.tasks["send"].s(key, 1) for key in "abc")
    assert copies == []


def test_a_table_of_routes_counts(app: Celery, copies: list[str]) -> None:
    app.conf.task_routes = {"se*": {"queue": "routed"}}
    assert second_of_many(app, "send", "usual") == stored_alone(app, "send", "usual")
    assert copies == ["same"]


@pytest.mark.parametrize("signal", [before_task_publish, after_task_publish], ids=lambda signal: str(signal.name))
def test_receivers_of_signals_get_each_one(app: Celery, signal: Any, copies: list[str]) -> None:
    heard: list[str] = []

    def receiver(headers: dict[str, Any], **_: Any) -> None:
        heard.append(headers["id"])

    signal.connect(receiver)
    try:
        results = park_many(app.tasks["send"].s("k", number) for number in range(3))
    finally:
        signal.disconnect(receiver)
    assert heard == [result.id for result in results]
    assert copies == []


def test_tasks_whose_code_is_elsewhere_are_sent_by_name(app: Celery, copies: list[str]) -> None:
    results = park_many(app.signature("unknown", args=(number,), group_key="k") for number in range(2))
    assert len(results) == 2
    assert copies == []


def test_group_parked_tells_of_copies(app: Celery, copies: list[str]) -> None:
    heard: list[tuple[str, str, str, float]] = []

    def receiver(sender: str, key: str, task_id: str, delay: float, **_: Any) -> None:
        heard.append((sender, key, task_id, delay))

    group_parked.connect(receiver)
    try:
        results = park_many(app.tasks["send"].s("k", number) for number in range(3))
    finally:
        group_parked.disconnect(receiver)
    assert heard == [("send", "k", result.id, 0.0) for result in results]
    assert copies == [result.id for result in results[1:]]


def test_results_are_those_of_the_task(app: Celery) -> None:
    kept, ignored = (park_many([app.tasks[name].s("k", n) for n in range(2)]) for name in ("kept", "send"))
    assert [type(result) for result in kept] == [app.AsyncResult] * 2
    assert [result.ignored for result in kept + ignored] == [False, False, True, True]
    assert [result.task_id for result in kept] == [result.id for result in kept]


@pytest.mark.parametrize(
    ("args", "error"), [((), "missing"), (("k", 1, 2, 3), "positional"), ((None,), "None"), (("k", object()), "serial")]
)
def test_a_wrong_call_among_copies_says_what_apply_async_says(app: Celery, args: Any, error: str) -> None:
    with pytest.raises(Exception, match=error) as alone:
        app.tasks["send"].apply_async(args)
    with pytest.raises(PartiallyParked, match=error) as many:
        park_many([*(app.tasks["send"].s("k", n) for n in range(3)), app.tasks["send"].s(*args)])
    assert repr(many.value.cause) == repr(alone.value) or type(many.value.cause) is type(alone.value)
    assert len(many.value.parked) == 3


_values = st.one_of(
    st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.integers(), max_size=3)
)


@given(st.lists(_values, max_size=6).map(tuple) | st.tuples(st.text(min_size=900, max_size=1100), _values))
def test_arguments_are_shown_as_celery_shows_them(args: tuple[Any, ...]) -> None:
    assert compose.shown(args, 1024, 3) == saferepr(args, 1024, 3)
