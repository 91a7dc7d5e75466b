"""Arguments of a wrong type: an error that names the argument and its value, by every method."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from celery_groupfifo import Groups
from celery_groupfifo.errors import InvalidGroupKey, InvalidOption

#: Values that fit, by the name of the parameter.
FITTING: dict[str, Any] = {"key": "k", "keys": ["k"], "old": "k", "new": "l"}
FITTING |= dict.fromkeys(("task_id", "id", "expected"), "a")
METHODS = dict(inspect.getmembers(Groups, lambda each: inspect.isfunction(each) and each.__name__[0] != "_"))
CASES = [
    (name, parameter)
    for name, method in METHODS.items()
    for parameter in inspect.signature(method).parameters
    if parameter not in ("self", "ask_workers", "repair", "all")
]


@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_a_wrong_type_is_named(groups: Groups, name: str, parameter: str) -> None:
    needed = {
        each.name: FITTING[each.name]
        for each in inspect.signature(METHODS[name]).parameters.values()
        if each.default is each.empty and each.name != "self"
    }
    more: tuple[Any, ...] = () if parameter in ("refs", "keys") else (["k"], {"a": "k"}, "half \ud800")
    for wrong in (b"bytes", [1], {1: 1}, object, float("nan"), *more):
        with pytest.raises((InvalidOption, InvalidGroupKey)) as caught:
            getattr(groups, name)(**{**needed, parameter: wrong})
        assert repr(wrong) in str(caught.value)
        assert isinstance(caught.value, InvalidGroupKey) or str(caught.value).startswith(f"{parameter}=")


@pytest.mark.parametrize(("name", "parameter"), [("explain", "ask_workers"), ("verify", "repair")])
def test_a_switch_is_true_or_false(groups: Groups, name: str, parameter: str) -> None:
    needed = {"key": "k"} if name == "explain" else {}
    with pytest.raises(InvalidOption, match=f"{parameter}='yes' does not work: set it to True or False"):
        getattr(groups, name)(**needed, **{parameter: "yes"})


@pytest.mark.parametrize("value", [-1, True, "x", float("nan"), float("inf")])
def test_a_span_is_a_number(groups: Groups, value: Any) -> None:
    with pytest.raises(InvalidOption, match="longer="):
        groups.status(longer=value)
    with pytest.raises(InvalidOption, match="older_than="):
        groups.dead_letters(older_than=value)


def test_a_reference_is_not_a_list_of_its_letters(groups: Groups) -> None:
    with pytest.raises(InvalidOption, match="refs='0-1' does not work"):
        groups.discard(refs="0-1")
