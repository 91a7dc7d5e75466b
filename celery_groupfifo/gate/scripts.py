"""The Lua scripts: one file per operation in `lua/`, shared parts in `lua/lib/`."""

from __future__ import annotations

from functools import cache
from hashlib import sha1
from importlib.resources import files

from celery_groupfifo.gate.inline import inlined, unpacked

#: Every operation of the gate, by the name of its file.
NAMES = (
    "park",
    "begin",
    "finish",
    "fail",
    "cancel",
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
    "groups",
    "ages",
    "states",
    "census",
    "lines",
    "heads",
    "recall",
    "line",
    "place",
)

INCLUDE = "--@include "


@cache
def source(name: str) -> str:
    """Return the text of a script with its shared parts in place."""
    lua = files("celery_groupfifo.gate") / "lua"
    lines = []
    for line in (lua / f"{name}.lua").read_text("utf-8").splitlines():
        if line.lstrip().startswith(INCLUDE):
            parts = line.lstrip().removeprefix(INCLUDE).split()
            lines += [(lua / "lib" / f"{part}.lua").read_text("utf-8") for part in parts]
        else:
            lines.append(line)
    # Saves two look-ups in each of some thirty commands: a fortieth of a script's time.
    text = "\n".join(lines).replace("redis.call(", "redis_call(")
    return unpacked(inlined("local redis_call = redis.call\n" + text), "K")


@cache
def sha(name: str) -> str:
    """Return the digest that EVALSHA calls a script by."""
    return sha1(source(name).encode(), usedforsecurity=False).hexdigest()
