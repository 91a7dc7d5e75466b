"""The content of a stored entry, and its copy under another key. The message's body is never decoded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from celery_groupfifo.gate.keys import quote, unquote
from celery_groupfifo.gate.model import KEY_HEADER


@dataclass(frozen=True, slots=True)
class Content:
    """A stored entry, read; see lua/lib/release.lua for its form.

    Attributes:
        us: Time of the park (µs), as text in its place of the line.
        key: Of its group.
        queue: Its name in the scripts.
        headers: Of the message.
    """

    us: str
    key: str
    queue: str
    headers: dict[str, Any]

    @property
    def task(self) -> str:
        """Return the task's name."""
        return str(self.headers.get("task") or "")

    @property
    def args(self) -> str:
        """Return the arguments, as Celery shows them."""
        return str(self.headers.get("argsrepr") or "")

    @property
    def kwargs(self) -> str:
        """Return the keyword arguments, as Celery shows them."""
        return str(self.headers.get("kwargsrepr") or "")

    @property
    def retries(self) -> int:
        """Return the number of retries."""
        retries = self.headers.get("retries")
        return retries if isinstance(retries, int) else 0


def read(text: bytes) -> Content | None:
    """Read a stored entry; None when it can't be read."""
    try:
        (us, group, queue, cut), message = _parts(text)
        headers, _ = _headers(message[int(cut) :])
    except (ValueError, AttributeError):
        return None
    return Content(us, unquote(group), unquote(queue), headers)


def place_of(text: bytes) -> tuple[str, str, str] | None:
    """Return an entry's time of parking (µs), group and queue, quoted; None when it can't be read."""
    words = text.partition(b"\n")[0].split(b" ")
    if len(words) != 4 or not words[0].isdigit():
        return None
    return words[0].decode(), words[1].decode(), words[2].decode()


def moved(text: bytes, key: str) -> bytes:
    """Return an entry under another group's key: only its line and its header change, all other bytes stay.

    Raises:
        ValueError: It can't be read.
    """
    (us, _, queue, cut), message = _parts(text)
    at = int(cut)
    headers, rest = _headers(message[at:])
    headers[KEY_HEADER] = key
    line = " ".join((us, quote(key), queue, cut)).encode()
    return line + b"\n" + message[:at] + json.dumps(headers)[1:].encode() + rest


def _parts(text: bytes) -> tuple[list[str], bytes]:
    line, found, message = text.partition(b"\n")
    words = line.decode("ascii").split(" ")
    if not found or len(words) != 4 or not words[0].isdigit() or not words[3].isdigit():
        raise ValueError("no entry")
    return words, message


def _headers(behind_cut: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the headers, and the text behind them."""
    text = "{" + behind_cut.decode("utf-8")
    headers, end = json.JSONDecoder().raw_decode(text)
    if not isinstance(headers, dict):
        raise ValueError("no headers")
    return headers, text[end:].encode()
