"""The Lua scripts: one file per operation in `lua/`, shared parts in `lua/lib/`."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

#: Every operation of the gate, by the name of its file.
NAMES = (
    "park",
    "begin",
    "finish",
    "hold",
    "renew",
    "sweep",
    "advance",
    "surrender",
    "ring",
    "revoke",
    "lease",
    "pause",
    "resume",
    "drain",
    "skip",
    "purge",
    "retry",
    "move",
    "redrive",
    "ages",
    "census",
)

INCLUDE = "--@include "


@cache
def source(name: str) -> str:
    """The text of a script with its shared parts in place."""
    lua = files("celery_groupfifo") / "lua"
    lines = []
    for line in (lua / f"{name}.lua").read_text("utf-8").splitlines():
        if line.startswith(INCLUDE):
            lines += [(lua / "lib" / f"{part}.lua").read_text("utf-8") for part in line.removeprefix(INCLUDE).split()]
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"
