"""Every test that a promise rests on exists, under the name that the page gives."""

from __future__ import annotations

import re

import pytest

from tests.support.places import REPOSITORY

PAGE = (REPOSITORY / "docs" / "guarantees.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda text: text)
def test_it_exists(file: str, name: str) -> None:
    text = (REPOSITORY / "tests" / file).read_text("utf-8")
    assert re.search(rf"^def {name}\(", text, re.MULTILINE)


def test_each_promise_and_each_hole_has_its_line() -> None:
    assert re.findall(r"^\| G(\d+) \|", PAGE, re.MULTILINE) == [str(number) for number in range(1, 11)]
    assert re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE) == [str(number) for number in range(1, 44)]
