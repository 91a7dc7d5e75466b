"""Entries that are filled into templates are those that Celery's way would have parked, byte for byte."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from functools import wraps
from typing import Any

import pytest
from celery import Celery, Task
from celery._state import _task_stack
from celery.canvas import Signature
from celery.signals import after_task_publish, before_task_publish
from celery.utils.saferepr import saferepr
from hypothesis import given
from hypothesis import strategies as st
from kombu import Exchange, Queue
from kombu.serialization import registry

from celery_groupfifo import GateUnavailable, GroupFifoTask, PartiallyParked, park_many
from celery_groupfifo.gate.gate import Gate, gate_of
from celery_groupfifo.gate.keys import due_ms
from celery_groupfifo.sending import bulk, short_way
from celery_groupfifo.sending import templates as compose
from celery_groupfifo.sending.short_way import result_of
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
    """The ids of the entries that were filled into templates."""
    found: list[str] = []

    def counted(call: Any, template: Any, entry: Any) -> Any:
        found.append(entry.id)
        return result_of(call, template, entry)

    for module in (bulk, short_way):
        monkeypatch.setattr(module, "result_of", counted)
    return found


def first_and_same(app: Celery, task: str, call: str) -> tuple[Any, Any]:
    """A call, after another one of its kind."""
    first = signature(app, task, call, "first")
    first["args"] = ("before", *(7 for _ in first["args"][1:]))
    return first, signature(app, task, call, "same")


def second_of_two(app: Celery, task: str, call: str) -> bytes:
    """The stored entry of a call that came after another one of its kind, each sent by itself."""
    for each in first_and_same(app, task, call):
        each.apply_async()
    return stored(app, "same")


def second_of_many(app: Celery, task: str, call: str) -> bytes:
    """The stored entry of a call that came after another one of its kind."""
    park_many(first_and_same(app, task, call))
    return stored(app, "same")


Second = Callable[[Celery, str, str], bytes]
each_way = pytest.mark.parametrize("second", [second_of_many, second_of_two])


@each_way
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("task", [*COPIED, *OTHERS])
def test_the_entry_is_the_one_of_celerys_way(app: Celery, task: str, call: str, second: Second) -> None:
    assert second(app, task, call) == stored_by_celery(app, task, call)


def stored_by_celery(app: Celery, task: str, call: str) -> bytes:
    def listener(**_: Any) -> None: ...

    before_task_publish.connect(listener)
    try:
        signature(app, task, call, "same").apply_async()
    finally:
        before_task_publish.disconnect(listener)
    return stored(app, "same")


@each_way
@pytest.mark.parametrize("task", COPIED)
@pytest.mark.parametrize("call", ["usual", "keywords", "nested", "rich", "key", "queue", "priority", "eta"])
def test_usual_calls_are_copied(app: Celery, task: str, call: str, copies: list[str], second: Second) -> None:
    second(app, task, call)
    assert copies == ["same"]


@each_way
@pytest.mark.parametrize(
    ("task", "call"),
    [
        *((task, "usual") for task in (*OTHERS, "short")),
        *(("send", call) for call in ("link", "link_error", "expires", "headers", "group", "stamps")),
    ],
)
def test_unusual_calls_are_not(app: Celery, task: str, call: str, copies: list[str], second: Second) -> None:
    second(app, task, call)
    assert copies == []


def send_each(signatures: Iterable[Any]) -> list[Any]:
    return [each.apply_async() for each in signatures]


each_sender = pytest.mark.parametrize("sender", [park_many, send_each])
Sender = Callable[[Iterable[Any]], list[Any]]


@each_sender
@pytest.mark.parametrize(
    "options",
    [{"expires": 60}, {"countdown": 0}, {"countdown": -5}, {"countdown": 60, "eta": datetime(2030, 1, 1)}],
    ids=str,
)
def test_other_times_are_not(app: Celery, options: dict[str, Any], copies: list[str], sender: Sender) -> None:
    sender(app.tasks["send"].signature(("k", number), {}, dict(options)) for number in range(3))
    assert copies == []


@each_sender
@pytest.mark.parametrize("timezone_name", ["UTC", "Europe/Berlin"])
@pytest.mark.parametrize("countdown", [0.25, 3600])
def test_countdowns_are_copied(
    app: Celery, countdown: float, timezone_name: str, copies: list[str], sender: Sender
) -> None:
    """The message tells the same kind of time as Celery's, and the gate waits as long."""
    app.conf.timezone = timezone_name
    before = app.now()
    first, *others = sender(app.tasks["send"].s("k", number).set(countdown=countdown) for number in range(3))
    after = app.now()
    assert copies == [each.id for each in others]
    told = {each.id: headers_of(app, each.id)["groupfifo_eta"] for each in (first, *others)}
    for eta in map(datetime.fromisoformat, told.values()):
        assert before <= eta - timedelta(seconds=countdown) <= after
        assert eta.utcoffset() == before.utcoffset()
    gate = gate_of(app)
    due = gate.store.client.zrange(gate.keyspace.partitions[0].due, 0, -1, withscores=True)
    assert len(due) == 3
    for member, score in due:
        eta = datetime.fromisoformat(told[member.decode().split(" ")[2]])
        assert abs(due_ms(score) - eta.timestamp() * 1000) < 1000


