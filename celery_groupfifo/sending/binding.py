"""The arguments for a callable `group_key`: those of the call, by the names of the task's parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from operator import attrgetter, itemgetter, methodcaller
from typing import Any

_PLACED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def arguments_for(
    function: Callable[..., object], bound: inspect.BoundArguments, values: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments for a callable, however the task was called.

    The callable gets the parameters that it names. The others come in its `*args` in the task's order, and in its
    `**kwargs` by name. Where its names are not the task's, it gets the values by place.

    Args:
        function: The callable.
        bound: The call, bound to the task's parameters.
        values: Of all parameters of the task, defaults included.

    Returns:
        Positional and keyword arguments.

    Raises:
        TypeError: The callable needs an argument that the task does not have.
    """
    parameters = _known(function) if isinstance(function, Hashable) else _parameters(function)
    if parameters is None:
        return [*bound.args], dict(bound.kwargs)
    needed = [each for each in parameters.values() if _is_needed(each)]
    if all(each.name in values for each in needed):
        return _by_name(parameters, bound.signature, values)
    return _by_place(parameters, bound, values)


def _parameters(function: Callable[..., object]) -> Mapping[str, inspect.Parameter] | None:
    """Return a callable's parameters; None for one written in C without a signature."""
    try:
        found = inspect.signature(function).parameters
    except (ValueError, TypeError):
        return None
    return None if isinstance(function, (itemgetter, attrgetter, methodcaller)) else found


_known = lru_cache(maxsize=256)(_parameters)


def _by_name(
    parameters: Mapping[str, inspect.Parameter], task: inspect.Signature, values: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    rest = [name for name in values if name not in parameters or _is_starred(parameters[name])]
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    placing = any(each.kind is each.VAR_POSITIONAL for each in parameters.values())
    for name, each in parameters.items():
        if each.kind is each.VAR_POSITIONAL:
            args += _placed(task, values, rest)
        elif each.kind is each.VAR_KEYWORD:
            kwargs |= {key: values[key] for key in rest if not _is_starred(task.parameters.get(key))}
        elif each.kind is each.POSITIONAL_ONLY or (placing and each.kind is each.POSITIONAL_OR_KEYWORD):
            args.append(values.get(name, each.default))
        elif name in values:
            kwargs[name] = values[name]
    return args, kwargs


def _placed(task: inspect.Signature, values: Mapping[str, Any], names: list[str]) -> list[Any]:
    """Return the values of the named parameters that a call may give by place, in the task's order."""
    found: list[Any] = []
    for name, each in task.parameters.items():
        if each.kind is each.VAR_POSITIONAL:
            found += values[name]
        elif each.kind in _PLACED and name in names:
            found.append(values[name])
    return found


def _by_place(
    parameters: Mapping[str, inspect.Parameter], bound: inspect.BoundArguments, values: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the call's own values in the task's order, and as many defaults as the callable takes."""
    task = bound.signature
    places = [name for name, each in parameters.items() if each.kind in _PLACED]
    names = [name for name, each in task.parameters.items() if each.kind in _PLACED]
    for place, name in enumerate(places):
        if name in names and names.index(name) != place:
            raise TypeError(f"its parameters {places} are neither the task's {names}, nor in their order")
    for each in parameters.values():
        if each.kind is each.KEYWORD_ONLY and _is_needed(each) and each.name not in values:
            raise TypeError(f"the task has no parameter {each.name!r}")
    args = list(bound.args)
    if len(args) < len(places):
        args = [values[name] for name in names if name in values][: len(places)]
    named = {key: value for key, value in bound.kwargs.items() if key in parameters or _takes_any(parameters)}
    missing = {
        each.name: values[each.name]
        for each in parameters.values()
        if each.kind is each.KEYWORD_ONLY and each.name in values
    }
    return args, {**missing, **named}


def _is_needed(parameter: inspect.Parameter) -> bool:
    return not _is_starred(parameter) and parameter.default is parameter.empty


def _is_starred(parameter: inspect.Parameter | None) -> bool:
    return parameter is not None and parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)


def _takes_any(parameters: Mapping[str, inspect.Parameter]) -> bool:
    return any(each.kind is each.VAR_KEYWORD for each in parameters.values())
