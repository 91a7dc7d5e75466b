"""The places that tests find files in, wherever they lie themselves."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TESTS = REPOSITORY / "tests"
DOCS = REPOSITORY / "docs"
