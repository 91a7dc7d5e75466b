"""Docstrings are plain English: they name the thing first, and those of functions start with a verb."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import celery_groupfifo

PACKAGE = Path(celery_groupfifo.__file__).parent
ROOT = PACKAGE.parent
FILES = sorted(
    path for name in (PACKAGE.name, "demo", "benchmarks", "rehearsal") for path in (ROOT / name).rglob("*.py")
)
#: Openings that ask or generalize, where a noun or a verb is to name the thing.
VAGUE = frozenset(
    ("What", "Whether", "Where", "Which", "Who", "Whom", "Whose", "How", "When", "Those", "All", "Everything")
)
#: Openings of a noun phrase: a function's docstring starts with a verb in their place.
NOUN = frozenset(
    ("A", "An", "The", "Its", "It", "This", "These", "Each", "Every", "No", "Nothing", "Somebody", "Something")
)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def docstrings(tree: ast.Module) -> Iterator[tuple[ast.AST, int, str]]:
    """Yield the owner, the line and the text of each docstring; an assignment may have one behind it."""
    for node in ast.walk(tree):
        before: ast.AST | None = node if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)) else None
        for statement in getattr(node, "body", None) or () if before is not None else ():
            value = statement.value if isinstance(statement, ast.Expr) else None
            if before is not None and isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield before, statement.lineno, value.value.strip()
            before = statement if isinstance(statement, (ast.Assign, ast.AnnAssign)) else None


def unplain(text: str) -> list[str]:
    """Return the docstrings of a module's source that open wrongly, each with its line."""
    return [
        f"{line}: {said.splitlines()[0]}"
        for owner, line, said in docstrings(ast.parse(text))
        if (word := said.split(maxsplit=1)[0].rstrip(".,:;")) in VAGUE
        or (isinstance(owner, FUNCTIONS) and word in NOUN)
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_docstrings_name_the_thing(file: Path) -> None:
    assert unplain(file.read_text("utf-8")) == []


def test_docstrings_of_tests_do_not_ask() -> None:
    files = [path for path in (ROOT / "tests").rglob("*.py") if ".cache" not in path.parts]
    assert len(files) > 200
    found = [
        f"{path.relative_to(ROOT)}:{line}: {said.splitlines()[0]}"
        for path in files
        for _, line, said in docstrings(ast.parse(path.read_text("utf-8")))
        if said.startswith(("What ", "Whether ", "Where ", "Who ", "How ", "When "))
    ]
    assert not found, found


def test_wrong_openings_are_found() -> None:
    assert unplain('"""What it does."""\nLEFT = 1\n"""How many."""\n') == ["1: What it does.", "3: How many."]
    assert unplain('class It:\n    """The thing."""\n\n    def of(self):\n        """The part."""\n') == [
        "5: The part."
    ]
    assert unplain('async def look():\n    """Whether all is well.\n\n    More."""\n') == ["2: Whether all is well."]
    assert unplain('"""The start."""\nname = 1\n"""A name."""\n\n\ndef look():\n    """Return all."""\n') == []
