"""Quick: every mutant still fits the code, and the tests that kill it exist. `make mutants` runs them."""

from __future__ import annotations

import re

import pytest

from tests.mutants.copies import PACKAGE, PARTS, REPOSITORY, patched
from tests.mutants.table import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.bug)
def test_it_fits_the_code_and_its_tests_exist(mutant: Mutant) -> None:
    text = (REPOSITORY / PACKAGE / mutant.file).read_text("utf-8")
    assert patched(mutant, text) != text
    assert mutant.tests
    for test in mutant.tests:
        file, name = test.split("::")
        assert file.startswith(PARTS)
        assert re.search(rf"^def {name}\(", (REPOSITORY / file).read_text("utf-8"), re.MULTILINE), test


def test_no_bug_is_listed_twice() -> None:
    assert len({mutant.bug for mutant in MUTANTS}) == len(MUTANTS)
