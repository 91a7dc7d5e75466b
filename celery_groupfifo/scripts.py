"""The Lua scripts: one file per operation in `lua/`, shared parts in `lua/lib/`."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

#: Every operation of the gate, by the name of its file.
NAMES = (
    "park",
    "begin",
    "finish",
    "fail",
    "cancel",
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
    "recall",
)

INCLUDE = "--@include "
_FUNCTION = re.compile(r"^local function (\w+)\(.*?^end\n", re.M | re.S)


@cache
def source(name: str) -> str:
    """The text of a script with its shared parts in place."""
    lua = files("celery_groupfifo") / "lua"
    lines = []
    for line in (lua / f"{name}.lua").read_text("utf-8").splitlines():
        if line.lstrip().startswith(INCLUDE):
            parts = line.lstrip().removeprefix(INCLUDE).split()
            lines += [(lua / "lib" / f"{part}.lua").read_text("utf-8") for part in parts]
        else:
            lines.append(line)
    # Two look-ups less for each of some thirty commands: a fortieth of a script's time.
    text = "\n".join(lines).replace("redis.call(", "redis_call(")
    return "local redis_call = redis.call\n" + _without_unused(text + "\n")


def _without_unused(text: str) -> str:
    """Redis makes every function anew at every call of a script: only those that it calls are left in it."""
    for function in _FUNCTION.finditer(text):
        rest = text.replace(function[0], "")
        if not re.search(rf"\b{function[1]}\(", rest):
            return _without_unused(rest)
    return text
