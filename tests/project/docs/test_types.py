"""The examples as a type checker sees them in a user's project: mypy --strict, with the settings of the page on typing.

The user's environment has the wheel, with celery-types and without it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.project.docs.pages import PAGES, blocks, files, name
from tests.project.release.built import build
from tests.support.places import DOCS, REPOSITORY

#: Libraries without types: what comes from them is Any.
ABSENT = ("django", "uvicorn")
TYPING = DOCS / "how-to" / "typing.md"
#: The stubs of the extra of that name, which `make venv` keeps apart from the environment.
STUBS = Path(sys.prefix) / "stubs"
CACHE = REPOSITORY / ".mypy_cache" / "users"


class Mypy(NamedTuple):
    """mypy in a user's environment.

    Attributes:
        python: The environment's interpreter.
        stubs: True when it has celery-types.
        directory: Where the user's files are.
    """

    python: Path
    stubs: bool
    directory: Path

    def __call__(self, *words: str) -> list[str]:
        """Return what mypy says, a line each."""
        settings = "\n".join(each.code for each in blocks(TYPING.read_text("utf-8")) if each.language == "ini")
        absent = ",".join(f"{each}.*" for each in ABSENT)
        settings += f"\n[mypy-{absent}]\nignore_missing_imports = True\n"
        (self.directory / "mypy.ini").write_text(settings, "utf-8")
        command = [sys.executable, "-m", "mypy", "--warn-unreachable", "--no-error-summary", *words]
        command += ["--config-file", "mypy.ini", "--cache-dir", str(CACHE / f"mypy-{self.stubs}")]
        command += ["--python-executable", str(self.python)]
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")}
        done = subprocess.run(command, cwd=self.directory, env=environment, capture_output=True, text=True, timeout=100)
        return [*done.stdout.splitlines(), *done.stderr.splitlines()]


def package(page: Path) -> str:
    """The package that a page's files are in: pages have files of the same name."""
    return re.sub(r"\W", "_", name(page).removesuffix(".md")).lower()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("built")).wheel


@pytest.fixture(scope="module", params=["celery", "celery-types"])
def python(request: pytest.FixtureRequest, wheel: Path) -> Path:
    """The interpreter of a user's environment: ours with the wheel in place of the repository, and perhaps stubs.

    It is made anew at the same place, so that mypy's cache holds.
    """
    directory = CACHE / str(request.param)
    venv.create(directory, symlinks=True, clear=True)
    packages = next(directory.glob("lib/python*/site-packages"))
    links = [path for path in Path(sysconfig.get_path("purelib")).iterdir() if "celery_groupfifo" not in path.name]
    assert not any(path.name == "celery-stubs" for path in links), "the tests' environment has no stubs of Celery"
    if request.param == "celery-types":
        assert STUBS.is_dir(), f"{STUBS} is missing: `make venv` puts celery-types there"
        links += STUBS.iterdir()
    for path in links:
        if path.suffix != ".pth":
            (packages / path.name).symlink_to(path)
    zipfile.ZipFile(wheel).extractall(packages)
    return directory / "bin" / "python"


@pytest.fixture
def mypy(python: Path, tmp_path: Path) -> Mypy:
    return Mypy(python, bool(list(python.parents[1].glob("lib/python*/site-packages/celery-stubs"))), tmp_path)


def test_each_example_is_well_typed(mypy: Mypy, tmp_path: Path) -> None:
    for page in PAGES:
        mine = files(page)
        for file, code in mine.items():
            path = tmp_path / package(page) / file
            path.parent.mkdir(exist_ok=True)
            modules = "|".join(each.removesuffix(".py") for each in mine)
            path.write_text(re.sub(rf"^from ({modules}) import", rf"from {package(page)}.\1 import", code, flags=re.M))
    written = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.py")]
    assert len(written) > len(PAGES) / 2
    assert mypy("--explicit-package-bases", *written) == []


