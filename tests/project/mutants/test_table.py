"""Quick: every mutant still fits the code, and the tests that kill it exist. `make mutants` runs them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from lua import build
from tests.project.mutants.copies import PARTS, file_of, patched
from tests.project.mutants.table import MUTANTS, Mutant
from tests.support.places import REPOSITORY

SOUND = build.scripts(REPOSITORY)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.bug)
def test_it_fits_the_code_and_its_tests_exist(mutant: Mutant) -> None:
    text = file_of(mutant).read_text("utf-8")
    assert patched(mutant, text) != text
    assert mutant.tests
    for test in mutant.tests:
        file, name = test.split("::")
        assert file.startswith(PARTS)
        assert re.search(rf"^def {name}\(", (REPOSITORY / file).read_text("utf-8"), re.MULTILINE), test


@pytest.mark.parametrize("mutant", [each for each in MUTANTS if each.is_lua], ids=lambda mutant: mutant.bug)
def test_it_reaches_what_runs(mutant: Mutant, tmp_path: Path) -> None:
    """A script without the bug would pass every test."""
    shutil.copytree(REPOSITORY / build.SOURCES, tmp_path / build.SOURCES)
    file = file_of(mutant, tmp_path)
    file.write_text(patched(mutant, file.read_text("utf-8")), "utf-8")
    sources = build.Sources(tmp_path)
    sources.check()
    assert any(sources.script(name) != text for name, text in SOUND.items())


def test_no_bug_is_listed_twice() -> None:
    assert len({mutant.bug for mutant in MUTANTS}) == len(MUTANTS)
