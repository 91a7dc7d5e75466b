"""Which headers are ours, and that none of them stays in what is sent."""

from __future__ import annotations

from typing import Any

import pytest

from celery_groupfifo.gate.model import HEADER, HEADERS, KEY_HEADER
from celery_groupfifo.sending.headers import clean, cleaned, has_ours, ticket_in

TICKET = "gf groupfifo:0 1800000000000000 0 1800000000000000 an-id g"


@pytest.mark.parametrize("name", [*HEADERS, "groupfifo_of_tomorrow"])
@pytest.mark.parametrize(
    ("held", "kept"),
    [
        (lambda name: {name: 1, "mine": 2}, {"mine": 2}),
        (lambda name: {"headers": {name: 1, "mine": 2}}, {"headers": {"mine": 2}}),
        (lambda name: {"stamps": {name: 1}, "stamped_headers": [name]}, {"stamps": {}, "stamped_headers": []}),
        (lambda name: {"stamped_headers": ("mine", name)}, {"stamped_headers": ["mine"]}),
    ],
)
def test_ours_are_found_and_taken_out(name: str, held: Any, kept: dict[str, Any]) -> None:
    headers = held(name)
    before = dict(headers)
    assert has_ours(headers)
    assert cleaned(headers) == kept and headers == before, "a copy: the headers are the caller's"
    clean(headers)
    assert headers == kept and not has_ours(headers)


@pytest.mark.parametrize(
    "headers", [{}, {"mine": HEADER}, {"group_id": 1, "headers": None, "stamps": 5}, {1: 2, "stamped_headers": ["a"]}]
)
def test_others_stay(headers: Any) -> None:
    assert not has_ours(headers)
    assert cleaned(headers) == headers


@pytest.mark.parametrize(
    ("header", "key", "id", "counts"),
    [
        (TICKET, "g", "an-id", True),
        (TICKET, "g", "another", False),
        (TICKET, "g", None, False),
        (TICKET, None, "an-id", False),
        ("garbage", "g", "an-id", False),
        (7, "g", "an-id", False),
        ("gf other:0 x 0 5 an-id g", "g", "an-id", False),
    ],
)
def test_a_ticket_is_its_own_tasks(header: Any, key: Any, id: Any, counts: bool) -> None:
    found = ticket_in({HEADER: header, KEY_HEADER: key, "id": id})
    assert (found is not None) is counts