@pytest.mark.parametrize("example", ["django", "fastapi", "messages", "migrate-from-lock"])
def test_each_example_project_is_well_typed(mypy: Mypy, tmp_path: Path, example: str) -> None:
    shutil.copytree(REPOSITORY / "examples" / example, tmp_path, dirs_exist_ok=True)
    # Django has no types without its stubs, and its classes are there to be extended.
    assert mypy(*(["--allow-subclassing-any"] if example == "django" else []), "--exclude", "migrations", ".") == []


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


def test_the_group_of_a_run(mypy: Mypy, tmp_path: Path) -> None:
    imports = "from celery_groupfifo import GroupFifoTask, GroupRun\nfrom celery_groupfifo.fencing import fence_headers"
    for number, use in enumerate(USES):
        code = f"{imports}\n\n\ndef use(self: GroupFifoTask) -> None:\n    {use}\n"
        (tmp_path / f"use_{number}.py").write_text(code)
    said = "\n".join(mypy("."))
    expected = {f"use_{number}.py:6: error: {complaint}" for number, complaint in enumerate(USES.values()) if complaint}
    assert set(re.findall(r"^(.*: error: .*?)(?:; maybe .*)?  \[", said, re.MULTILINE)) == expected, said


#: Uses of the rest of the API, and what a checker says of each.
API = {
    "groups.list(state='held', sort='age', limit=5)[0].running[0].fence.bit_length()": "",
    "groups.list(state='hold')": 'Argument "state" to "list" of "Groups" has incompatible type',
    "groups.list(sort='deep')": 'Argument "sort" to "list" of "Groups" has incompatible type',
    "groups.redrive('id', to='head')": "",
    "groups.redrive('id', to='top')": 'Argument "to" to "redrive" of "DeadLetterGroups" has incompatible type',
    "groups.stats().totals.runs_finished.bit_length()": "",
    "groups.stats().parkde": '"Stats" has no attribute "parkde"',
    "if groups.get('k').state == 'idle': pass": "Non-overlapping equality check",
    "signals.group_finished.connect(on_finished)": "",
    "signals.group_finished.connect(sender='shop.send')(on_finished)": "",
    "signals.group_parked.connect(on_finished)": 'No overload variant of "connect" of "GroupSignal" matches',
    "print(park_many([])[0].id, error.parked[0].id)": "",
}
#: The same with celery-types; without it, what is Celery's is Any.
CELERYS = {
    "print(park_many([])[0].idd)": '"AsyncResult[Any]" has no attribute "idd"',
    "print(error.parked[0].idd)": '"AsyncResult[Any]" has no attribute "idd"',
    "send.apply_async(('a',), group_key='k', group_on_failure='block', countdown=3, mandatory=True)": "",
    "send.apply_async(('a',), group_on_failure='stop')": 'Argument "group_on_failure" to "apply_async" of',
    "send.apply_async(('a',), group_key=3)": 'Argument "group_key" to "apply_async" of',
}

IMPORTS = """from typing import Any
from celery import Celery
from celery_groupfifo import GroupFifoTask, Groups, PartiallyParked, park_many, signals
app = Celery("shop")
@app.task(base=GroupFifoTask, group_key="{a}")
def send(a: str) -> None: ...
def on_finished(key: str, fence: int, outcome: str, **_: Any) -> None: ...
def use(groups: Groups, error: PartiallyParked) -> None:
"""


def test_the_rest_of_the_api(mypy: Mypy, tmp_path: Path) -> None:
    uses = {**API, **(CELERYS if mypy.stubs else dict.fromkeys(CELERYS, ""))}
    for number, use in enumerate(uses):
        (tmp_path / f"use_{number}.py").write_text(f"{IMPORTS}    {use}\n")
    said = mypy(".")
    for number, (use, complaint) in enumerate(uses.items()):
        mine = [line for line in said if line.startswith(f"use_{number}.py:")]
        assert complaint in "".join(mine) if complaint else not mine, (use, mine)
