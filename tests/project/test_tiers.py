"""Which tests run when."""

from __future__ import annotations

import re

import pytest

from tests.support.places import TESTS
from tests.tiers import PLACES, Tier, holds, tier_of


@pytest.mark.parametrize("place", PLACES)
def test_each_place_is_there(place: str) -> None:
    file, _, name = place.partition("::")
    assert (TESTS / file).exists()
    assert not name or f"def {name}(" in (TESTS / file).read_text("utf-8")


def test_the_closest_place_counts() -> None:
    assert tier_of("tests/gate/scripts/test_begin.py::test_a") is Tier.FAST
    assert tier_of("tests/gate/scripts/test_exploration.py::test_with_faults[1]") is Tier.REST
    assert tier_of("tests/faults/chaos/test_kills.py::test_six_kills_of_three_workers") is Tier.MAIN
    assert tier_of("tests/faults/chaos/test_kills.py::test_rolling_restarts_repeat_and_lose_nothing") is Tier.LONG
    assert tier_of("tests/workers/outcomes/test_outcomes.py::test_b") is Tier.MAIN


def test_pools_that_are_seldom_used_are_in_the_later_tiers() -> None:
    assert tier_of("tests/workers/outcomes/test_outcomes.py::test_b[prefork-act]") is Tier.MAIN
    assert tier_of("tests/workers/outcomes/test_outcomes.py::test_b[threads]") is Tier.MAIN
    assert tier_of("tests/workers/outcomes/test_outcomes.py::test_b[gevent-act]") is Tier.REST
    assert tier_of("tests/workers/outcomes/test_outcomes.py::test_b[untuned]") is Tier.LONG
    assert tier_of("tests/workers/outcomes/test_outcomes.py::test_b[solo-act]") is Tier.LONG
    assert tier_of("tests/unit/test_pools.py::test_b[gevent]") is Tier.FAST


def test_no_test_of_a_tier_is_passed_over() -> None:
    for path in TESTS.rglob("test_*.py"):
        name = path.relative_to(TESTS.parent).as_posix()
        tests = re.findall(r"def (test_\w+)", path.read_text("utf-8"))
        for tier in {tier_of(f"{name}::{test}") for test in tests}:
            places = [folder.as_posix() for folder in path.relative_to(TESTS.parent).parents][:-2]
            assert all(holds(place, frozenset({tier})) for place in (name, *places)), (name, tier)


def test_a_file_without_a_test_of_the_tier_is_passed_over() -> None:
    fast = frozenset({Tier.FAST})
    assert not holds("tests/workers/nodes", fast) and not holds("tests/gate/worker/test_outbox.py", fast)
    assert holds("tests/gate", fast) and holds("tests/gate/scripts/test_begin.py", fast)


def test_each_promise_has_a_test_in_the_main_tier() -> None:
    page = (TESTS.parent / "docs" / "guarantees.md").read_text("utf-8")
    for line in re.findall(r"^\| G\d+ \|.*$", page, re.MULTILINE):
        named = re.findall(r"`([\w/]+\.py::\w+)`", line)
        assert any(tier_of(f"tests/{name}") is not Tier.REST for name in named), line[:60]
