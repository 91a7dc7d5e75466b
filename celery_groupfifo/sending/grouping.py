"""The group of a task: from its template, callable or parameter names, and the call's arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from string import Formatter
from typing import Any, NamedTuple

from celery.utils.saferepr import saferepr

from celery_groupfifo.errors import InvalidGroupKey, InvalidOption, MissingGroupKey
from celery_groupfifo.sending.binding import arguments_for

MAX_BYTES = 512
#: Characters of a call that an error quotes.
SHOWN = 500
#: Built-in tasks that run another task over many arguments: their key has to be given.
MAPS = frozenset({"celery.map", "celery.starmap", "celery.chunks"})

#: Keys that a call may have.
MOST_KEYS = 16

KeySpec = str | tuple[str, ...] | list[str] | Callable[..., str | list[str]]


class SeveralKeys(str):
    """The first of several keys of a call.

    Attributes:
        others: The others, in their order.
    """

    others: tuple[str, ...] = ()


def keys_of(key: str) -> tuple[str, ...]:
    """Return all keys of a call, given its key as `group_key` returns it."""
    return (str(key), *key.others) if isinstance(key, SeveralKeys) else (key,)


class KeyKind(NamedTuple):
    """A kind of key that is made of the arguments of a call.

    Attributes:
        option: Of a task, with its definition.
        words: Of messages.
    """

    option: str
    words: str


GROUP, DEDUP = KeyKind("group_key", "group key"), KeyKind("group_dedup_key", "dedup key")
ORDER = KeyKind("group_order_by", "order value")
FAIR = KeyKind("group_fair_key", "fair key")


def is_grouped(task: Any) -> bool:
    """Return whether a task asks for order.

    Celery's own never do, even where an app bases all its tasks on an ordered class: `celery.chord_unlock` retries
    until its chord is complete, and would halt the very group it waits for.
    """
    if task is None or _is_celerys(task):
        return False
    return is_ordered_class(type(task)) or key_spec(task) is not None


def is_ordered_class(kind: type) -> bool:
    """Return whether a class is `GroupFifoTask`, or based on it."""
    return getattr(kind, "_groupfifo_ordered", False) is True


def _is_celerys(task: Any) -> bool:
    return str(getattr(task, "name", None)).startswith("celery.")


def key_spec(task: Any, option: str = GROUP.option) -> KeySpec | None:
    """Return the task's own definition of a key; None when it has none.

    It is read past the descriptors: a lambda on the class gets the task's parameters, never `self`. A property is no
    definition. In a class that is not ordered only its own attribute counts: its bases may use the name for another
    thing.
    """
    kind = type(task)
    for each in (task, *kind.__mro__) if is_ordered_class(kind) else (task, kind):
        spec: Any = each.__dict__.get(option)
        if isinstance(spec, (staticmethod, classmethod)):
            return spec.__get__(None, type(task))
        if spec is not None and (callable(spec) or not hasattr(type(spec), "__get__")):
            return spec  # type: ignore[no-any-return]
    return None


def checked_key(key: object, task_name: str, kind: KeyKind = GROUP) -> str:
    """Return a key, once it is checked.

    Raises:
        InvalidGroupKey: It is no text, empty, too long, or not encodable.
    """
    if not isinstance(key, str):
        wanted = "a text, or a list of texts" if kind is GROUP else "a text"
        raise InvalidGroupKey(f"The {kind.words} of {task_name} is {key!r}: it has to be {wanted}.")
    if not key:
        raise InvalidGroupKey(f"The {kind.words} of {task_name} is empty: give it at least one character.")
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise InvalidGroupKey(f"The {kind.words} of {task_name}, {key!r}, can't be encoded: {error}.") from error
    if size > MAX_BYTES:
        raise InvalidGroupKey(
            f"The {kind.words} of {task_name} has {size} bytes ({key[:40]!r}…): {MAX_BYTES} are allowed. "
            "Use a hash of the key."
        )
    return key


def checked_keys(given: object, task_name: str) -> str:
    """Return the key of a call, once it is checked; of a list, `SeveralKeys`, unless all of them are the same.

    Raises:
        MissingGroupKey: It is an empty list.
        InvalidGroupKey: It is no key, or one of its keys is none, or these are too many.
    """
    if not isinstance(given, list):
        return checked_key(given, task_name)
    keys = list(dict.fromkeys([checked_key(key, task_name) for key in given]))
    if not keys:
        raise MissingGroupKey(f"The group keys of {task_name} are an empty list: give it one key at least.")
    if len(keys) > MOST_KEYS:
        raise InvalidGroupKey(
            f"{task_name} has {len(keys)} group keys ({saferepr(keys[:3])[:-1]}, …]): {MOST_KEYS} are allowed. Use one "
            "key that covers them."
        )
    if len(keys) == 1:
        return keys[0]
    first = SeveralKeys(keys[0])
    first.others = tuple(keys[1:])
    return first


def group_key(task: Any, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return the key of one call; of several keys, `SeveralKeys`.

    Args:
        task: The task, whose class defines the key; None where its code is not loaded.
        name: Of the task, for messages.
        args: Positional arguments of the call.
        kwargs: Keyword arguments of the call.

    Raises:
        MissingGroupKey: It can't be built from these arguments.
        InvalidGroupKey: The result is no key.
    """
    spec = key_spec(task) if task is not None else None
    if spec is None:
        raise MissingGroupKey(
            f"{name} is ordered by group, but has no group_key: set one on the task, or pass group_key=… with the call."
        )
    return made_key(spec, task, name, args, kwargs)


