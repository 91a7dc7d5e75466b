"""README and the pages of docs/: links lead somewhere, lines fit, and the references are complete.

tests/project/docs checks their examples.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import celery_groupfifo
from celery_groupfifo.cli import groupfifo
from celery_groupfifo.sending.options import OF_TASK
from celery_groupfifo.settings import OPTIONS, Settings
from tests.project.docs.pages import PAGES, name, prose
from tests.support.places import DOCS, REPOSITORY

#: Characters of a line of prose; rows of tables and code may be longer.
WIDTH = 120

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub and mkdocs make them."""
    headings = (line.lstrip("#") for _, line in prose(page.read_text("utf-8")) if line.startswith("#"))
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_each_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", page.read_text("utf-8"))
    missing = []
    for link in LINK.findall(text):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if re.match(r"[a-z]+:", link):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            missing.append(link)
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_line_of_prose_is_too_long(page: Path) -> None:
    long = [f"{name(page)}:{number}" for number, line in prose(page.read_text("utf-8")) if len(line) > WIDTH]
    assert long == []


def test_each_page_is_in_the_menu() -> None:
    menu = (REPOSITORY / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]
    assert sorted(re.findall(r": ([\w/-]+\.md)$", menu, re.MULTILINE)) == [
        page.relative_to(DOCS).as_posix() for page in PAGES[1:]
    ]


def test_the_reference_has_all_that_is_exported() -> None:
    page = (DOCS / "reference" / "python.md").read_text("utf-8")
    errors = {each for each in celery_groupfifo.__all__ if hasattr(celery_groupfifo.errors, each)}
    assert "::: celery_groupfifo.errors" in page and "::: celery_groupfifo.signals" in page
    named = set(re.findall(r"^::: celery_groupfifo\.(\w+)$|^\| `(\w+)` \|", page, re.MULTILINE))
    assert set(celery_groupfifo.__all__) - errors <= {each for pair in named for each in pair}


def test_the_reference_has_each_command_with_its_options() -> None:
    page = (DOCS / "reference" / "cli.md").read_text("utf-8")
    for command, said in groupfifo.commands.items():
        rows = [line for line in page.splitlines() if re.match(rf"\| `{command}\b", line)]
        options = {option for each in said.params for option in each.opts if option.startswith("--")} - {"--json"}
        assert len(rows) == 1, command
        assert set(re.findall(r"--[a-z-]+", rows[0])) == options, command


def test_the_reference_has_each_setting_and_option() -> None:
    settings = {f"groupfifo_{each}" for each in Settings.__dataclass_fields__}
    options = {*OPTIONS, *OF_TASK, "group_key"}
    for file, known in (("settings.md", settings), ("options.md", options)):
        page = (DOCS / "reference" / file).read_text("utf-8")
        assert set(re.findall(r"^\| `(group\w+)` \|", page, re.MULTILINE)) == known
