"""The kinds of messages whose results differ in ids alone, and the results of revoked tasks of a kind.

A message is of a kind when it has the same words in the same order as another one, other texts and numbers aside. What
decides about the result (the task, the encoding, whether there is a group, a parent, a result) is the same in a kind.
"""

from __future__ import annotations

import re
from base64 import b64decode
from time import monotonic
from typing import Any, NamedTuple
from uuid import uuid4

from celery import Celery
from celery.app.task import Context
from celery.backends.base import DisabledBackend
from celery.backends.redis import RedisBackend, SentinelBackend

from celery_groupfifo.gate.records import message_of
from celery_groupfifo.sending.revoke import read_request

#: Ids that stand in JSON as they are.
ID = re.compile(r"[\w.:-]+", re.ASCII)
#: Seconds that a result serves for others: they have its time.
AGE = 1.0

_WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"(\s*:)?|-?\d[\d.eE+-]*')
#: The texts that are the same in a kind; and those that are looked at: some headers, which are in the result, the body.
_SAME = (b"task", b"content-type", b"content-encoding", b"body_encoding", b"lang")
_IN_RESULT = ("group", "parent_id")
_GROUPS = (*map(str.encode, _IN_RESULT), b"body")
#: The end of a body without a chord.
_NO_CHORD = b'"chord": null}]'
#: The parts of Celery that write a result; wrapped by somebody else, each result goes through them.
_WRITERS = ("mark_as_revoked", "store_result", "_store_result", "_get_result_meta", "set", "_set", "encode", "ensure")


class ResultTemplate(NamedTuple):
    """The result of a revoked task, with places for ids.

    Attributes:
        prefix: Of its key, before the id.
        pieces: Of its value: texts, and in between the numbers of words; 0 is the id.
        expires: Seconds; None: it does not.
    """

    prefix: bytes
    pieces: tuple[bytes | int, ...]
    expires: int | None

    def row(self, id: str, words: tuple[bytes, ...]) -> tuple[bytes, bytes]:
        """Return key and value of a task's result."""
        name = id.encode()
        values = (name, *words)
        value = b"".join([piece if isinstance(piece, bytes) else values[piece] for piece in self.pieces])
        return self.prefix + name, value


class ResultKind:
    """A kind of messages.

    Args:
        shape: Matches the stored entries of the kind: the words in the result are its groups, and then the body.
        backend: Of the tasks; None: nothing is stored for them.
        request: Of one of them.
        names: The names of the words in the result.
        reason: That the results give.
    """

    def __init__(self, shape: re.Pattern[bytes], backend: Any, request: Context, names: list[str], reason: str) -> None:
        self.backend = backend
        self._match = shape.fullmatch
        self._request, self._names, self._reason = request, names, reason
        self._template: ResultTemplate | None = None
        self._until = 0.0

    def words(self, text: bytes) -> tuple[bytes, ...] | None:
        """Return the words of an entry that its result has; None: it is of another kind."""
        found = self._match(text)
        if found is None:
            return None
        *words, body = found.groups()
        end = b64decode(body[-64:]) if len(body) % 4 == 0 else b""
        return tuple(words) if end.endswith(_NO_CHORD) else None

    def template(self) -> ResultTemplate | None:
        """Return what Celery stores for a task of the kind now; None: it is nothing that others can have."""
        if monotonic() >= self._until:
            self._template, self._until = self._written(), monotonic() + AGE
        return self._template

    def _written(self) -> ResultTemplate | None:
        marks = [uuid4().hex for _ in range(len(self._names) + 1)]
        noted, backend = _Noted(), object.__new__(type(self.backend))
        backend.__dict__.update(self.backend.__dict__)
        backend.__dict__["client"] = noted
        request = Context(self._request.__dict__, id=marks[0], **dict(zip(self._names, marks[1:], strict=True)))
        backend.mark_as_revoked(marks[0], self._reason, request=request, store_result=True)
        if len(noted.commands) != 2:
            return None
        (name, key, *more, value), published = noted.commands
        key, value = _bytes(key), _bytes(value)
        if published[:1] + tuple(map(_bytes, published[1:])) != ("publish", key, value):
            return None
        expires = int(more[0]) if name == "setex" else None
        if not key.endswith(marks[0].encode()) or not all(value.count(mark.encode()) == 1 for mark in marks):
            return None
        parts = re.split(b"(" + "|".join(marks).encode() + b")", value)
        pieces = tuple(marks.index(part.decode()) if at % 2 else part for at, part in enumerate(parts))
        return ResultTemplate(key.removesuffix(marks[0].encode()), pieces, expires)


