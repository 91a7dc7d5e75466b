"""Order values and windows, for every way to send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from celery import Celery, chain
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from celery_groupfifo import (
    GroupFifo,
    GroupFifoTask,
    Groups,
    InvalidOption,
    MissingGroupKey,
    PartiallyParked,
    park_many,
    park_on_commit,
)
from celery_groupfifo.cli import look
from celery_groupfifo.signals import group_parked

Options = dict[str, Any]
Send = Callable[[Celery, Any, Options], Any]
WINDOW: Options = {"group_reorder_window": 60}


def make_app(url: str, **conf: Any) -> Celery:
    app = Celery("orders", broker=url, backend=url, set_as_current=False)
    app.conf.update(**conf)

    def send(key: str, number: Any = 7, message: Any = None) -> None: ...

    GroupFifo(app)
    named: dict[str, Options] = {
        "send": {},
        "parameter": {"group_order_by": "number"},
        "template": {"group_order_by": "{number}"},
        "callable": {"group_order_by": lambda number, **_: number},
        "part": {"group_order_by": "{message[sent_at]}"},
    }
    for name, own in named.items():
        window = WINDOW if own else {}
        app.task(base=GroupFifoTask, group_key="{key}", name=name, lazy=False, shared=False, **own, **window)(send)
    app.task(base=GroupFifoTask, group_key="{key}", name="bare", lazy=False, shared=False, group_order_by="number")(
        send
    )
    app.task(name="plain", lazy=False, shared=False)(send)
    return app


@pytest.fixture
def make(redis_url: str) -> Iterator[Callable[..., Celery]]:
    made: list[Celery] = []

    def make(**conf: Any) -> Celery:
        made.append(make_app(redis_url, **conf))
        return made[-1]

    yield make
    for app in made:
        app.close()


def by(name: str) -> Send:
    return lambda app, number, options: app.tasks[name].apply_async(("k", number), **options)


def committed(app: Celery, number: Any, options: Options) -> Any:
    with Session(create_engine("sqlite://")) as session:
        session.connection()
        result = park_on_commit(session, app.tasks["send"].s("k", number).set(**options))
        session.commit()
    return result


#: Ways to send, and whether the value is the call's own or that of the task or the app.
WAYS: dict[str, tuple[str, Send]] = {
    "apply_async": ("call", by("send")),
    "signature": ("call", lambda app, number, options: app.tasks["send"].s("k", number).set(**options).delay()),
    "by name": ("call", lambda app, n, options: app.send_task("unknown", ("k", n), group_key="k", **options)),
    "plain": ("call", lambda app, n, options: app.tasks["plain"].apply_async(("k", n), group_key="k", **options)),
    "header": (
        "header",
        lambda app, n, options: app.tasks["send"].apply_async(("k", n), headers=options),
    ),
    "bulk": ("call", lambda app, n, options: park_many([app.tasks["send"].s("k", n).set(**options)])[0]),
    "commit": ("call", committed),
    **{name: ("task", by(name)) for name in ("parameter", "template", "callable")},
    "bulk of a parameter": (
        "task",
        lambda app, n, options: park_many([app.tasks["parameter"].s("k", n).set(**options)])[0],
    ),
    "setting": ("setting", by("send")),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_call_waits_in_its_window(make: Callable[..., Celery], way: str) -> None:
    given, send = WAYS[way]
    app = make(**({"groupfifo_order_by": "number", "groupfifo_reorder_window": 60} if given == "setting" else {}))
    told: list[float] = []

    def on_parked(delay: float, **_: Any) -> None:
        told.append(delay)

    for number in (2**62 + 1, 5, Decimal("2.5"), -1):  # what follows is filled into the message of the first
        shown = str(number) if given == "header" else number
        own = {"group_order_by": shown, **WINDOW} if given in ("call", "header") else {}
        options = {f"groupfifo_{name}": value for name, value in own.items()} if given == "header" else own
        group_parked.connect(on_parked) if number == -1 else None
        result = send(app, str(number) if isinstance(number, Decimal) else number, options)
        found = Groups(app).find(result.id)
        assert found is not None and (found.state, found.order_value) == ("scheduled", str(number))
        assert found.due is not None and 50 < (found.due - datetime.now(timezone.utc)).total_seconds() <= 61
    assert told == [60.0]
    group = Groups(app).get("k")
    assert (group.depth, group.head, group.state) == (4, None, "held")
    said = Groups(app).explain("k", ask_workers=False)
    assert "4 tasks wait to be sorted" in said and f"the order value {2**62 + 1}: it joins the line in" in said


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (17, "17"),
        (0.1, "0.1"),
        (Decimal("1.50"), "1.5"),
        (" 1732736400.123456 ", "1732736400.123456"),
        (datetime(2030, 1, 31, 12, tzinfo=timezone.utc), "1896091200"),
        (datetime(2030, 1, 31, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=2))), "1896084000.000005"),
        (datetime(2030, 1, 31, 12), "1896091200"),
        ("2030-01-31T12:00:00Z", "1896091200"),
        ("2030-01-31T12:00:00.123456789Z", "1896091200.123456789"),
        ("1969-12-31T23:59:58.5Z", "-1.5"),
    ],
)
def test_a_value_is_a_number_or_a_time(make: Callable[..., Celery], value: Any, number: str) -> None:
    app = make(timezone="Europe/Berlin")
    result = app.tasks["send"].apply_async(("k",), group_order_by=value, **WINDOW)
    found = Groups(app).find(result.id)
    assert found is not None and found.order_value == number


def test_a_template_looks_inside_of_an_argument(make: Callable[..., Celery]) -> None:
    app = make()
    result = app.tasks["part"].delay("k", message={"sent_at": "2030-01-31 12:00:00+00:00"})
    found = Groups(app).find(result.id)
    assert found is not None and found.order_value == "1896091200"
    with pytest.raises(MissingGroupKey, match=r"order value '\{message\[sent_at\]\}' of part can't be built"):
        app.tasks["part"].delay("k", message={})


@pytest.mark.parametrize("value", [True, float("nan"), float("inf"), "soon", "", [1], {"a": 1}, b"1"])
@pytest.mark.parametrize("way", ["apply_async", "callable", "in place", "commit"])
def test_another_value_is_refused(make: Callable[..., Celery], way: str, value: Any) -> None:
    app = make(task_always_eager=way == "in place")
    with pytest.raises(InvalidOption, match="it has to be a number, a datetime, or a text of one of them") as caught:
        if way == "callable":
            app.tasks["callable"].delay("k", value)
        else:
            WAYS["commit" if way == "commit" else "apply_async"][1](app, 1, {"group_order_by": value, **WINDOW})
    assert repr(value) in str(caught.value)
    assert Groups(app).stats().depth == 0


@pytest.mark.parametrize("value", [10**40, "1e9999", 1e-60, Decimal("1e-41")])
def test_a_value_has_so_many_digits(make: Callable[..., Celery], value: Any) -> None:
    with pytest.raises(InvalidOption, match=r"The order value of send is \S+: it may have 40 digits"):
        make().tasks["send"].apply_async(("k",), group_order_by=value, **WINDOW)


@pytest.mark.parametrize(
    "send", [by("bare"), lambda app, n, _: app.tasks["send"].apply_async(("k",), group_order_by=n)]
)
def test_a_value_needs_a_window(make: Callable[..., Celery], send: Send) -> None:
    with pytest.raises(
        InvalidOption, match="has a group_order_by, and no group_reorder_window: set that to the seconds"
    ):
        send(make(), 5, {})


def test_a_window_alone_changes_nothing(make: Callable[..., Celery]) -> None:
    app = make(groupfifo_reorder_window=60)
    result = app.tasks["send"].delay("k")
    found = Groups(app).find(result.id)
    assert found is not None and found.state == "waiting"


def test_the_window_of_a_call_wins(make: Callable[..., Celery]) -> None:
    app = make()
    result = app.tasks["parameter"].apply_async(("k", 1), group_reorder_window=1000)
    found = Groups(app).find(result.id)
    assert found is not None and found.due is not None
    assert (found.due - datetime.now(timezone.utc)).total_seconds() > 900


@pytest.mark.parametrize("eta_policy", ["at_due", "reserve"])
@pytest.mark.parametrize("way", ["apply_async", "bulk", "in place"])
def test_an_eta_is_refused(make: Callable[..., Celery], way: str, eta_policy: str) -> None:
    app = make(task_always_eager=way == "in place")
    passed = {"eta": datetime.now(timezone.utc) - timedelta(1), "group_eta": eta_policy}
    ahead = {"countdown": 60, "group_eta": eta_policy}
    task = app.tasks["parameter"]
    send = task.apply_async if way != "bulk" else lambda args, **options: park_many([task.s(*args).set(**options)])
    for number in (1, 2):
        send(("k", number), **passed)
    with pytest.raises((InvalidOption, PartiallyParked), match="its group_order_by says when it is its turn: send it"):
        send(("k", 3), **ahead)


def test_an_unknown_parameter_is_named(make: Callable[..., Celery]) -> None:
    app = make()
    with pytest.raises(MissingGroupKey, match="The order value of parameter needs 'number', which is None"):
        app.tasks["parameter"].delay("k", None)


def test_by_name_a_setting_cannot_make_it(make: Callable[..., Celery]) -> None:
    app = make(groupfifo_order_by="number", groupfifo_reorder_window=60)
    with pytest.raises(MissingGroupKey, match=r"code is not loaded here: pass group_order_by=… with the call"):
        app.send_task("unknown", ("k", 1), group_key="k")


def test_parts_of_a_canvas_are_sorted_when_they_are_sent(make: Callable[..., Celery]) -> None:
    app = make()
    first, then = app.tasks["parameter"].si("k", 5), app.tasks["parameter"].si("k", 3)
    chain(first, then).delay()
    assert Groups(app).get("k").depth == 1, "the second one is sent when the first one has ended"


def test_find_says_what_it_waits_for(make: Callable[..., Celery], capsys: pytest.CaptureFixture[str]) -> None:
    app = make()
    result = app.tasks["parameter"].delay("k", 17)
    assert look.find(Groups(app), result.id, True, False) == 0
    said = capsys.readouterr().out
    assert "is scheduled, due " in said and "a lower order value than its 17 may come and join before it" in said
