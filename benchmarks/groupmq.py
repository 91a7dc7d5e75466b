"""GroupMQ, a library for Node with groups of jobs in order, that a row compares with where it is installed.

`npm install groupmq ioredis` in any folder installs it, and the environment variable BENCH_GROUPMQ names the folder.
apps/groupmq.mjs sends and works with it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

#: Of the arm.
NAME = "groupmq"
VARIABLE = "BENCH_GROUPMQ"
HOW = f"run `npm install groupmq ioredis` in a folder, and name the folder in {VARIABLE}"
_PACKAGES = (NAME, "ioredis")
_SCRIPT = Path(__file__).parent / "apps" / "groupmq.mjs"


def folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder with the packages; None: GroupMQ is not compared with.

    Raises:
        SystemExit: The variable names a folder without them, or Node is not there.
    """
    named = environment.get(VARIABLE)
    if not named:
        return None
    missing = [name for name in _PACKAGES if not (Path(named) / "node_modules" / name).is_dir()]
    if missing:
        raise SystemExit(f"{VARIABLE} is {named!r}, where {' and '.join(missing)} is not installed: {HOW}.")
    if shutil.which("node", path=environment.get("PATH")) is None:
        raise SystemExit(f"{VARIABLE} is {named!r}, but there is no `node` in PATH: install Node, or unset it.")
    return Path(named).resolve()


def version(found: Path | None) -> str | None:
    """Return the version of GroupMQ in a folder; None without a folder."""
    if found is None:
        return None
    package = found / "node_modules" / NAME / "package.json"
    return str(json.loads(package.read_text(encoding="utf-8"))["version"])


def command(found: Path, url: str) -> list[str]:
    """Return the command of its process: the packages of a folder, on a Redis.

    Args:
        found: The folder.
        url: Of the server, with the number of a database.
    """
    return [shutil.which("node") or "node", str(_SCRIPT), str(found), url]