def headers_of(app: Celery, task_id: str) -> dict[str, Any]:
    gate = gate_of(app)
    return gate.store.entries(gate.keyspace.partitions[0], [task_id])[task_id].headers()


@each_sender
@pytest.mark.parametrize("root", ["root", None])
def test_calls_inside_a_task_name_their_parent_and_its_root(
    app: Celery, copies: list[str], sender: Sender, root: str | None
) -> None:
    parent = app.tasks["plain"]
    results = []
    for run in ("parent", "other parent"):
        parent.push_request(id=run, root_id=root, called_directly=False)
        _task_stack.push(parent)
        try:
            results += sender([app.tasks["send"].s("k", number) for number in range(3)])
            assert parent.request.children == results[-3:]
        finally:
            _task_stack.pop()
            parent.pop_request()
    assert copies == [each.id for each in results[1:]]
    found = [(each["root_id"], each["parent_id"]) for each in (headers_of(app, result.id) for result in results)]
    assert found == [(root or "parent", "parent")] * 3 + [(root or "other parent", "other parent")] * 3


@each_sender
def test_a_priority_that_is_inherited_is_left_to_celery(app: Celery, copies: list[str], sender: Sender) -> None:
    app.conf.task_inherit_parent_priority = True
    parent = app.tasks["plain"]
    parent.push_request(id="parent", called_directly=False, delivery_info={"priority": 7})
    _task_stack.push(parent)
    try:
        sender(app.tasks["send"].s("k", number) for number in range(3))
    finally:
        _task_stack.pop()
        parent.pop_request()
    assert copies == []


def _wrapped(function: Any) -> Any:
    @wraps(function)
    def counting(*args: Any, **kwargs: Any) -> Any:
        wrapper.calls += 1
        return function(*args, **kwargs)

    wrapper: Any = counting
    wrapper.calls = 0
    return wrapper


@each_sender
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (lambda app: Task, "apply_async"),
        (lambda app: type(app.tasks["send"]), "shadow_name"),
        (lambda app: type(app.tasks["send"]), "_get_exec_options"),
        (lambda app: Signature, "apply_async"),
        (lambda app: app, "send_task"),
        (lambda app: app.amqp, "create_task_message"),
        (lambda app: app.amqp.send_task_message, "send"),
        (lambda app: app.amqp.router, "route"),
        (lambda app: registry._encoders["json"], "encoder"),
    ],
    ids=[
        "celery's apply_async",
        "shadow_name",
        "_get_exec_options",
        "signature's apply_async",
        "send_task",
        "create_task_message",
        "send_task_message",
        "route",
        "encoder",
    ],
)
def test_whatever_is_wrapped_sees_each_call(
    app: Celery, owner: Any, name: str, copies: list[str], monkeypatch: pytest.MonkeyPatch, sender: Sender
) -> None:
    """Also when it is wrapped after the first calls."""
    owner = owner(app)
    sender(app.tasks["send"].s("k", number) for number in range(3))
    assert len(copies) == 2
    copies.clear()
    wrapper = _wrapped(getattr(owner, name))
    if owner is registry._encoders["json"]:
        monkeypatch.setitem(registry._encoders, "json", owner._replace(**{name: wrapper}))
    else:
        monkeypatch.setattr(owner, name, wrapper)
    sender(app.tasks["send"].s("k", number) for number in range(3))
    assert wrapper.calls >= 3
    assert copies == []


