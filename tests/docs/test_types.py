"""The examples as a type checker sees them in a user's project: mypy --strict, with the settings of the page on typing.

The package is found as an installed one is, so without `py.typed` it would have no types.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import PAGES, ROOT, blocks, files, name

#: Libraries that the tests' environment does not have: what comes from them is Any.
ABSENT = ("django", "fastapi")
TYPING = ROOT / "docs" / "how-to" / "typing.md"


def package(page: Path) -> str:
    """The package that a page's files are in: pages have files of the same name."""
    return re.sub(r"\W", "_", name(page).removesuffix(".md")).lower()


def mypy(directory: Path, *words: str) -> list[str]:
    """Return what mypy says of the files below a directory, a line each."""
    settings = "\n".join(each.code for each in blocks(TYPING.read_text("utf-8")) if each.language == "ini")
    absent = ",".join(f"{each}.*" for each in ABSENT)
    (directory / "mypy.ini").write_text(f"{settings}\n[mypy-{absent}]\nignore_missing_imports = True\n", "utf-8")
    command = [sys.executable, "-m", "mypy", "--warn-unreachable", "--no-error-summary", *words]
    command += ["--config-file", "mypy.ini", "--cache-dir", str(ROOT / ".mypy_cache" / "docs")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=100)
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]


def test_each_example_is_well_typed(tmp_path: Path) -> None:
    for page in PAGES:
        mine = files(page)
        for file, code in mine.items():
            path = tmp_path / package(page) / file
            path.parent.mkdir(exist_ok=True)
            modules = "|".join(each.removesuffix(".py") for each in mine)
            path.write_text(re.sub(rf"^from ({modules}) import", rf"from {package(page)}.\1 import", code, flags=re.M))
    written = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.py")]
    assert len(written) > len(PAGES) / 2
    assert mypy(tmp_path, "--explicit-package-bases", *written) == []


#: Uses of a run's group, and what a checker says of each.
USES = {
    "self.group.fence.bit_length()": "",
    "if self.group: self.group.check()": "",
    "if self.group is None: return": "",
    "fence_headers(self.group)": "",
    "self.group.fense": 'Item "GroupRun" of "GroupRun | Any" has no attribute "fense"',
    "self.group.check('now')": 'Too many arguments for "check" of "GroupRun"',
    "GroupRun.of(self).fence": 'Item "None" of "GroupRun | None" has no attribute "fence"',
}


def test_the_group_of_a_run(tmp_path: Path) -> None:
    imports = "from celery_groupfifo import GroupFifoTask, GroupRun\nfrom celery_groupfifo.fencing import fence_headers"
    for number, use in enumerate(USES):
        code = f"{imports}\n\n\ndef use(self: GroupFifoTask) -> None:\n    {use}\n"
        (tmp_path / f"use_{number}.py").write_text(code)
    said = "\n".join(mypy(tmp_path, "."))
    expected = {f"use_{number}.py:6: error: {complaint}" for number, complaint in enumerate(USES.values()) if complaint}
    assert set(re.findall(r"^(.*: error: .*?)(?:; maybe .*)?  \[", said, re.MULTILINE)) == expected, said
