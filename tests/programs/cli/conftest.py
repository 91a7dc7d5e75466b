"""The command line in this process, on a gate whose time stands still."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from celery.bin.base import CLIContext
from click.testing import CliRunner, Result

from celery_groupfifo.cli import groupfifo, root
from tests.support.shop import Shop
from tests.support.shop import shop as shop

Run = Callable[..., Result]


@pytest.fixture
def run(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command; with `code` its exit code is checked, and nothing may have ended in a traceback.

    With an `input` somebody sits at a terminal and types it.
    """

    def run(*words: str, code: int | None = 0, input: str | None = None) -> Result:
        monkeypatch.setattr(root, "is_terminal", lambda: input is not None)
        context = CLIContext(app=shop.app, no_color=True, workdir=None)
        result = CliRunner().invoke(groupfifo, words, obj=context, input=input)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert code is None or result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def run_json(run: Run) -> Callable[..., Any]:
    """Run a command with --json, and read what it prints."""

    def run_json(*words: str, code: int = 0) -> Any:
        return json.loads(run(*words, "--json", code=code).stdout)

    return run_json