def made_key(
    spec: KeySpec, task: Any, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], kind: KeyKind = GROUP
) -> str:
    """Return the key that a definition makes of one call; see `group_key`."""
    if isinstance(spec, list):
        return checked_keys([made_key(each, task, name, args, kwargs) for each in spec], name)
    made = made_value(spec, task, name, args, kwargs, kind)
    return checked_keys(made, name) if callable(spec) and kind is GROUP else checked_key(made, name, kind)


def argument_of(
    field: str, task: Any, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], kind: KeyKind
) -> object:
    """Return the value of a parameter in one call; see `group_key`."""
    return _value(
        _shape(task).values(args, kwargs) or _values(_bound(task, name, args, kwargs, kind)), field, name, kind
    )


def made_value(
    spec: str | tuple[str, ...] | Callable[..., object],
    task: Any,
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    kind: KeyKind,
) -> object:
    """Return what a definition makes of one call, unchecked; see `group_key`."""
    if callable(spec):
        return _call(spec, name, _bound(task, name, args, kwargs, kind), shown_call(name, args, kwargs), kind)
    values = _shape(task).values(args, kwargs) or _values(_bound(task, name, args, kwargs, kind))
    if isinstance(spec, tuple):
        return ":".join([str(_value(values, field, name, kind)) for field in spec])
    if not isinstance(spec, str):  # it was set when the task had been made, so nothing has checked it
        raise InvalidOption(_no_spec(spec, name, kind.option))
    try:
        for field in _fields(spec):
            _value(values, field, name, kind)
        return spec.format_map(values)
    except (LookupError, AttributeError, ValueError, TypeError) as error:
        raise MissingGroupKey(
            f"The {kind.words} {spec!r} of {name} can't be built from {values!r}: {error!r}."
        ) from error


def check_spec(task: Any) -> None:
    """Check the keys that a task's class defines, when the task is made.

    Args:
        task: The task.

    Raises:
        InvalidOption: The message quotes the definition and says what fits.
    """
    for kind in (GROUP, DEDUP, ORDER, FAIR):
        spec = key_spec(task, kind.option)
        if kind is ORDER:
            if not isinstance(spec, str) or not (spec.isidentifier() or "{" in spec):
                continue  # it is checked as other options are
            spec = f"{{{spec}}}" if spec.isidentifier() else spec
        if spec is not None and not callable(spec) and not _is_celerys(task):
            _check_fields(spec, task, kind.option)


def _check_fields(spec: Any, task: Any, option: str) -> None:
    if option == GROUP.option and isinstance(spec, list) and spec and all(isinstance(each, str) for each in spec):
        for each in spec:
            _check_fields(each, task, option)
        return
    if isinstance(spec, tuple) and spec and all(isinstance(field, str) for field in spec):
        fields = spec
    elif isinstance(spec, str) and spec:
        try:
            fields = _fields(spec)
        except ValueError as error:
            raise InvalidOption(f"{option}={spec!r} of {task.name} is no template: {error}.") from error
    else:
        raise InvalidOption(_no_spec(spec, task.name, option))
    parameters = _shape(task).signature.parameters
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
        return
    for field in fields:
        if field not in parameters:
            raise InvalidOption(
                f"{option}={spec!r} of {task.name} names {field!r}, but the task's parameters are: "
                f"{', '.join(parameters) or 'none'}."
            )


