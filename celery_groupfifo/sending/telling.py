"""The news that tasks are revoked, for the result backend: many at once where that is a Redis.

Celery writes what it stores for the first task of a kind, to a client that only notes it. What it stores for the others
differs in the ids alone. All else (other backends, members of chords, messages that nobody can read) goes Celery's way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from celery import Celery, signals, states
from celery.backends.redis import RedisBackend

from celery_groupfifo.errors import GroupFifoError
from celery_groupfifo.gate.cutting import Gone
from celery_groupfifo.gate.records import message_of
from celery_groupfifo.gate.stream import ResponseError, Stream, pack_each
from celery_groupfifo.sending.kinds import ID, ResultKind, kind_of
from celery_groupfifo.sending.revoke import mark, request_of, tell_monitors

#: Kinds of tasks that are told apart in one action, and ids in one event for monitors.
KINDS, IDS = 20, 5_000

_Row = tuple[bytes, bytes]
"""A key, and what is stored there."""
_Task = tuple[str, tuple[bytes, ...]]
"""An id, and the words of the task's message that its result has."""


class Teller:
    """The news of one action; use it as a context: at its end, monitors are told.

    Args:
        app: The app whose backend has the results of the tasks.
        reason: That the results give.
    """

    def __init__(self, app: Celery, reason: str = "revoked") -> None:
        self._app, self._reason = app, reason
        self._kinds: list[ResultKind] = []
        self._ids: list[str] = []

    def __enter__(self) -> Teller:
        return self

    def __exit__(self, *error: object) -> None:
        self._tell_monitors()

    def tell(self, gone: Sequence[Gone]) -> None:
        """Store the state REVOKED of tasks that are cut off their groups, and send signals. May be repeated.

        Args:
            gone: Their ids, and their entries as they are stored.

        Raises:
            GroupFifoError: The result backend can't be told.
        """
        alike: dict[int, list[_Task]] = {}
        others: list[Gone] = []
        by_hand = bool(signals.task_revoked.receivers)
        for id, text in gone:
            number, words = self._find(id, text)
            if number < 0:
                others.append((id, text))
            else:
                alike.setdefault(number, []).append((id, words))
        try:
            for number, tasks in alike.items():
                others += self._store(self._kinds[number], tasks, dict(gone))
            alone = {id for id, _ in others}
            for id, text in others:
                mark(self._app, id, message_of(text), self._reason)
        except Exception as error:  # any backend may raise anything
            raise GroupFifoError(
                f"The result backend can't be told that {len(gone)} tasks are revoked, of which {gone[0][0]} is the "
                "first one. They are cut off their groups and never start; the workers' sweeps tell it as soon as it "
                f"answers, or repeat the call. ({error!r})"
            ) from error
        for id, text in gone if by_hand else ():
            if id not in alone:
                self._send_signal(id, text)
        self._ids += [id for id, _ in gone]
        if len(self._ids) >= IDS:
            self._tell_monitors()

    def _tell_monitors(self) -> None:
        ids, self._ids = self._ids, []
        tell_monitors(self._app, ids)

    def _send_signal(self, id: str, text: bytes) -> None:
        request = request_of(message_of(text), id)
        sender = self._app.tasks.get(request.task) or self._app
        signals.task_revoked.send(sender=sender, request=request, terminated=False, signum=None, expired=False)

    # -- kinds -------------------------------------------------------------

    def _find(self, id: str, text: bytes) -> tuple[int, tuple[bytes, ...]]:
        """Return the number of a task's kind, and the words in its result; -1: it is told by itself."""
        if not ID.fullmatch(id):
            return -1, ()
        for number, kind in enumerate(self._kinds):
            words = kind.words(text)
            if words is not None:
                return number, words
        if len(self._kinds) < KINDS:
            new = kind_of(self._app, text, self._reason)
            words = new.words(text) if new is not None else None
            if new is not None and words is not None:
                self._kinds.append(new)
                return len(self._kinds) - 1, words
        return -1, ()

    # -- the backend -------------------------------------------------------

    def _store(self, kind: ResultKind, tasks: list[_Task], texts: dict[str, bytes]) -> list[Gone]:
        """Store the results of tasks of a kind; return those that are to be told one by one."""
        backend = kind.backend
        if backend is None:  # nothing is stored
            return []
        template = kind.template()
        if template is None:
            return [(id, texts[id]) for id, _ in tasks]
        rows = [template.row(id, words) for id, words in tasks]
        try:
            backend.ensure(_write, (backend, rows, template.expires))
        except ResponseError:  # Celery's own way fails, too, or finds another one
            return [(id, texts[id]) for id, _ in tasks]
        return []


def _write(backend: RedisBackend, rows: Sequence[_Row], expires: int | None) -> None:
    """Do what the backend does for each result: look for a SUCCESS, set the key, publish."""
    with _lent(backend) as stream:
        stream.send(pack_each("GET", [key.decode() for key, _ in rows]))
        known = stream.read(len(rows))
        if any(known):
            rows = [row for row, meta in zip(rows, known, strict=True) if not _succeeded(backend, meta)]
        stream.send(_packed(rows, expires))
        stream.read(2 * len(rows))


def _packed(rows: Iterable[_Row], expires: int | None) -> bytes:
    if expires:
        set_key = b"*4\r\n$5\r\nSETEX\r\n%%b$%d\r\n%d\r\n%%b" % (len(str(expires)), expires)
    else:
        set_key = b"*3\r\n$3\r\nSET\r\n%b%b"
    both = set_key + b"*3\r\n$7\r\nPUBLISH\r\n%b%b"
    parts = []
    for key, value in rows:
        key, value = b"$%d\r\n%b\r\n" % (len(key), key), b"$%d\r\n%b\r\n" % (len(value), value)
        parts.append(both % (key, value, key, value))
    return b"".join(parts)


def _succeeded(backend: RedisBackend, meta: bytes | None) -> bool:
    return bool(meta) and backend.decode_result(meta)["status"] == states.SUCCESS


@contextmanager
def _lent(backend: RedisBackend) -> Iterator[Stream]:
    """Lend one of the backend's own connections; it is closed when an answer is left on it."""
    pool = backend.client.connection_pool
    try:
        connection = pool.get_connection()
    except TypeError:  # redis-py before 5.3
        connection = pool.get_connection("GET")
    try:
        yield Stream(connection)
    except BaseException:
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


__all__ = ["Teller"]
