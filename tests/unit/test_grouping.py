"""Keys from templates, callables, parameter names and calls."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from operator import itemgetter
from typing import Any

import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st

from celery_groupfifo import GroupFifoTask, InvalidGroupKey, InvalidOption, MissingGroupKey
from celery_groupfifo.sending.grouping import _Shape, _values, checked_key, group_key, is_grouped


def task_with(spec: Any, fun: Callable[..., Any] | None = None, **options: Any) -> Any:
    def run(instance: str, customer: str = "nobody", *, text: str = "") -> None: ...

    app = Celery("grouping", broker="redis://localhost:1/0")
    return app.task(base=GroupFifoTask, group_key=spec, name="send", lazy=False, shared=False, **options)(fun or run)


TEMPLATE = "{instance}:{customer}"


@pytest.mark.parametrize(
    ("args", "kwargs", "key"),
    [
        (("i", "c"), {}, "i:c"),
        (("i",), {"customer": "c"}, "i:c"),
        ((), {"customer": "c", "instance": "i"}, "i:c"),
        (("i",), {}, "i:nobody"),
        ((7, 8), {}, "7:8"),
    ],
)
@pytest.mark.parametrize(
    "spec",
    [TEMPLATE, ("instance", "customer"), lambda instance, customer="nobody", *, text="": f"{instance}:{customer}"],
)
def test_positional_keyword_and_default_arguments_bind(spec: Any, args: Any, kwargs: Any, key: str) -> None:
    assert group_key(task_with(spec), "send", args, kwargs) == key


def test_a_bound_task_does_not_count_self() -> None:
    def run(self: Any, customer: str) -> None: ...

    assert group_key(task_with("{customer}", run, bind=True), "send", ("c",), {}) == "c"
    assert group_key(task_with(lambda customer: customer * 2, run, bind=True), "send", ("c",), {}) == "cc"


def _order(order: Any, customer: str = "nobody", *rest: int, shop: str = "s", **more: str) -> None: ...


def _places(order: Any, /, customer: str = "nobody") -> None: ...


@pytest.mark.parametrize(
    ("spec", "fun", "args", "kwargs", "key"),
    [
        # Fewer parameters than the task has, however it is called.
        (lambda order, **_: order, _order, ("o", "c"), {}, "o"),
        (lambda order, **_: order, _order, ("o",), {"customer": "c", "shop": "x"}, "o"),
        (lambda order, **_: order, _order, (), {"customer": "c", "order": "o"}, "o"),
        (lambda order: order, _order, ("o", "c"), {}, "o"),
        (lambda customer, **_: customer, _order, ("o", "c"), {}, "c"),
        (lambda customer: customer, _order, ("o",), {}, "nobody"),
        (lambda *, shop, order: shop + order, _order, ("o",), {}, "so"),
        (lambda order, mine="m": order + mine, _order, ("o",), {}, "om"),
        # What the task takes by * and **.
        (lambda order, *rest: f"{order}{rest}", _order, ("o", "c", 1, 2), {}, "o('c', 1, 2)"),
        (lambda rest, **_: str(rest), _order, ("o", "c", 1, 2), {}, "(1, 2)"),
        (lambda rest, **_: str(rest), _order, ("o",), {}, "()"),
        (lambda tenant, **_: tenant, _order, ("o",), {"tenant": "t"}, "t"),
        (lambda **given: ",".join(given), _order, ("o",), {"tenant": "t"}, "tenant,order,customer,shop"),
        (lambda *args, **kwargs: args[0] + kwargs["customer"], _order, ("o",), {"customer": "c"}, "oc"),
        (lambda *args, **kwargs: args[1] + kwargs["order"], _order, (), {"customer": "c", "order": "o"}, "co"),
        (lambda *customer: customer[1], _order, ("o", "c"), {}, "c"),
        # By place only.
        (lambda order, **_: order, _places, ("o", "c"), {}, "o"),
        (lambda order, /, customer: order + customer, _places, ("o",), {"customer": "c"}, "oc"),
        (lambda customer, /: customer, _order, ("o", "c"), {}, "c"),
        # Names of its own: by place.
        (lambda o, c: o + c, _order, ("o",), {"customer": "c"}, "oc"),
        (lambda o, c: o + c, _order, ("o",), {}, "onobody"),
        (lambda o: o, _order, ("o",), {}, "o"),
        (lambda o, *, shop: o + shop, _order, ("o",), {}, "os"),
        (itemgetter("customer"), _places, ({"customer": "c"},), {}, "c"),
        (str, _places, (7,), {}, "7"),
    ],
)
def test_a_callable_gets_the_call_by_the_names_of_the_task(
    spec: Any, fun: Any, args: Any, kwargs: Any, key: str
) -> None:
    assert group_key(task_with(spec, fun), "send", args, kwargs) == key


@pytest.mark.parametrize(
    ("spec", "args", "said"),
    [
        (lambda customer, o: o, ("o", "c"), "nor in their order"),
        (lambda *, nothing: nothing, ("o",), "no parameter 'nothing'"),
        (lambda o: o, ("o", "c"), "takes 1 positional argument"),
        (lambda order: order["c"], ({"a": "x" * 600},), "KeyError('c') for the call send({'a': 'xxx"),
        (lambda order: None, ("o",), "returned None for the call send('o')"),
    ],
)
def test_its_errors_quote_the_call(spec: Any, args: Any, said: str) -> None:
    with pytest.raises(MissingGroupKey) as caught:
        group_key(task_with(spec, _order), "send", args, {})

    assert said in str(caught.value)
    assert "for the call send(" in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_call_that_does_not_fit_the_task_is_quoted() -> None:
    with pytest.raises(MissingGroupKey, match=r"from the call send\('a', nobody='x'\): got an unexpected"):
        group_key(task_with(TEMPLATE), "send", ("a",), {"nobody": "x"})


def test_a_class_with_a_lambda() -> None:
    app = Celery("grouping", broker="redis://localhost:1/0")

    class Send(GroupFifoTask):
        name = "send"
        group_key = lambda customer, text: customer  # noqa: E731

        def run(self, customer: str, text: str) -> None: ...

    assert group_key(app.register_task(Send()), "send", ("c", "hello"), {}) == "c"


def test_templates_reach_into_arguments() -> None:
    def run(message: dict[str, str], **more: str) -> None: ...

    task = task_with("{message[customer]}:{shop}", run)

    assert group_key(task, "send", ({"customer": "c"},), {"shop": "s"}) == "c:s"
    with pytest.raises(MissingGroupKey, match="customer"):
        group_key(task, "send", ({},), {"shop": "s"})
    with pytest.raises(MissingGroupKey, match="'shop', which is not given"):
        group_key(task, "send", ({"customer": "c"},), {})


@pytest.mark.parametrize(
    ("spec", "args", "said"),
    [
        (TEMPLATE, (None, "c"), "'instance', which is None"),
        (TEMPLATE, (), "instance"),
        (TEMPLATE, ("a", "b", "c", "d"), "too many positional"),
        (("instance",), (None,), "'instance'"),
        (lambda *args, **kwargs: None, ("i",), "returned None"),
        (lambda *args, **kwargs: 1 / 0, ("i",), "ZeroDivisionError"),
        (None, ("i",), "no group_key"),
    ],
)
def test_a_key_that_can_not_be_built(spec: Any, args: Any, said: str) -> None:
    with pytest.raises(MissingGroupKey) as caught:
        group_key(task_with(spec), "send", args, {})

    assert said in str(caught.value)
    assert "send" in str(caught.value)


@pytest.mark.parametrize("key", ["a", "A:active", "|||", "a\nb", "{x}", "*", "ü" * 256, "x" * 512, " "])
def test_any_text_up_to_512_bytes_is_a_key(key: str) -> None:
    assert checked_key(key, "send") == key


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "empty"),
        (b"a", "b'a'"),
        (5, "5"),
        ("x" * 513, "513 bytes"),
        ("ü" * 257, "514 bytes"),
        ("\ud800", "encoded"),
    ],
)
def test_what_is_no_key(key: object, said: str) -> None:
    with pytest.raises(InvalidGroupKey, match=said):
        checked_key(key, "send")


@pytest.mark.parametrize("spec", ["{custmer}", ("instance", "nope"), "{0}", "{", 5, (), ""])
def test_a_wrong_group_key_stops_the_definition(spec: Any) -> None:
    with pytest.raises(InvalidOption) as caught:
        task_with(spec)

    assert "group_key" in str(caught.value)
    assert "send" in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (5, "group_key=5 of send does not work: use a template like"),
        (b"k", "group_key=b'k' of send does not work: use a template like"),
        ("{", "The group key '{' of send can't be built from"),
    ],
)
def test_a_wrong_group_key_that_is_set_later_stops_the_call(spec: Any, said: str) -> None:
    task = task_with("{customer}")
    task.group_key = spec
    with pytest.raises((InvalidOption, MissingGroupKey), match=re.escape(said)):
        group_key(task, "send", ("i", "c"), {})


def test_which_tasks_are_grouped() -> None:
    app = Celery("grouping", broker="redis://localhost:1/0")

    def run(x: str) -> None: ...

    plain = app.task(name="plain", lazy=False, shared=False)(run)
    keyed = app.task(group_key="{x}", name="keyed", lazy=False, shared=False)(run)

    assert is_grouped(task_with(TEMPLATE))
    assert is_grouped(keyed)
    assert not is_grouped(plain)
    assert not is_grouped(None)


def _none() -> None: ...
def _few(a: Any, b: Any = 1) -> None: ...
def _named(a: Any, *, b: Any, c: Any = 2) -> None: ...
def _rest(a: Any, *b: Any, c: Any = 2) -> None: ...
def _words(a: Any, **b: Any) -> None: ...
def _first(a: Any, b: Any = 1, /, c: Any = 2) -> None: ...


@pytest.mark.parametrize("function", [_none, _few, _named, _rest, _words, _first])
@given(
    args=st.lists(st.integers(), max_size=4).map(tuple),
    kwargs=st.dictionaries(st.sampled_from("abcd"), st.integers(), max_size=3),
)
def test_calls_are_bound_as_inspect_does(function: Any, args: tuple[int, ...], kwargs: dict[str, int]) -> None:
    shape = _Shape(inspect.signature(function))
    quick = shape.values(args, kwargs)
    try:
        expected = _values(shape.signature.bind(*args, **kwargs))
    except TypeError:
        assert quick is None
    else:
        assert quick == expected or (quick is None and function in (_rest, _words, _first))
