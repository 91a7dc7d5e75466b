"""Runs of scripts as bytes, as Redis reads them (RESP).

redis-py's own packing takes as long as all other steps of a send together: it looks at each word's type in turn, and a
run of a script has about thirty words. Those before a run's own are packed once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from celery_groupfifo.gate import scripts
from celery_groupfifo.gate.keys import Keys

Word = str | bytes | int | float

ScriptArguments = tuple[Keys, Sequence[str], Sequence[Word]]
"""One run of a script: the keys of its partition, its own keys, and its own arguments."""


def pack(words: Sequence[Word]) -> bytes:
    """Return a command.

    Raises:
        TypeError: A word is nothing that Redis can be sent.
    """
    return b"*%d\r\n" % len(words) + _joined(words)


def pack_run(name: str, call: ScriptArguments, clock: str) -> bytes:
    """Return the command that runs a script.

    Args:
        name: Of the script.
        call: Its keys and arguments.
        clock: The time for the script, in microseconds; empty: it asks Redis.

    Raises:
        TypeError: An argument is nothing that Redis can be sent.
    """
    keys, more, args = call
    return _head(name, keys.base, len(more), len(args)) + _joined([*more, clock, keys.tag, *args])


@lru_cache(maxsize=256)
def _head(name: str, base: tuple[str, ...], more: int, args: int) -> bytes:
    """Return the begin of a command, up to the keys of the partition."""
    count = len(base) + more
    words: list[Word] = ["EVALSHA", scripts.sha(name), count, *base]
    return b"*%d\r\n" % (len(words) + more + 2 + args) + _joined(words)


def _joined(words: Iterable[Word]) -> bytes:
    parts: list[bytes] = []
    text = ""  # words since the last bytes: encoded at once
    for word in words:
        if isinstance(word, str):
            text += f"${len(word) if word.isascii() else len(word.encode())}\r\n{word}\r\n"
        elif isinstance(word, bytes):
            parts += (text.encode(), b"$%d\r\n" % len(word), word)
            text = "\r\n"
        elif isinstance(word, (int, float)) and not isinstance(word, bool):
            number = repr(word)
            text += f"${len(number)}\r\n{number}\r\n"
        else:
            raise TypeError(f"{word!r} can't be sent to Redis: it is no text, bytes or number.")
    parts.append(text.encode())
    return b"".join(parts)
