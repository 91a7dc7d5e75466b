"""Which tests run when."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tiers import PLACES, Tier, tier_of

TESTS = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("place", PLACES)
def test_each_place_is_there(place: str) -> None:
    file, _, name = place.partition(".py::")
    assert (TESTS / file).is_dir() or list(TESTS.glob(f"{file}*.py"))
    assert not name or f"def {name.partition('[')[0]}" in (TESTS / f"{file}.py").read_text("utf-8")


def test_the_longest_beginning_counts() -> None:
    assert tier_of("tests/gate/test_begin.py::test_a") is Tier.FAST
    assert tier_of("tests/gate/test_exploration.py::test_with_faults[1]") is Tier.REST
    assert tier_of("tests/chaos/test_seeds.py::test_faults_from_a_seed[1]") is Tier.MAIN
    assert tier_of("tests/chaos/test_seeds.py::test_faults_from_a_seed[2]") is Tier.REST
    assert tier_of("tests/worker/test_outcomes.py::test_b") is Tier.MAIN


def test_each_promise_has_a_test_in_the_main_tier() -> None:
    page = (TESTS.parent / "docs" / "guarantees.md").read_text("utf-8")
    for line in re.findall(r"^\| G\d+ \|.*$", page, re.MULTILINE):
        named = re.findall(r"`([\w/]+\.py::\w+)`", line)
        assert any(tier_of(f"tests/{name}") is not Tier.REST for name in named), line[:60]
