"""The Lua scripts: one file per operation in `lua/`, made of the sources at the top of the repository."""

from __future__ import annotations

from functools import cache
from hashlib import sha1
from importlib.resources import files

#: Every operation of the gate, by the name of its file.
NAMES = (
    "park",
    "park_several",
    "insert",
    "exchange",
    "begin",
    "gather",
    "settle",
    "finish",
    "fail",
    "cancel",
    "cut",
    "renew",
    "sweep",
    "advance",
    "reclaim",
    "surrender",
    "rerelease",
    "revoke",
    "lease",
    "pause",
    "limit",
    "resume",
    "drain",
    "skip",
    "purge",
    "retry",
    "move",
    "redrive",
    "discard",
    "letters",
    "census",
    "heads",
    "mend",
    "recall",
    "line",
    "place",
    "stamp",
    "home",
    "observe_send",
    "observe_start",
    "observe_end",
)

#: Before the name of a script: `home` stands before it, see growing.py.
HOME = "home+"


@cache
def source(name: str) -> str:
    """Return the text of a script."""
    if name.startswith(HOME):
        return f"do\n{source('home')}\nend\n{source(name.removeprefix(HOME))}"
    return (files("celery_groupfifo.gate") / "lua" / f"{name}.lua").read_text("utf-8")


@cache
def sha(name: str) -> str:
    """Return the digest that EVALSHA calls a script by."""
    return sha1(source(name).encode(), usedforsecurity=False).hexdigest()
