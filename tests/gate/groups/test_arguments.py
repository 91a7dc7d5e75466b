"""Arguments of a wrong type: an error that names the argument and its value, by every method."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from celery_groupfifo import Groups
from celery_groupfifo.errors import InvalidGroupKey, InvalidOption

#: Values that fit, by the name of the parameter.
FITTING: dict[str, Any] = {"key": "k", "old": "k", "new": "l", "task_id": "a", "id": "a", "expected": "a"}
METHODS = {name: each for name, each in vars(Groups).items() if not name.startswith("_") and callable(each)}
CASES = [
    (name, parameter)
    for name, method in METHODS.items()
    for parameter in inspect.signature(method).parameters
    if parameter not in ("self", "ask_workers", "repair")
]


@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_a_wrong_type_is_named(groups: Groups, name: str, parameter: str) -> None:
    needed = {
        each.name: FITTING[each.name]
        for each in inspect.signature(METHODS[name]).parameters.values()
        if each.default is each.empty and each.name != "self"
    }
    for wrong in (b"bytes", ["k"], {"a": 1}, object):
        with pytest.raises((InvalidOption, InvalidGroupKey)) as caught:
            getattr(groups, name)(**{**needed, parameter: wrong})
        assert repr(wrong) in str(caught.value)
        assert isinstance(caught.value, InvalidGroupKey) or str(caught.value).startswith(f"{parameter}=")


@pytest.mark.parametrize(("name", "parameter"), [("explain", "ask_workers"), ("verify", "repair")])
def test_a_switch_is_true_or_false(groups: Groups, name: str, parameter: str) -> None:
    needed = {"key": "k"} if name == "explain" else {}
    with pytest.raises(InvalidOption, match=f"{parameter}='yes' does not work: set it to True or False"):
        getattr(groups, name)(**needed, **{parameter: "yes"})


@pytest.mark.parametrize("value", [-1, True, "x", float("nan")])
def test_a_span_is_a_number(groups: Groups, value: Any) -> None:
    with pytest.raises(InvalidOption, match="longer="):
        groups.status(longer=value)