@each_sender
def test_a_clock_of_the_apps_own_counts(
    app: Celery, copies: list[str], monkeypatch: pytest.MonkeyPatch, sender: Sender
) -> None:
    now = app.now() + timedelta(days=1000)
    monkeypatch.setattr(app, "now", lambda: now)
    (result, _) = sender(app.tasks["send"].s("k", number).set(countdown=60) for number in range(2))
    assert headers_of(app, result.id)["groupfifo_eta"] == (now + timedelta(seconds=60)).isoformat()
    assert copies == []


def router(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **_: Any) -> dict[str, Any]:
    return {"queue": f"q-{args[0]}"}


@pytest.mark.parametrize(
    "conf",
    [{"task_routes": router}, {"task_send_sent_event": True}, {"task_always_eager": True}],
    ids=lambda conf: next(iter(conf)),
)
@each_sender
def test_what_an_app_wants_to_see_or_decide_is_left_to_it(
    app: Celery, conf: Any, copies: list[str], sender: Sender
) -> None:
    sender([app.tasks["send"].s("k", 1)])
    app.conf.update(**conf)
    sender(app.tasks["send"].s(key, 1) for key in "abc")
    assert copies == []


def test_a_table_of_routes_counts(app: Celery, copies: list[str]) -> None:
    app.conf.task_routes = {"se*": {"queue": "routed"}}
    assert second_of_many(app, "send", "usual") == stored_by_celery(app, "send", "usual")
    assert copies == ["same"]


@pytest.mark.parametrize("signal", [before_task_publish, after_task_publish], ids=lambda signal: str(signal.name))
@each_sender
def test_receivers_of_signals_get_each_one(app: Celery, signal: Any, copies: list[str], sender: Sender) -> None:
    heard: list[str] = []

    def receiver(headers: dict[str, Any], **_: Any) -> None:
        heard.append(headers["id"])

    signal.connect(receiver)
    try:
        results = sender(app.tasks["send"].s("k", number) for number in range(3))
    finally:
        signal.disconnect(receiver)
    assert heard == [result.id for result in results]
    assert copies == []


@each_sender
def test_a_receiver_that_comes_later_ends_the_copies(app: Celery, copies: list[str], sender: Sender) -> None:
    def receiver(**_: Any) -> None: ...

    sender(app.tasks["send"].s("k", number) for number in range(2))
    before_task_publish.connect(receiver)
    try:
        sender(app.tasks["send"].s("k", number) for number in range(2))
    finally:
        before_task_publish.disconnect(receiver)
    assert len(copies) == 1


def test_tasks_whose_code_is_elsewhere_are_sent_by_name(app: Celery, copies: list[str]) -> None:
    results = park_many(app.signature("unknown", args=(number,), group_key="k") for number in range(2))
    assert len(results) == 2
    assert copies == []


@each_sender
def test_group_parked_tells_of_copies(app: Celery, copies: list[str], sender: Sender) -> None:
    heard: list[tuple[str, str, str, float]] = []

    def receiver(sender: str, key: str, task_id: str, delay: float, **_: Any) -> None:
        heard.append((sender, key, task_id, delay))

    group_parked.connect(receiver)
    try:
        results = sender(app.tasks["send"].s("k", number) for number in range(3))
    finally:
        group_parked.disconnect(receiver)
    assert heard == [("send", "k", result.id, 0.0) for result in results]
    assert copies == [result.id for result in results[1:]]


