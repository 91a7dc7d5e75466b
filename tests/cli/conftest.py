"""The command line in this process, on a gate whose time stands still."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.bin.base import CLIContext
from click.testing import CliRunner, Result

from celery_groupfifo.cli import groupfifo
from tests.groups.conftest import Shop


@pytest.fixture
def shop(redis_url: str) -> Iterator[Shop]:
    shop = Shop(redis_url)
    yield shop
    shop.world.close()


Run = Callable[..., Result]


@pytest.fixture
def run(shop: Shop) -> Run:
    """Run a command; with `code` its exit code is checked, and nothing may have ended in a traceback."""

    def run(*words: str, code: int = 0, input: str | None = None) -> Result:
        context = CLIContext(app=shop.app, no_color=True, workdir=None)
        result = CliRunner().invoke(groupfifo, words, obj=context, input=input)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def run_json(run: Run) -> Callable[..., Any]:
    """Run a command with --json, and read what it prints."""

    def run_json(*words: str, code: int = 0) -> Any:
        return json.loads(run(*words, "--json", code=code).stdout)

    return run_json
