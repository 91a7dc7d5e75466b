"""Values of Redis as bytes, as the types of redis-py allow for clients that decode; and the names of lasting keys."""

from __future__ import annotations


def stored(value: object) -> bytes:
    """Return one value, which is there."""
    assert isinstance(value, bytes), value
    return value


def all_stored(values: object) -> list[bytes]:
    """Return the values of a list, a set or the keys of a hash."""
    assert isinstance(values, (list, tuple, set)), values
    return [stored(value) for value in values]


def stored_fields(fields: object) -> dict[bytes, bytes]:
    """Return the fields of a hash."""
    assert isinstance(fields, dict), fields
    return {stored(name): stored(value) for name, value in fields.items()}


def stored_if_any(value: object) -> bytes | None:
    """Return one value, if it is there."""
    return None if value is None else stored(value)


def lasts(name: str) -> bool:
    """Return whether a key of the gate, without its tag, is no group's: it stays when the last group has ended."""
    lasting = ("fence", "stats", "begins", "pulse", "wake", "audit", "stamp")
    return name in lasting or name.startswith(("p:", "runs:", "o:", "f:"))