@each_sender
def test_results_are_those_of_the_task(app: Celery, sender: Sender) -> None:
    kept, ignored = (sender([app.tasks[name].s("k", n) for n in range(2)]) for name in ("kept", "send"))
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


def test_a_task_that_changes_makes_a_new_template(app: Celery, copies: list[str]) -> None:
    task = app.tasks["send"]
    for ignored in (True, False, True):
        task.ignore_result = ignored
        task._exec_options = None  # Celery 5.6 keeps it there
        results = send_each(task.s("k", number) for number in range(2))
        assert [result.ignored for result in results] == [ignored] * 2
        assert [headers_of(app, result.id)["ignore_result"] for result in results] == [ignored] * 2
    assert len(copies) >= 3


def test_a_queue_that_changes_makes_a_new_template(app: Celery, copies: list[str]) -> None:
    task = app.tasks["send"]
    send_each(task.s("k", number).set(queue="q") for number in range(2))
    app.amqp.queues.add(Queue("q", Exchange("q"), routing_key="q"))
    send_each(task.s("k", number).set(queue="q") for number in range(2))
    assert len(copies) == 2


def test_routes_that_change_count_at_once(app: Celery) -> None:
    task = app.tasks["send"]
    send_each(task.s("k", number) for number in range(2))
    app.conf.update(task_routes={"send": {"queue": "routed"}})
    (result,) = send_each([task.s("other", 0)])
    gate = gate_of(app)
    assert gate.store.entries(gate.keyspace.partitions[0], [result.id])[result.id].queue == "routed"


def test_a_queue_behind_an_exchange_is_looked_up_for_each_call(app: Celery, copies: list[str]) -> None:
    """Its bindings may change at any time."""
    app.conf.task_queues = [Queue("bound", Exchange("tasks", "topic"), "task.#")]
    task = app.tasks["send"]
    send_each(task.s("k", number).set(queue="bound") for number in range(3))
    assert copies == []
    park_many(task.s("k", number).set(queue="bound") for number in range(3))
    assert len(copies) == 2


def test_each_thread_is_answered_itself(app: Celery, copies: list[str]) -> None:
    task = app.tasks["send"]
    results = send_each(task.s("k", number) for number in range(2))
    with ThreadPoolExecutor(1) as pool:
        results += [pool.submit(task.delay, "k", 2).result(), pool.submit(lambda: app.thread_oid).result()]
    gate, other = gate_of(app), results.pop()
    found = gate.store.entries(gate.keyspace.partitions[0], [result.id for result in results])
    replies = [json.loads(found[result.id].whole())["properties"]["reply_to"] for result in results]
    assert replies == [app.thread_oid, app.thread_oid, other]
    assert len(copies) == 2


def test_a_forked_process_names_itself(app: Celery) -> None:
    task = app.tasks["send"]
    send_each(task.s("k", number) for number in range(2))
    child = os.fork()
    if child == 0:
        try:
            task.apply_async(("k", 2), task_id="forked")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert headers_of(app, "forked")["origin"].startswith(f"gen{child}@")


def test_many_kinds_are_forgotten(app: Celery) -> None:
    task = app.tasks["send"]
    for number in range(short_way.KEPT + 5):
        task.apply_async((str(number),), queue=f"q{number}")
    assert len(short_way.short_way_of(app)._learnt.templates) <= short_way.KEPT
    send_each(task.s("k", number).set(queue="q0") for number in range(2))
    assert len(short_way.short_way_of(app)._learnt.templates) <= short_way.KEPT


def test_redis_away_is_tried_again_as_the_policy_says(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    app.conf.task_publish_retry_policy = {"max_retries": 2, "interval_start": 0, "interval_step": 0}
    task, calls = app.tasks["send"], []
    send_each(task.s("k", number) for number in range(2))

    def away(*args: Any, **_: Any) -> None:
        calls.append(args[1])
        raise GateUnavailable("away")

    monkeypatch.setattr(Gate, "park", away)
    with pytest.raises(GateUnavailable):
        task.delay("k", 3)
    assert len(calls) == 3 and len({id(entry) for entry in calls}) == 1
