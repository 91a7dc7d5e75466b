"""The layout of tests/: by kind, each with a page that says what is in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.places import TESTS
from tests.tiers import KINDS

HELPERS = "support"
#: Fixtures and modules that are no part of a unit test, as they need a server or a process.
DEMANDING = r"\b(redis_url|redis_server|rabbitmq_url|world|own_world|embedded|subprocess|crews|stages)\b"


def folders(path: Path) -> set[str]:
    """Return the names of the folders in a folder."""
    return {each.name for each in path.iterdir() if each.is_dir() and each.name[0] not in "._"}


def test_each_folder_is_a_kind_with_a_tier_and_a_line() -> None:
    lines = re.findall(r"^\| \[(\w+)\]\((\w+)/README\.md\) \|", (TESTS / "README.md").read_text("utf-8"), re.MULTILINE)
    assert [name for name, _ in lines] == [folder for _, folder in lines] == list(KINDS)
    assert folders(TESTS) == {*KINDS, HELPERS}


@pytest.mark.parametrize("kind", [*KINDS, HELPERS])
def test_the_page_of_a_kind_names_its_subjects(kind: str) -> None:
    page = (TESTS / kind / "README.md").read_text("utf-8")
    assert folders(TESTS / kind) <= set(re.findall(r"`(\w+)`", page))


def test_each_test_is_in_a_kind_and_each_helper_says_so() -> None:
    tests = {path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py") if ".cache" not in path.parts}
    assert len(tests) > 150
    assert {test for test in tests if test.partition("/")[0] not in KINDS} == set()
    page = (TESTS / HELPERS / "README.md").read_text("utf-8")
    files = {path.stem for path in (TESTS / HELPERS).glob("*.py")}
    assert files <= set(re.findall(r"`(\w+)`", page))


@pytest.mark.parametrize("kind", [*KINDS, HELPERS])
def test_no_kind_imports_another_one(kind: str) -> None:
    allowed = {kind, HELPERS, "tiers"}
    for path in (TESTS / kind).rglob("*.py"):
        code = path.read_text("utf-8") if ".cache" not in path.parts else ""
        assert set(re.findall(r"^\s*(?:from|import) tests\.(\w+)", code, re.MULTILINE)) <= allowed, path


def test_each_link_leads_somewhere() -> None:
    for page in (TESTS / "README.md", *TESTS.glob("*/README.md")):
        links = re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8"))
        assert [link for link in links if not (page.parent / link).exists()] == [], page


@pytest.mark.parametrize("path", sorted((TESTS / "unit").glob("test_*.py")), ids=lambda path: path.name)
def test_a_unit_test_starts_no_server_and_no_process(path: Path) -> None:
    code = re.sub(r'"""[\s\S]*?"""|#.*', "", path.read_text("utf-8"))
    assert re.findall(DEMANDING, code) == []
