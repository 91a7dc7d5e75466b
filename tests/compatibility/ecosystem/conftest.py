"""The libraries have an environment of their own: see requirements.txt, and `make ecosystem`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.compatibility.ecosystem.stage import Stage


@pytest.fixture
def make_stage(redis_url: str, tmp_path: Path) -> Iterator[Callable[[str], Stage]]:
    """Makes the stage of an app's module."""
    stages: list[Stage] = []

    def make(module: str) -> Stage:
        stages.append(Stage(tmp_path, redis_url, module))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()
