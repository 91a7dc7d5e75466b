"""The first lines of each folder say what its files do: of all of them, and of no others."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import celery_groupfifo

ROOT = Path(celery_groupfifo.__file__).parent
FOLDERS = sorted(path.parent for path in ROOT.glob("*/__init__.py"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_each_file_is_named(folder: Path) -> None:
    said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or ""
    files = {path.name for path in folder.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert set(re.findall(r"\b\w+\.py\b", said)) == files
