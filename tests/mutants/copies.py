"""A copy of the package and its tests, in which a bug can be put back and taken out again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.mutants.table import Mutant

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = "celery_groupfifo"
#: What the tests need beside the package.
PARTS = (
    "tests/conftest.py",
    "tests/gate",
    "tests/groups",
    "tests/worker",
    "tests/chaos",
    "tests/unit",
    "tests/model",
    "tests/brokers",
    "tests/stalls",
    "tests/proxy.py",
    "tests/results.py",
    "tests/tls_server.py",
    "tests/needs.py",
    "tests/waiting.py",
)
SECONDS = 180


class PatchError(Exception):
    """A mutant does not fit the code any more: put its text right."""


def patched(mutant: Mutant, text: str) -> str:
    """The text of its file with the bug in it.

    Raises:
        PatchError: What it replaces does not stand there exactly once.
    """
    if text.count(mutant.old) != 1:
        raise PatchError(f"{mutant.bug}: {mutant.file} has {text.count(mutant.old)} times {mutant.old!r}")
    return text.replace(mutant.old, mutant.new)


class Copy:
    """A copy of the tree, in which one mutant at a time lives.

    Args:
        directory: Where; empty.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        ignored = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(REPOSITORY / PACKAGE, directory / PACKAGE, ignore=ignored)
        shutil.copytree(REPOSITORY / "docs", directory / "docs", ignore=ignored)
        shutil.copy(REPOSITORY / "pyproject.toml", directory)
        for part in PARTS:
            source, target = REPOSITORY / part, directory / part
            target.parent.mkdir(exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=ignored)
            else:
                shutil.copy(source, target)

    @contextmanager
    def alive(self, mutant: Mutant) -> Iterator[None]:
        """With the bug put back."""
        file = self.directory / PACKAGE / mutant.file
        text = file.read_text("utf-8")
        file.write_text(patched(mutant, text), "utf-8")
        try:
            yield
        finally:
            file.write_text(text, "utf-8")

    def run(self, tests: Sequence[str], seconds: float = SECONDS) -> subprocess.CompletedProcess[str]:
        """Run tests on what is in the copy."""
        environment = {**os.environ, "PYTHONPATH": str(self.directory), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", *tests]
        return subprocess.run(
            command, cwd=self.directory, env=environment, capture_output=True, text=True, timeout=seconds
        )
