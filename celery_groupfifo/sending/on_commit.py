"""Sends that wait for the commit of a SQLAlchemy session. With Django, a task has `delay_on_commit`.

A session's calls wait in its `info`, each with the transaction or savepoint in which it was made. They go out when the
outermost transaction has ended, and the session can be used again: so an error of a send leaves the session whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery.canvas import Signature
from celery.result import AsyncResult

from celery_groupfifo.errors import InvalidOption, MissingGroupKey
from celery_groupfifo.sending.bulk import send_many
from celery_groupfifo.sending.call import check_call, take_options, task_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session, SessionTransaction, scoped_session

#: Its place in `Session.info`.
_INFO = "groupfifo_on_commit"


def park_on_commit(
    session: Session | scoped_session[Any] | AsyncSession, signature: Signature[Any]
) -> AsyncResult[Any]:
    """Send a signature of a grouped task when the transaction of a SQLAlchemy session is committed.

    It is sent within `commit()`, after the database has committed: in the order of the commits, and within a
    transaction in the order of the calls. Nothing is sent when the transaction, or the savepoint in which the call was
    made, is rolled back. The key and the options are checked at once.

    A process that ends between the two commits sends nothing: see docs/how-to/transactions.md.

    Args:
        session: Its transaction in progress counts; without one, one is begun.
        signature: Of a grouped task.

    Returns:
        The result, with the id that the task will have; of a duplicate, that of the task that is there, from the commit
        on.

    Raises:
        MissingGroupKey: The task belongs to no group.
        InvalidOption: It is not the signature of one task, or an option does not work.
        PartiallyParked: Raised by `commit()`: the transaction is committed, and not all of its tasks were sent.
    """
    if type(signature) is not Signature:
        raise InvalidOption(f"{signature!r} is not the signature of one task: send it after the commit.")
    mine = signature.clone()
    app, name, task = mine.app, mine.task, task_of(mine.app, mine.task)
    options = dict(mine.options)
    if check_call(app, task, name, mine.args, mine.kwargs, take_options(name, options), options) is None:
        raise MissingGroupKey(f"{name} belongs to no group: park_on_commit takes signatures of grouped tasks.")
    result: AsyncResult[Any] = mine.freeze()
    _waiting(_plain_session(session)).append(mine, result)
    return result


class _Waiting:
    """The calls of a session that wait for its commit, in their order.

    Args:
        session: The session.
    """

    def __init__(self, session: Session) -> None:
        from sqlalchemy import event  # inside: only who has a session needs it

        self._session = session
        self._calls: list[tuple[SessionTransaction, tuple[Signature[Any], AsyncResult[Any]]]] = []
        self._committed: SessionTransaction | None = None
        event.listen(session, "after_commit", self.on_committed)
        event.listen(session, "after_transaction_end", self.on_ended)

    def append(self, signature: Signature[Any], result: AsyncResult[Any]) -> None:
        """Let a signature wait for the transaction in progress, or its innermost savepoint; its caller has a result."""
        self._calls.append((self._current() or self._session.begin(), (signature, result)))

    def on_committed(self, _: Session) -> None:
        """Remember which transaction or savepoint is being committed: its end does not say."""
        self._committed = self._current()

    def on_ended(self, _: Session, ended: SessionTransaction) -> None:
        """Drop the calls of what was rolled back, pass on those of a savepoint, send those of a transaction."""
        committed, self._committed = self._committed is ended, None
        if ended.parent is None:
            calls, self._calls = self._calls, []
            if committed and calls:
                sent = send_many([call[0] for _at, call in calls], waits=False)
                for (_at, call), found in zip(calls, sent, strict=True):
                    call[1].id = found.id  # that of another task, when it is a duplicate
        elif committed or not ended.nested:  # one that is no savepoint ends as its parent does
            self._calls = [(ended.parent if at is ended else at, call) for at, call in self._calls]
        else:
            self._calls = [(at, call) for at, call in self._calls if at is not ended]

    def _current(self) -> SessionTransaction | None:
        return self._session.get_nested_transaction() or self._session.get_transaction()


def _waiting(session: Session) -> _Waiting:
    if _INFO not in session.info:
        session.info[_INFO] = _Waiting(session)
    waiting: _Waiting = session.info[_INFO]
    return waiting


def _plain_session(session: Any) -> Session:
    """Return the session behind a registry of sessions, an asynchronous one, or both."""
    session = session.registry() if hasattr(session, "registry") else session
    plain: Session = getattr(session, "sync_session", session)
    return plain