def _no_spec(spec: object, name: str, option: str) -> str:
    """Return the message about a definition that is none."""
    return (
        f"{option}={spec!r} of {name} does not work: use a template like '{{customer_id}}', a tuple of parameter "
        f"names, {'a list of templates, ' if option == GROUP.option else ''}or a callable with the task's parameters."
    )


@lru_cache(maxsize=1024)
def _fields(template: str) -> tuple[str, ...]:
    """Return the parameters that a template names."""
    names = []
    for _, field, _, _ in Formatter().parse(template):
        if field is not None:
            name = field.split(".")[0].split("[")[0]
            if not name.isidentifier():
                raise ValueError(f"{{{field}}} is no parameter's name")
            names.append(name)
    return tuple(names)


class _Shape:
    """The parameters of a task.

    Args:
        signature: Of the task's function.

    Attributes:
        signature: The same.
    """

    def __init__(self, signature: inspect.Signature) -> None:
        self.signature = signature
        parameters = list(signature.parameters.values())
        self._is_simple = all(each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY) for each in parameters)
        self._placed = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
        self._names = frozenset(each.name for each in parameters)
        self._defaults = {each.name: each.default for each in parameters if each.default is not each.empty}

    def values(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the value of each parameter in a call: as `_values`, in a fraction of the time.

        Returns:
            None when the call does not fit, or when it needs a closer look: `_bound` says it.
        """
        if not self._is_simple or len(args) > len(self._placed):
            return None
        values = dict(zip(self._placed, args, strict=False))
        if kwargs:
            if not self._names.issuperset(kwargs) or not values.keys().isdisjoint(kwargs):
                return None
            values |= kwargs
        if len(values) < len(self._names):
            values = {**self._defaults, **values}
        return values if len(values) == len(self._names) else None


def _any_call(*args: object, **kwargs: object) -> None: ...


#: Of the calls of a task with `group_batch`: its function gets a list of them.
_ANY = _Shape(inspect.signature(_any_call))


def _shape(task: Any) -> _Shape:
    """Return the parameters of the task's calls, worked out again when autoretry has replaced the function."""
    if is_ordered_class(type(task)) and getattr(task, "group_batch", None) is not None:
        return _ANY
    function = getattr(task.run, "__func__", task.run)
    known = task.__dict__.get("_groupfifo_shape")
    if known is None or known[0] is not function:
        known = task.__dict__["_groupfifo_shape"] = (function, _Shape(inspect.signature(task.run)))
    return known[1]  # type: ignore[no-any-return]


def shown_call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return a call as source code, shortened to `SHOWN` characters."""
    words = [*map(saferepr, args), *(f"{key}={saferepr(value)}" for key, value in kwargs.items())]
    text = f"{name}({', '.join(words)})"
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _bound(
    task: Any, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], kind: KeyKind
) -> inspect.BoundArguments:
    """Return a call's arguments by the names of the task's parameters."""
    try:
        return _shape(task).signature.bind(*args, **kwargs)
    except TypeError as error:
        call = shown_call(name, args, kwargs)
        raise MissingGroupKey(f"The {kind.words} of {name} can't be built from the call {call}: {error}.") from error


def _values(bound: inspect.BoundArguments) -> dict[str, Any]:
    """Return the value of each parameter: given ones, defaults, and the names that `**` takes."""
    values: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, each in bound.signature.parameters.items():
        if name in bound.arguments:
            (extra if each.kind is each.VAR_KEYWORD else values)[name] = bound.arguments[name]
        elif each.kind is each.VAR_POSITIONAL:
            values[name] = ()
        elif each.default is not each.empty:
            values[name] = each.default
    for named in extra.values():
        values = {**named, **values}
    return values


def _value(values: Mapping[str, Any], field: str, name: str, kind: KeyKind) -> Any:
    value = values.get(field)
    if value is None:
        found = "None" if field in values else "not given"
        raise MissingGroupKey(f"The {kind.words} of {name} needs {field!r}, which is {found} in this call.")
    return value


def _call(spec: Callable[..., object], name: str, bound: inspect.BoundArguments, call: str, kind: KeyKind) -> object:
    try:
        args, kwargs = arguments_for(spec, bound, _values(bound))
        key = spec(*args, **kwargs)
    except Exception as error:  # the user's callable may raise anything
        raise MissingGroupKey(
            f"The {kind.option} callable of {name} failed with {error!r} for the call {call}."
        ) from error
    if key is None:
        raise MissingGroupKey(f"The {kind.option} callable of {name} returned None for the call {call}.")
    return key
