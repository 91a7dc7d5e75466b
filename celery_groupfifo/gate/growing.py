"""The rule by which groups change their partition while the number of partitions grows, without a stop.

Every group has an old partition and a new one, and a process that knows both numbers asks the old one first. What may
be the first thing of a group (a park, a pause, limits) runs there behind `home`, in one step: while the partition
holds anything of the group, it stays. Once it holds nothing, the old partition refuses it from then on, and it goes
to the new one. So a group is never in both, and no step needs two partitions.

Timeline of a process that has not read yet that the number grows: the stamp of a partition says so together with other
names for its keys (see stamps.py). Redis refuses the call of the process, it reads the stamp, and packs the call again,
with the question before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery_groupfifo.gate.keys import Keys, Names
from celery_groupfifo.gate.packing import ScriptArguments, Word, pack_run
from celery_groupfifo.gate.scripts import HOME

#: Answers of `home`: a group has left for its new partition; of several groups only some have.
MOVED, SPLIT = b"moved", b"split"
#: Scripts that may be the first to store something of a group: where their arguments name it.
_GROUP_AT = {"park": 1, "pause": 2, "limit": 2, "drain": 2}
#: Their keys by which they know a repeated call, and where their arguments have its number.
_PLACES = {"park": ("11", 3), "park_several": ("10", 4)}
#: Of park_several: the arguments before its groups, of which the last one is their number.
_BEFORE_GROUPS = 10
#: Of park: the identity of a call, how long it counts, and whether only parked ones do.
_IDENTITY, _LATEST = 9, 11


def home_word(keys: Keys, groups: Sequence[str]) -> str:
    """Return the argument of `home` alone, for a caller that only asks."""
    return " ".join(["- - - -", *filter(keys.leaves, groups)])


def arrival(floor: bytes) -> str:
    """Return the first argument of a script behind `home` in a group's new partition.

    Args:
        floor: The fence in the answer of the old one.
    """
    return f"{floor.decode()} - - -"


def behind_home(script: str) -> str:
    """Return the name of a script with `home` before it."""
    return HOME + script


def has_left(reply: Any) -> bool:
    """Return whether an answer says that a group has left for its new partition."""
    return isinstance(reply, list) and bool(reply) and reply[0] == MOVED


def is_split(reply: Any) -> bool:
    """Return whether an answer says that only some of several groups have left."""
    return isinstance(reply, list) and bool(reply) and reply[0] == SPLIT


def pack_at_home(name: str, call: ScriptArguments, clock: str) -> tuple[str, bytes]:
    """Return a script's run as a command, with `home` before it where a group may have left; and its name then."""
    keys = call[0]
    if not keys.before or not (name in _GROUP_AT or name in _PLACES):
        return name, pack_run(name, call, clock)
    while True:
        base = keys.base
        asked = base.asks and _word(name, call)
        packed = _packed(name, call, asked or "", clock)
        if keys.base is base:  # else another thread has just read the stamp
            return (behind_home(name) if asked else name), packed


def pack_all_at_home(name: str, calls: Sequence[ScriptArguments], clock: str) -> tuple[str, list[bytes]]:
    """Return runs of one script as commands, see `pack_at_home`: all have `home` before them, or none has."""
    if not any(call[0].before for call in calls) or not (name in _GROUP_AT or name in _PLACES):
        return name, [pack_run(name, call, clock) for call in calls]
    while True:
        bases: list[Names] = [call[0].base for call in calls]
        words = [(base.asks and _word(name, call)) or "" for base, call in zip(bases, calls, strict=True)]
        all_of = any(words)
        packed = [
            _packed(name, call, (word or "- - - -") if all_of else "", clock)
            for call, word in zip(calls, words, strict=True)
        ]
        if all(call[0].base is base for base, call in zip(bases, calls, strict=True)):
            return (behind_home(name) if all_of else name), packed


def _packed(name: str, call: ScriptArguments, word: str, clock: str) -> bytes:
    if not word:
        return pack_run(name, call, clock)
    keys, more, args = call
    return pack_run(behind_home(name), (keys, more, [word, *args]), clock)


def _word(name: str, call: ScriptArguments) -> str:
    """Return the first argument for a script behind `home`; empty: its groups stay in the partition."""
    keys, _, args = call
    several = name == "park_several"
    groups = [str(group) for group in (args[_BEFORE_GROUPS:] if several else [args[_GROUP_AT[name]]])]
    leaving = [group for group in groups if keys.leaves(group)]
    if not leaving:
        return ""
    place, number_at = _PLACES.get(name, ("11", -1))
    number: Word = args[number_at] if number_at >= 0 else "-"
    identity: Word = "-"
    if name == "park" and len(args) > _LATEST and str(args[_LATEST]) != "1":
        identity = args[_IDENTITY] or "-"
    return " ".join(["-", place, str(number), str(identity), *leaving])
