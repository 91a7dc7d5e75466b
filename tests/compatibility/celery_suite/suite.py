"""Celery's own integration tests: fetched, not kept in this repository, and an environment that can run them.

Both stay in a cache beside this file, so the next run starts at once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from dataclasses import dataclass
from pathlib import Path

import celery

from celery_groupfifo.testing import embedded

HERE = Path(__file__).parent
CACHE = HERE / ".cache"

#: What Celery's tests import or are marked for, beyond our own test requirements.
EXTRAS = (
    "cryptography",
    "django",
    "pydantic",
    "pytest-rerunfailures",
    "sqlalchemy",
)


class SuiteError(Exception):
    """Celery's tests can't be fetched, or not be run here."""


@dataclass(frozen=True)
class Suite:
    """Attributes: `python` runs the tests in `folder`, which holds `t/`."""

    python: Path
    folder: Path


def prepare() -> Suite:
    """Fetch the tests of the Celery that is installed, and make the environment, where there are none yet.

    Raises:
        SuiteError: With what pip said.
    """
    home = CACHE / f"celery-{celery.__version__}-python-{sys.version_info.major}.{sys.version_info.minor}"
    home.mkdir(parents=True, exist_ok=True)
    python = _environment(home / "venv")
    folder = _tests(home / "suite", python)
    shutil.copyfile(HERE / "hooks.py", folder / "conftest.py")
    return Suite(python, folder)


def own_server() -> embedded.Server:
    """A server for the tests; never one that was given: all data is deleted, again and again."""
    given = os.environ.pop(embedded.URL_VARIABLE, None)
    try:
        return embedded.start(appendonly=False)
    finally:
        if given is not None:
            os.environ[embedded.URL_VARIABLE] = given


def _environment(venv: Path) -> Path:
    """A layer on the environment of this very interpreter: its Celery is the one under test."""
    python = venv / "bin" / "python"
    done = venv / "done"
    wanted = "\n".join((*EXTRAS, sysconfig.get_path("purelib")))
    if python.exists() and done.exists() and done.read_text() == wanted:
        return python
    shutil.rmtree(venv, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(venv)])
    own = subprocess.check_output(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    ).strip()
    # addsitedir, and not only a line with the path: packages installed in place are found by their own .pth files.
    layer = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    (Path(own) / "layer.pth").write_text(layer)
    _run([str(python), "-m", "pip", "install", *EXTRAS])
    done.write_text(wanted)
    return python


def _tests(folder: Path, python: Path) -> Path:
    if folder.exists():
        return folder
    download, unpacked = folder.with_name("download"), folder.with_name("unpacked")
    for directory in (download, unpacked):
        shutil.rmtree(directory, ignore_errors=True)
    pip = [str(python), "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"]
    _run([*pip, "--dest", str(download), f"celery=={celery.__version__}"])
    with tarfile.open(next(download.glob("*.tar.gz"))) as archive:
        if hasattr(tarfile, "data_filter"):  # from Python 3.10.12, 3.11.4 and 3.12 on
            archive.extraction_filter = tarfile.data_filter
        for member in archive:
            # Nothing else: the tests have to import the Celery that is installed.
            member.name = member.name.partition("/")[2]
            if member.name == "pyproject.toml" or member.name.startswith("t/"):
                archive.extract(member, unpacked)
    unpacked.rename(folder)
    shutil.rmtree(download)
    return folder


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SuiteError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}")
