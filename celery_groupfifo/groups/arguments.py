"""The check of the arguments of `Groups`: one of a wrong type is an error that names it, and not one from far below."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from celery_groupfifo.errors import InvalidOption

Method = TypeVar("Method", bound=Callable[..., Any])


def _is_text(value: Any) -> bool:
    """Return whether a value is a text that can be stored."""
    try:
        return isinstance(value, str) and bool(value.encode() or True)
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


#: What fits, by the annotation of a parameter, and how it is called. Keys and numbers are checked where they are used.
_FITS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "str": (_is_text, "a text"),
    "str | None": (lambda value: value is None or _is_text(value), "a text, or None"),
    "bool": (lambda value: isinstance(value, bool), "True or False"),
}
#: Arguments with an error of their own, `InvalidGroupKey`.
_KEYS = {("key", "str"), ("old", "str"), ("new", "str")}


def checked(method: Method) -> Method:
    """Let a method refuse texts and switches of a wrong type, with `InvalidOption`; then let its object `_look`."""
    signature = inspect.signature(method)
    wanted = {
        name: _FITS[parameter.annotation]
        for name, parameter in signature.parameters.items()
        if parameter.annotation in _FITS and (name, parameter.annotation) not in _KEYS
    }

    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            if name in wanted and not wanted[name][0](value):
                raise InvalidOption(f"{name}={value!r} does not work: set it to {wanted[name][1]}.")
        look = getattr(args[0], "_look", None)
        if look is not None:
            look()
        return method(*args, **kwargs)

    return call  # type: ignore[return-value]


def checks_arguments(cls: type) -> None:
    """Let every public method of a class, and of those it is made of, check its arguments, see `checked`."""
    for part in cls.__mro__[:-1]:
        for name, method in list(vars(part).items()):
            if inspect.isfunction(method) and not name.startswith("_"):
                setattr(part, name, checked(method))


__all__ = ["checked", "checks_arguments"]
