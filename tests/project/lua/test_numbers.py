"""A number that several scripts and the gate know is the same everywhere."""

from __future__ import annotations

import re
from pathlib import Path

from celery_groupfifo.gate.parks import KEEP_MS

SOURCES = Path(__file__).parents[3] / "lua"


def test_a_producers_number_is_kept_as_long_by_all_scripts() -> None:
    found = {
        str(path.relative_to(SOURCES)): int(value)
        for path in sorted(SOURCES.rglob("*.lua"))
        for value in re.findall(r"^ *local keep = (\d+)", path.read_text("utf-8"), re.M | re.I)
    }
    assert found == dict.fromkeys(found, KEEP_MS)
    assert "lib/number.lua" in found
