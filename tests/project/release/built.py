"""The wheel and the source distribution, built from a copy of the repository, so that nothing is left in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.support.places import REPOSITORY

#: What is no source: environments and caches anywhere, and at the top what builds and runs leave. See .gitignore.
ANYWHERE = shutil.ignore_patterns(".git", ".venv", ".nox", "*.egg-info", "__pycache__", ".*_cache", "*.log")
AT_THE_TOP = frozenset({"artifacts", "build", "cluster", "demo-logs", "dist"})


class Built(NamedTuple):
    """The two files of a release."""

    wheel: Path
    sdist: Path


def build(directory: Path) -> Built:
    """Build both as a release does: the source distribution, and the wheel from it.

    The build's own requirements come from the extra `dev`: it needs no network.

    Args:
        directory: An empty one.
    """
    source = directory / "source"
    shutil.copytree(REPOSITORY, source, ignore=_left_out)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(directory / "dist"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,), (sdist,) = (directory / "dist").glob("*.whl"), (directory / "dist").glob("*.tar.gz")
    return Built(wheel, sdist)


def _left_out(folder: str, names: list[str]) -> set[str]:
    left_out = ANYWHERE(folder, names)
    return left_out | AT_THE_TOP if Path(folder) == REPOSITORY else left_out
