"""Celery's own integration tests pass with every task in a group: those that take minutes; run.py has them all."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from celery_groupfifo.testing import embedded
from tests.compatibility.celery_suite.parts import QUICK, Part
from tests.compatibility.celery_suite.run import compare
from tests.compatibility.celery_suite.suite import Suite, SuiteError, own_server, prepare


@pytest.fixture(scope="module")
def suite() -> Suite:
    try:
        return prepare()
    except SuiteError as error:
        # At home one may be offline; CI must not pass without them.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))


@pytest.fixture(scope="module")
def server() -> Iterator[embedded.Server]:
    """One of its own: Celery's tests want database 0, and its worker the whole queue."""
    with own_server() as server:
        yield server


@pytest.mark.timeout(0)  # each part has its own limit
@pytest.mark.parametrize("part", QUICK, ids=lambda part: part.name)
def test_celery_works_through_the_gate_as_without(suite: Suite, server: embedded.Server, part: Part) -> None:
    assert compare(suite, server, part).complaints == []
