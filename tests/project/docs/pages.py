"""The pages of the documentation: README and docs/, their blocks of code, and the files that the blocks make.

A block of Python belongs to the file that its `title="shop.py"` names, or else to the page's own, `page.py`. What a
page needs beside what it shows stands in a comment, which readers do not see::

    <!-- file: texting.py
    def deliver(customer: str, text: str) -> None: ...
    -->

A page that imports `shop` and has no such file means the tutorial's.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.places import DOCS, REPOSITORY

PAGES = [REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md"))]
TUTORIAL = DOCS / "tutorial.md"
#: The file of blocks without a title.
OWN = "page.py"

FENCE = re.compile(r"^\s*```(\w*)(?: title=\"([\w.]+)\")?\s*$")
_HIDDEN = re.compile(r"^<!-- file:\s*([\w.]*)$")


@dataclass(frozen=True)
class Block:
    """A block of code of a page; `line` is its first one's number. `title` names the file that it belongs to."""

    page: str
    line: int
    language: str
    title: str
    code: str

    def at(self, line: int = 1) -> str:
        """Return the place of one of its lines."""
        return f"{self.page}:{self.line + line - 1}"


def name(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def blocks(text: str, page: str = "page") -> Iterator[Block]:
    """The blocks of code of a page, hidden ones too."""
    start, language, title, end, lines = 0, "", "", re.compile("$^"), list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if start and end.match(line):
            yield Block(page, start, language, title, textwrap.dedent("\n".join(lines)))
            start, lines = 0, list[str]()
        elif start:
            lines.append(line)
        elif fence := FENCE.match(line):
            start, language, title, end = number + 1, fence[1], fence[2] or "", re.compile(r"^\s*```\s*$")
        elif hidden := _HIDDEN.match(line):
            start, language, title, end = number + 1, "python", hidden[1], re.compile(r"^-->$")
        else:
            assert not line.lstrip().startswith("```"), f"{page}:{number} begins no block that is known: {line}"
    assert not start, f"the block of {page}:{start} has no end"


def prose(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a page that are neither code nor rows of a table, with their numbers."""
    inside = {at for each in blocks(text) for at in range(each.line - 1, each.line + each.code.count("\n") + 2)}
    for number, line in enumerate(text.splitlines(), 1):
        if number not in inside and not line.lstrip().startswith("|"):
            yield number, line


def all_blocks() -> list[Block]:
    """The blocks of all pages."""
    return [each for page in PAGES for each in blocks(page.read_text("utf-8"), name(page))]


def files(page: Path) -> dict[str, str]:
    """The files that a page makes, by name. Each line of code has the number that it has on the page."""
    found: dict[str, list[str]] = {}
    for each in blocks(page.read_text("utf-8"), name(page)):
        if each.language == "python":
            lines = found.setdefault(each.title or OWN, [])
            lines += [""] * (each.line - 1 - len(lines)) + each.code.splitlines()
    said = {file: "\n".join(lines) + "\n" for file, lines in found.items()}
    if "shop.py" not in said and any("\nfrom shop import" in code for code in said.values()):
        said["shop.py"] = files(TUTORIAL)["shop.py"]
    return said
