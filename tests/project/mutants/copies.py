"""A copy of the package and its tests, in which a bug can be put back and taken out again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lua import build
from lua.names import BuildError
from tests.project.mutants.table import Mutant
from tests.support.places import REPOSITORY

PACKAGE = "celery_groupfifo"
#: What the tests need of the tree.
PARTS = (PACKAGE, "benchmarks", "docs", "lua", "rehearsal", "tests")
SECONDS = 180


class PatchError(Exception):
    """A mutant does not fit the code any more: put its text right."""


def file_of(mutant: Mutant, root: Path = REPOSITORY) -> Path:
    """The file that a mutant changes, in a tree."""
    return root / mutant.file if mutant.is_lua else root / PACKAGE / mutant.file


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
        shutil.copy(REPOSITORY / "pyproject.toml", directory)
        for part in PARTS:
            shutil.copytree(REPOSITORY / part, directory / part, ignore=ignored)

    @contextmanager
    def alive(self, mutant: Mutant) -> Iterator[None]:
        """With the bug put back.

        Raises:
            PatchError: It does not fit the code any more.
        """
        file = file_of(mutant, self.directory)
        text = file.read_text("utf-8")
        file.write_text(patched(mutant, text), "utf-8")
        try:
            self._build(mutant)
            yield
        finally:
            file.write_text(text, "utf-8")
            self._build(mutant)

    def _build(self, mutant: Mutant) -> None:
        """Make the scripts anew when the bug is in their sources."""
        if mutant.is_lua:
            try:
                build.write(self.directory)
            except BuildError as error:
                raise PatchError(f"{mutant.bug}: {error}") from error

    def run(self, tests: Sequence[str], seconds: float = SECONDS) -> subprocess.CompletedProcess[str]:
        """Run tests on what is in the copy."""
        environment = {**os.environ, "PYTHONPATH": str(self.directory), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", *tests]
        return subprocess.run(
            command, cwd=self.directory, env=environment, capture_output=True, text=True, timeout=seconds
        )
