"""A stage for each test, and the seeds of the random runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from celery_groupfifo.testing import embedded
from tests.support.stages.stage import Stage

SEEDS, STALL_SEEDS = 2, 1


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chaos")
    group.addoption("--seeds", type=int, default=SEEDS, help="random runs of tests/faults/chaos/test_seeds.py (2)")
    group.addoption("--stall-seeds", type=int, default=STALL_SEEDS, help="and of test_stalls.py, on each pool (1)")
    group.addoption("--first-seed", type=int, default=1, help="the first of their seeds, to repeat one (1)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    first = metafunc.config.getoption("--first-seed", 1)
    for name, option, default in (("seed", "--seeds", SEEDS), ("stall_seed", "--stall-seeds", STALL_SEEDS)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, range(first, first + metafunc.config.getoption(option, default)))


@pytest.fixture
def make_stage(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Makes the test's stage, with a Redis that writes everything to disk; on request with other servers, too."""
    stages: list[Stage] = []

    def make(broker: bool = False, backend: bool = False, **conf: Any) -> Stage:
        others: dict[str, Any] = {
            "broker": embedded.start() if broker else None,
            "backend": embedded.start(appendonly=False) if backend else None,
        }
        stages.append(Stage(tmp_path / f"stage{len(stages)}", embedded.start(), **others, **conf))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    """A stage with the suite's own settings."""
    return make_stage()


@pytest.fixture
def clock() -> Callable[[], float]:
    """The history's clock."""
    return time.monotonic
