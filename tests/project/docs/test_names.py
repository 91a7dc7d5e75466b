"""The commands, settings and options that README and docs/ name exist."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.project.docs.commands import Wrong, check, commands, lines
from tests.project.docs.pages import OWN, PAGES, Block, all_blocks, files, name
from tests.project.docs.settings import unknown

#: What checks the blocks of a language; none for figures and outputs. A new language needs one.
CHECKED = {"console": "commands", "ini": "settings", "json": "settings", "python": "types", "mermaid": "", "text": ""}
#: Commands within prose and tables: whole ones, with no placeholder for a part.
INLINE = re.compile(r"`((?:celery -A \w+ (?!groupfifo COMMAND)|make |python -m [\w.]+ |pip )[^`…|<]+)`")


def wrong(block: Block, page_files: dict[str, str]) -> list[str]:
    """Return what does not work in a block of commands, each with its place."""
    found = []
    for number, line in lines(block):
        for words in commands(line):
            try:
                check(words, page_files)
            except Wrong as error:
                found.append(f"{block.at(number)}: {error}")
    return found


def test_each_block_has_a_language_that_is_checked() -> None:
    assert [each.at() for each in all_blocks() if each.language not in CHECKED] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_each_command_of_a_block_is_there(page: Any) -> None:
    mine = [each for each in all_blocks() if each.page == name(page) and each.language == "console"]
    for block in mine:
        assert list(lines(block)), f"{block.at()} has no line that begins with a prompt"
    assert [said for block in mine for said in wrong(block, files(page))] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_each_command_within_a_sentence_is_there(page: Any) -> None:
    found = []
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        for said in INLINE.findall(line):
            found += wrong(Block(name(page), number, "console", "", f"$ {said}"), files(page))
    assert found == []


def test_each_setting_of_an_example_is_there() -> None:
    assert [said for block in all_blocks() for said in unknown(block)] == []


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("celery -A shop groupfifo explian KEY", "No such command 'explian'"),
        ("celery -A shop groupfifo list --stat held", "No such option"),
        ("celery -A shop groupfifo list --state sleeping", "'sleeping' is not one of"),
        ("celery -A shop groupfifo move one", "Missing argument 'NEW'"),
        ("celery -A shop worker --concurency 4", "No such option"),
        ("celery -A shop wroker", "no command celery wroker"),
        ("celery -A shop flower --prot=5555", "celery flower does not take prot"),
        ("celery -A shop inspect groupfifo_lease", "celery inspect does not take groupfifo_lease"),
        ("make cluster INSTANCE=4", "the Makefile reads no variable INSTANCE"),
        ("make clutser", "make has no target clutser"),
        ("python -m celery_groupfifo.metrics -A shop --listen here", "argument --listen"),
        ("python -m celery_groupfifo.metric", "there is no module"),
        ("python sned.py", "the page has no file sned.py"),
        ("pip install 'celery-groupfifo[prom]'", "no extra prom"),
        ("curl -X POST https://flower.example/api/group/stop/KEY", "Flower has no address"),
        ("sleep 3 && mak test | jq .", "nothing here knows the program mak"),
    ],
)
def test_a_wrong_command_is_found(line: str, complaint: str) -> None:
    (said,) = wrong(Block("page.md", 7, "console", "", f"$ cd shop\nsome output\n$ {line}"), {OWN: ""})
    assert said.startswith("page.md:9: ") and complaint in said


@pytest.mark.parametrize(
    ("language", "title", "code"),
    [
        ("python", "", "app.conf.groupfifo_lease_tll = 5"),
        ("python", "", "app.conf.worker_prefetch_multiplyer = 1"),
        ("python", "settings.py", "CELERY_GROUPFIFO_LEASE = 30"),
        ("python", "celeryconfig.py", "task_sent_event = True"),
        ("json", "", '{"groupfifo_group_kye": "customer-9"}'),
        ("json", "", '{"groupfifo_group_key": "customer-9",}'),
        ("ini", "", "strict = True"),
    ],
)
def test_a_wrong_setting_is_found(language: str, title: str, code: str) -> None:
    (said,) = unknown(Block("page.md", 7, language, title, code))
    assert said.startswith("page.md:7: ")