def _bytes(word: str | bytes) -> bytes:
    return word.encode() if isinstance(word, str) else word


class _Noted:
    """A client of Redis, and its pipeline, that note what is written."""

    def __init__(self) -> None:
        self.commands: list[tuple[Any, ...]] = []

    def pipeline(self, *args: Any, **options: Any) -> _Noted:
        """Return the pipeline, which is the client."""
        return self

    def __enter__(self) -> _Noted:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def get(self, key: Any) -> None:
        """Return None: nothing is known so far."""

    def setex(self, *words: Any) -> None:
        """Note a key, its seconds and its value."""
        self.commands.append(("setex", *words))

    def set(self, *words: Any) -> None:
        """Note a key and its value."""
        self.commands.append(("set", *words))

    def publish(self, *words: Any) -> None:
        """Note a channel and a message."""
        self.commands.append(("publish", *words))

    def execute(self) -> list[Any]:
        """Return nothing: nobody has answered."""
        return []


def kind_of(app: Celery, text: bytes, reason: str) -> ResultKind | None:
    """Return the kind of a stored entry; None: its task is told by itself."""
    try:
        request = read_request(message_of(text))
    except Exception:  # it may be broken in any way: whoever tells it by itself says so
        return None
    task = app.tasks.get(request.task) if request.get("task") else None
    backend: Any = task.backend if task is not None else app.backend
    if not request.get("task") or request.chord or not _is_usual(app, backend):
        return None
    stored = not request.ignore_result and type(backend) is not DisabledBackend
    found = _shape_of(text)
    if found is None:
        return None
    shape, names = found
    if any(bool(request.get(name)) != (name in names) for name in _IN_RESULT):
        return None
    return ResultKind(shape, backend if stored else None, request, names, reason)


def _is_usual(app: Celery, backend: Any) -> bool:
    """Return whether the results of a backend are written by Celery's own code, as JSON without the call's data."""
    if type(backend) is DisabledBackend:
        return True
    if type(backend) not in (RedisBackend, SentinelBackend) or backend.serializer != "json":
        return False
    own = all(getattr(type(backend), name).__module__.startswith("celery.") for name in _WRITERS)
    return own and not app.conf.find_value_for_key("extended", "result")


def _shape_of(text: bytes) -> tuple[re.Pattern[bytes], list[str]] | None:
    """Return a pattern for entries like this one, and the names of its words: the groups before that of the body."""
    _, _, message = text.partition(b"\n")
    pattern, groups, at, key, encoded = [rb"[^\n]*\n"], [], 0, b"", False
    for word in _WORD.finditer(message):
        pattern.append(re.escape(message[at : word.start()]))
        at = word.end()
        if word[2] is not None:
            key = word[1]
            pattern.append(re.escape(word[0]))
        elif not word[0].startswith(b'"'):
            pattern.append(rb"-?\d[\d.eE+-]*")
        elif key in _SAME:
            encoded = encoded or (key, word[1]) == (b"body_encoding", b"base64")
            pattern.append(re.escape(word[0]))
        elif key in _GROUPS:
            groups.append(key.decode())
            pattern.append(rb'"([^"\\]+(?:\\.[^"\\]*)*)"')
        else:
            pattern.append(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
    pattern.append(re.escape(message[at:]))
    if not encoded or groups[-1:] != ["body"] or len(set(groups)) != len(groups):
        return None
    return re.compile(b"".join(pattern), re.DOTALL), groups[:-1]


__all__ = ["ID", "ResultKind", "ResultTemplate", "kind_of"]
