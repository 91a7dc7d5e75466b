"""Later releases of the package: copies of this tree whose stored state has another version.

Version 2 has one word more in the line of a parked entry. The rule of CONTRIBUTING.md makes two releases of such a
change: `NEXT` reads it, and `AFTER` writes it, too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from celery_groupfifo.testing.children import dying_with_us
from lua import build
from tests.support.crews.app import CONF, DIRECTORY
from tests.support.places import REPOSITORY
from tests.support.waiting import HUNG

#: What a file has, and what stands there instead.
Change = tuple[str, str, str]

#: The word that version 2 adds.
WORD = "v2"
_READ_IT: Change = (
    "celery_groupfifo/gate/records.py",
    'words = line.decode("ascii", "replace").split(" ")',
    f'words = line.decode("ascii", "replace").removesuffix(" {WORD}").split(" ")',
)
_WRITE_IT: Sequence[Change] = [
    ("celery_groupfifo/gate/parks.py", r"{entry.cut}\n", rf"{{entry.cut}} {WORD}\n"),
    ("lua/park.lua", r"(%d+)\n()", rf"(%d+) {WORD}\n()"),
]


def _numbers(release: str, reads: str, writes: int) -> list[Change]:
    return [
        ("celery_groupfifo/__init__.py", '__version__ = "0.1.0"', f'__version__ = "{release}"'),
        ("celery_groupfifo/gate/stamps.py", "READS = (1, 1)", f"READS = {reads}"),
        ("celery_groupfifo/gate/stamps.py", "WRITES = 1", f"WRITES = {writes}"),
    ]


NEXT: Sequence[Change] = [*_numbers("0.2.0", "(1, 2)", 1), _READ_IT]
AFTER: Sequence[Change] = [*_numbers("0.3.0", "(1, 2)", 2), _READ_IT, *_WRITE_IT]
#: It reads version 2 only.
MUCH_LATER: Sequence[Change] = [*_numbers("0.9.0", "(2, 2)", 2), _READ_IT, *_WRITE_IT]

_SEND = """
import itertools, json, os, sys, time
from pathlib import Path
from tests.support.crews.app import CONF, make_app
app, told = make_app(**json.loads(os.environ[CONF])), Path(sys.argv[1])
for number in itertools.count(1):
    for key in sys.argv[2:]:
        app.tasks["worker.act"].apply_async((key, number, "wait"), {"name": key})
    print(number, flush=True)
    if told.exists():
        break
    time.sleep(0.1)  # the workers keep up
"""


def made(directory: Path, changes: Sequence[Change]) -> Path:
    """Make a copy of this tree with changes, and return its root."""
    ignored = shutil.ignore_patterns("__pycache__", ".*")
    for part in ("celery_groupfifo", "lua", "tests/support"):
        shutil.copytree(REPOSITORY / part, directory / part, ignore=ignored)
    for file in ("tests/__init__.py", "pyproject.toml"):
        if (REPOSITORY / file).exists():
            shutil.copy(REPOSITORY / file, directory / file)
    for file, old, new in changes:
        text = (directory / file).read_text("utf-8")
        assert text.count(old) == 1, f"{file} has {text.count(old)} times {old!r}"
        (directory / file).write_text(text.replace(old, new), "utf-8")
    build.write(directory)
    return directory


class Sender:
    """A process that sends tasks 1, 2, 3, … to groups, with the package of a release, until it is told to end.

    They wait until the test has said the name of their group.

    Args:
        root: Of the release's tree.
        conf: Of the app.
        directory: For the word that ends it.
        keys: Of the groups.
    """

    def __init__(self, root: Path, conf: dict[str, Any], directory: Path, keys: Sequence[str]) -> None:
        self._word = directory / f"end-{'-'.join(keys)}"
        environment = {**os.environ, "PYTHONPATH": str(root), CONF: json.dumps(conf), DIRECTORY: str(directory)}
        command = dying_with_us([sys.executable, "-c", _SEND, str(self._word), *keys])
        self._process = subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate(timeout=HUNG)

    def end(self) -> int:
        """Let it end, and return the number of tasks that it has sent to each group."""
        self._word.touch()
        said, _ = self._process.communicate(timeout=HUNG)
        assert self._process.returncode == 0, said
        return int(said.split()[-1])
